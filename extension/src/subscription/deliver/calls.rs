//! Calling handlers: each with what its argument says it needs.

use crate::error::Error;
use crate::handler_call::{HandlerCall, HandlerScope};
use crate::message::{self, MessageText};
use crate::pg::array;
use crate::pg::error_context::ErrorContext;
use crate::pg::memory::Scratch;
use crate::pg::routine::{self, PreparedRoutine};
use crate::pg::rows::{RowType, composite_size};
use crate::pg::slot::{RowAddress, RowFetch, Slot};
use crate::subscription::definition::Definition;
use crate::subscription::definition::handlers::{Handler, Handlers, Shape};
use crate::tables::{SCHEMA, messages};
use pgrx::pg_sys;
use std::collections::HashMap;

/// A handler is called with at most this many bytes of messages at a time, so that no array grows
/// past what PostgreSQL can hold.
const RUN_BYTES: usize = 64 << 20;

/// A message on its way to a handler.
#[derive(Clone, Copy)]
pub struct BatchMessage {
    /// Its global position.
    pub position: i64,
    /// Where to find the rest of it.
    pub address: RowAddress,
    /// Whose it is: the number of a handler in [`Calls`].
    pub handler: u16,
    /// Whether it was handled before.
    pub is_replay: bool,
    /// The whole of it, where it was built when it was read.
    pub message: Option<pg_sys::Datum>,
}

/// The handlers of one tick, each looked up when its first message comes.
pub struct Calls {
    handlers: Handlers,
    by_type: HashMap<Vec<u8>, Option<u16>>,
    last_type: (Vec<u8>, Option<u16>),
    prepared: Vec<Prepared>,
    message_type: pg_sys::Oid,
    row_type: RowType<{ messages::COLUMNS }>,
    text: MessageText,
    /// Messages that were built when they were read, until the tick ends.
    built: Scratch,
    built_bytes: usize,
    scratch: Scratch,
    scope: HandlerScope,
    error_context: ErrorContext,
}

struct Prepared {
    handler: Handler,
    call: PreparedRoutine,
}

impl Calls {
    /// For a tick of `definition`; `handlers` as they are stored, and what they are told at first.
    pub fn new(definition: &Definition, handlers: &str, told: HandlerCall) -> Result<Self, Error> {
        let subscriber_id = &definition.subscriber_id;
        let message_type = routine::row_type(SCHEMA, "message").ok_or(Error::NoStore("message"))?;
        Ok(Self {
            handlers: Handlers::stored(handlers, definition.owner),
            by_type: HashMap::new(),
            last_type: (Vec::new(), None),
            prepared: Vec::new(),
            message_type,
            row_type: RowType::of(message_type, &message::TYPES),
            text: MessageText::new(),
            built: Scratch::new("message_store batch"),
            built_bytes: 0,
            scratch: Scratch::new("message_store handler"),
            scope: HandlerScope::enter(subscriber_id, told),
            error_context: ErrorContext::push(format!("subscription \"{subscriber_id}\"")),
        })
    }

    /// Which handler takes messages of this type, made ready in the current memory context;
    /// `None` where nobody does.
    pub fn handler_of(&mut self, message_type: &[u8]) -> Result<Option<u16>, Error> {
        if self.last_type.0 == message_type && !message_type.is_empty() {
            return Ok(self.last_type.1);
        }
        let number = match self.by_type.get(message_type) {
            Some(known) => *known,
            None => {
                let number = self.prepare(message_type)?;
                self.by_type.insert(message_type.to_vec(), number);
                number
            }
        };
        self.last_type = (message_type.to_vec(), number);
        Ok(number)
    }

    fn prepare(&mut self, message_type: &[u8]) -> Result<Option<u16>, Error> {
        let Some(handler) = self.handlers.find(&String::from_utf8_lossy(message_type))? else {
            return Ok(None);
        };
        let known = self
            .prepared
            .iter()
            .position(|prepared| prepared.handler == handler);
        let number = known.unwrap_or_else(|| {
            let arguments = 1;
            self.prepared.push(Prepared {
                handler,
                call: handler.routine.prepare(arguments),
            });
            self.prepared.len() - 1
        });
        Ok(u16::try_from(number).ok())
    }

    /// Whether a handler takes many messages at a time.
    pub fn takes_runs(&self, handler: u16) -> bool {
        matches!(
            self.prepared[usize::from(handler)].handler.shape,
            Shape::Positions | Shape::Messages
        )
    }

    /// The message that `row` is, for a handler that asks for messages, as long as they are not too
    /// many: what is built while its row is at hand need not be fetched.
    pub fn build(&mut self, handler: u16, row: &Slot) -> Option<pg_sys::Datum> {
        let shape = self.prepared[usize::from(handler)].handler.shape;
        if !matches!(shape, Shape::Message | Shape::Messages) || self.built_bytes > RUN_BYTES {
            return None;
        }
        let (row_type, text) = (&self.row_type, &mut self.text);
        let message = self.built.within(|| row_type.value(text.values(row)));
        self.built_bytes += composite_size(message);
        Some(message)
    }

    /// Whether a handler of this tick has written messages.
    pub fn have_written(&self) -> bool {
        self.scope.has_written()
    }

    /// Calls the handler of `run` with it, with the rights and the search_path of now. `tell`
    /// changes what the handler is told.
    pub fn call(
        &mut self,
        run: &[BatchMessage],
        rows: &mut RowFetch<'_>,
        tell: impl Fn(&mut HandlerCall),
    ) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        self.scope.update(|told| {
            told.global_position = last.position;
            told.run_length = run.len();
            tell(told);
        });
        self.error_context.set_position(last.position);
        let Prepared { handler, call } = &mut self.prepared[usize::from(first.handler)];
        let (shape, message_type) = (handler.shape, self.message_type);
        let scratch = &mut self.scratch;
        // What a call that failed has left.
        scratch.reset();
        match shape {
            Shape::Position => scratch.run(|| call.call(&[pg_sys::Datum::from(first.position)])),
            Shape::Positions => scratch.run(|| {
                let positions = run.iter().map(|item| item.position);
                call.call(&[array::of_bigints(positions)]);
            }),
            Shape::Message | Shape::Messages => {
                let (row_type, text) = (&self.row_type, &mut self.text);
                let (mut messages, mut bytes) = (Vec::with_capacity(run.len()), 0);
                for item in run {
                    pgrx::check_for_interrupts!();
                    let message = match item.message {
                        Some(message) => message,
                        None => match rows.row(item.address) {
                            Some(row) => scratch.within(|| row_type.value(text.values(row))),
                            None => continue,
                        },
                    };
                    if shape == Shape::Message {
                        scratch.within(|| call.call(&[message]));
                        break;
                    }
                    bytes += composite_size(message);
                    messages.push(message);
                    if bytes > RUN_BYTES {
                        scratch.within(|| {
                            call.call(&[array::of_composites(&messages, message_type)]);
                        });
                        scratch.reset();
                        (messages, bytes) = (Vec::new(), 0);
                    }
                }
                if !messages.is_empty() {
                    scratch.within(|| {
                        call.call(&[array::of_composites(&messages, message_type)]);
                    });
                }
                scratch.reset();
            }
        }
    }
}
