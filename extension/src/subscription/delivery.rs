//! A batch of messages on its way to the handlers.

use super::context::Scope;
use super::definition::Definition;
use super::handlers::{Handler, Handlers, Shape};
use super::source::Source;
use crate::error::Error;
use crate::message::{self, SCHEMA, column};
use crate::pg::array;
use crate::pg::error_context::ErrorContext;
use crate::pg::memory::Scratch;
use crate::pg::routine::{self, PreparedRoutine};
use crate::pg::rows;
use crate::pg::scan::IndexScan;
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;
use pgrx::pg_sys;
use std::collections::HashMap;

/// What became of a batch.
pub struct Delivered {
    /// Messages read.
    pub scanned: i64,
    /// Messages given to a handler.
    pub handled: i64,
    /// The last position read.
    pub position: i64,
}

/// Hands up to `batch_size` messages after `position` to their handlers, as the owner.
pub fn deliver(
    id: Text<'_>,
    subscription: &Definition,
    source: &Source<'_>,
    position: i64,
    batch_size: i64,
) -> Result<Delivered, Error> {
    let mut delivered = Delivered {
        scanned: 0,
        handled: 0,
        position,
    };
    let mut dispatch = Dispatch::new(&id.to_str(), subscription)?;
    let _owner = subscription.act_as_owner()?;
    let snapshot = Fresh::take();
    let mut scan = source.scan(&snapshot, position);
    while delivered.scanned < batch_size && scan.advance() {
        pgrx::check_for_interrupts!();
        delivered.scanned += 1;
        delivered.position = scan.bigint(column::GLOBAL_POSITION);
        if let Some(number) = dispatch.handler_of(scan.text(column::TYPE).bytes())? {
            dispatch.hand_over(number, &scan);
            delivered.handled += 1;
        }
    }
    dispatch.end_run();
    Ok(delivered)
}

/// A run of messages ends when it has this many bytes, so that no array grows past what PostgreSQL
/// can hold.
const RUN_BYTES: usize = 64 << 20;

/// The handlers of one tick, each looked up when its first message comes, and the run of
/// consecutive messages that waits to be handed to one of them in one call.
struct Dispatch {
    handlers: Handlers,
    by_type: HashMap<Vec<u8>, Option<usize>>,
    prepared: Vec<Prepared>,
    message_type: pg_sys::Oid,
    run: Vec<pg_sys::Datum>,
    run_bytes: usize,
    runs_for: usize,
    scratch: Scratch,
    scope: Scope,
    error_context: ErrorContext,
}

struct Prepared {
    handler: Handler,
    call: PreparedRoutine,
}

impl Dispatch {
    fn new(subscriber_id: &str, subscription: &Definition) -> Result<Self, Error> {
        Ok(Self {
            handlers: Handlers::stored(&subscription.handlers, subscription.owner),
            by_type: HashMap::new(),
            prepared: Vec::new(),
            message_type: routine::row_type(SCHEMA, "message").ok_or(Error::NoStore("message"))?,
            run: Vec::new(),
            run_bytes: 0,
            runs_for: 0,
            scratch: Scratch::new("message_store handler"),
            scope: Scope::enter(subscriber_id),
            error_context: ErrorContext::push(format!("subscription \"{subscriber_id}\"")),
        })
    }

    /// Which handler takes messages of this type, made ready in the current memory context;
    /// `None` where nobody does.
    fn handler_of(&mut self, message_type: &[u8]) -> Result<Option<usize>, Error> {
        if let Some(known) = self.by_type.get(message_type) {
            return Ok(*known);
        }
        let found = self.handlers.find(&String::from_utf8_lossy(message_type))?;
        let number = found.map(|handler| {
            let known = self
                .prepared
                .iter()
                .position(|prepared| prepared.handler == handler);
            known.unwrap_or_else(|| {
                let arguments = 1;
                self.prepared.push(Prepared {
                    handler,
                    call: handler.routine.prepare(arguments),
                });
                self.prepared.len() - 1
            })
        });
        self.by_type.insert(message_type.to_vec(), number);
        Ok(number)
    }

    /// Gives the message that `row` stands on to handler `number`: at once, or, where it takes an
    /// array, together with the consecutive messages for it. A message for another handler ends
    /// the run, so order across handlers is kept; messages nobody handles do not.
    fn hand_over(&mut self, number: usize, row: &IndexScan<'_>) {
        if number != self.runs_for {
            self.end_run();
            self.runs_for = number;
        }
        let position = row.bigint(column::GLOBAL_POSITION);
        let shape = self.prepared[number].handler.shape;
        let message_type = self.message_type;
        let argument = match shape {
            Shape::Position | Shape::Positions => pg_sys::Datum::from(position),
            Shape::Message | Shape::Messages => {
                let build = || rows::composite_of_type(message_type, message::values(row));
                let message = self.scratch.within(build);
                self.run_bytes += rows::composite_size(message);
                message
            }
        };
        self.scope.at(position);
        self.error_context.set_position(position);
        self.run.push(argument);
        if matches!(shape, Shape::Position | Shape::Message) || self.run_bytes > RUN_BYTES {
            self.end_run();
        }
    }

    /// Calls the handler whose run this is with what it has collected.
    fn end_run(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let Prepared { handler, call } = &mut self.prepared[self.runs_for];
        let run = &self.run;
        let message_type = self.message_type;
        self.scratch.within(|| {
            let argument = match handler.shape {
                Shape::Position | Shape::Message => run[0],
                Shape::Positions => array::of_bigints(run),
                Shape::Messages => array::of_composites(run, message_type),
            };
            call.call(&[argument]);
        });
        self.scratch.reset();
        self.run.clear();
        self.run_bytes = 0;
    }
}
