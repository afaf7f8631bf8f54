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
    /// The ticks that are running, outermost first: a handler may tick another subscription.
    static RUNNING: RefCell<Vec<Context>> = const { RefCell::new(Vec::new()) };
}

/// Whether this session is in the middle of a tick of this subscriber.
pub fn is_ticking(subscriber_id: &str) -> bool {
    RUNNING.with_borrow(|running| {
        running
            .iter()
            .any(|tick| tick.subscriber_id == subscriber_id)
    })
}

/// The context of one tick; left when dropped, also while an error unwinds.
pub struct Scope(());

impl Scope {
    /// Enters the context of a tick of this subscriber.
    pub fn enter(subscriber_id: &str) -> Self {
        let context = Context {
            subscriber_id: subscriber_id.to_owned(),
            global_position: 0,
        };
        RUNNING.with_borrow_mut(|running| running.push(context));
        Self(())
    }

    /// The message that is handled next.
    pub fn at(&self, global_position: i64) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(context) = running.last_mut() {
                context.global_position = global_position;
            }
        });
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(Vec::pop);
    }
}

/// NULL outside a handler.
fn handler_context(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(context) = RUNNING.with_borrow(|running| running.last().cloned()) else {
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
