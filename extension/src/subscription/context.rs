//! `handler_context()`: what a running handler may ask about its call.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows;
use crate::pg::text::Text;
use pgrx::pg_sys;
use std::cell::RefCell;

sql_functions! {
    handler_context => handler_context,
}

/// What the handler is told.
#[derive(Clone)]
struct Context {
    subscriber_id: String,
    global_position: i64,
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// The context of one tick; put back to what it was when dropped, also while an error unwinds.
pub struct Scope(Option<Context>);

impl Scope {
    /// Enters the context of a tick of this subscriber.
    pub fn enter(subscriber_id: &str) -> Self {
        let context = Context {
            subscriber_id: subscriber_id.to_owned(),
            global_position: 0,
        };
        Self(CURRENT.replace(Some(context)))
    }

    /// The message that is handled next.
    pub fn at(&self, global_position: i64) {
        CURRENT.with_borrow_mut(|current| {
            if let Some(context) = current {
                context.global_position = global_position;
            }
        });
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// NULL outside a handler.
fn handler_context(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(context) = CURRENT.with_borrow(Clone::clone) else {
        return Ok(Reply::null());
    };
    let (only_member, first_attempt, is_replay) = (0_i64, 1_i64, false);
    Ok(rows::composite(
        call,
        [
            Some(Text::copied(context.subscriber_id.as_bytes()).datum()),
            Some(pg_sys::Datum::from(only_member)),
            Some(pg_sys::Datum::from(context.global_position)),
            Some(pg_sys::Datum::from(first_attempt)),
            Some(pg_sys::Datum::from(is_replay)),
        ],
    ))
}
