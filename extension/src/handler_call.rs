//! What a running handler may ask about its call (`handler_context()`), and what the messages it
//! writes are derived from.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows;
use crate::pg::text::Text;
use pgrx::pg_sys;
use std::cell::RefCell;

sql_functions! {
    beside newer SQL too:
    handler_context() => handler_context,
}

/// The attributes of type `handler_call`.
const HANDLER_CALL: [pg_sys::Oid; 7] = [
    pg_sys::VARCHAROID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::BOOLOID,
    pg_sys::BOOLOID,
    pg_sys::VARCHAROID,
];

/// What the handler is told.
#[derive(Clone, Debug)]
pub struct HandlerCall {
    /// The subscription whose handler it is; that of the original for a copy beside it.
    pub subscriber_id: String,
    /// The consumer group member, from 0.
    pub member: i64,
    /// How many members its group has.
    pub group_size: i64,
    /// The message; the last one of a run.
    pub global_position: i64,
    /// Messages handed over in this call.
    pub run_length: usize,
    /// From 1.
    pub attempt: i64,
    /// Whether the message was handled before: then no message is written.
    pub is_replay: bool,
    /// Whether the message was parked, so that later ones have been handled already.
    pub is_retry: bool,
    /// The schema of the tables to write to; `None` for the live read model.
    pub read_model: Option<String>,
}

struct Running {
    call: HandlerCall,
    /// Whom the tick is of, which for a copy is not `call.subscriber_id`.
    ticking: String,
    messages_written: i64,
    has_written: bool,
}

thread_local! {
    /// The ticks that are running, outermost first: a handler may tick another subscription.
    static RUNNING: RefCell<Vec<Running>> = const { RefCell::new(Vec::new()) };
}

/// Whether this session is in the middle of a tick.
pub fn is_running() -> bool {
    RUNNING.with_borrow(|running| !running.is_empty())
}

/// Whether this session is in the middle of a tick of this subscriber.
pub fn is_ticking(subscriber_id: &str) -> bool {
    RUNNING.with_borrow(|running| running.iter().any(|tick| tick.ticking == subscriber_id))
}

/// 55000 inside a handler of this subscriber: what is asked for would change under the tick.
pub fn require_outside(subscriber_id: &str) -> Result<(), Error> {
    if is_ticking(subscriber_id) {
        return Err(Error::SubscriptionState(
            subscriber_id.to_owned(),
            "is being ticked by this very session",
            "Call it outside its handlers.",
        ));
    }
    Ok(())
}

/// The handler that is running in this session, the innermost one.
pub fn current() -> Option<HandlerCall> {
    RUNNING.with_borrow(|running| running.last().map(|tick| tick.call.clone()))
}

/// The how-manieth message the running handler writes for the message it handles, from 0. Each
/// call counts one.
pub fn next_ordinal() -> i64 {
    RUNNING.with_borrow_mut(|running| {
        running.last_mut().map_or(0, |tick| {
            tick.has_written = true;
            tick.messages_written += 1;
            tick.messages_written - 1
        })
    })
}

/// The context of one tick; left when dropped, also while an error unwinds.
pub struct HandlerScope(());

impl HandlerScope {
    /// Enters the context of a tick of the subscription `ticking`.
    pub fn enter(ticking: &str, call: HandlerCall) -> Self {
        let running = Running {
            call,
            ticking: ticking.to_owned(),
            messages_written: 0,
            has_written: false,
        };
        RUNNING.with_borrow_mut(|all| all.push(running));
        Self(())
    }

    /// What the next call of a handler is told.
    pub fn update(&self, change: impl FnOnce(&mut HandlerCall)) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(tick) = running.last_mut() {
                change(&mut tick.call);
                tick.messages_written = 0;
            }
        });
    }

    /// Whether a handler of this tick has written messages.
    pub fn has_written(&self) -> bool {
        RUNNING.with_borrow(|running| running.last().is_some_and(|tick| tick.has_written))
    }
}

impl Drop for HandlerScope {
    /// What was written inside is written by the handler that ticked too.
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| {
            let has_written = running.pop().is_some_and(|tick| tick.has_written);
            if let Some(outer) = running.last_mut() {
                outer.has_written |= has_written;
            }
        });
    }
}

/// NULL outside a handler.
fn handler_context(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(context) = current() else {
        return Ok(Reply::null());
    };
    let text = |value: &str| Text::copied(value.as_bytes()).datum();
    Ok(rows::composite(
        call,
        &HANDLER_CALL,
        [
            Some(text(&context.subscriber_id)),
            Some(pg_sys::Datum::from(context.member)),
            Some(pg_sys::Datum::from(context.global_position)),
            Some(pg_sys::Datum::from(context.attempt)),
            Some(pg_sys::Datum::from(context.is_replay)),
            Some(pg_sys::Datum::from(context.is_retry)),
            context.read_model.as_deref().map(text),
        ],
    ))
}
