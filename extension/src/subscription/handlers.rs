//! Which function handles which type of message, and how it wants to be told.

use crate::error::Error;
use crate::message::{self, SCHEMA, column};
use crate::pg::identity;
use crate::pg::routine::{self, PreparedRoutine, Routine};
use crate::pg::scan::IndexScan;
use pgrx::pg_sys;
use serde_json::{Map, Value};
use std::ffi::CString;

/// The key of the handler for every type that has none of its own.
const ANY_TYPE: &str = "$any";

/// What a handler's argument says it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `(bigint)`: the global position.
    Position,
    /// `(message)`: the whole message.
    Message,
}

/// A function found under a handler's name.
struct Handler {
    routine: Routine,
    shape: Shape,
}

impl Handler {
    fn find(name: &str, message_type: &str) -> Result<Self, Error> {
        let unknown =
            || Error::UnknownHandler(name.to_owned(), format!("the handler of {message_type}"));
        let spelled = CString::new(name).map_err(|_| unknown())?;
        if let Some(routine) = Routine::find(&spelled, &[pg_sys::INT8OID]) {
            return Ok(Self {
                routine,
                shape: Shape::Position,
            });
        }
        let message = routine::row_type(SCHEMA, "message").ok_or_else(unknown)?;
        let routine = Routine::find(&spelled, &[message]).ok_or_else(unknown)?;
        Ok(Self {
            routine,
            shape: Shape::Message,
        })
    }
}

/// Finds an init function, which takes no argument; 42883 where there is none of that name.
pub fn find_init(name: &str) -> Result<Routine, Error> {
    let unknown = || Error::UnknownHandler(name.to_owned(), "init".to_owned());
    let spelled = CString::new(name).map_err(|_| unknown())?;
    Routine::find(&spelled, &[]).ok_or_else(unknown)
}

/// 42501 unless `role` may execute the function.
pub fn require_executable(routine: Routine, role: pg_sys::Oid) -> Result<(), Error> {
    if routine.may_be_executed_by(role) {
        Ok(())
    } else {
        Err(Error::HandlerNotExecutable(
            routine.qualified_name(),
            identity::role_name(role),
        ))
    }
}

/// Checks the argument `handlers` of `create_subscription` and returns it as JSON text with
/// every function's name qualified, so that no search_path can change what it means later.
pub fn normalized(handlers: &str, role: pg_sys::Oid) -> Result<String, Error> {
    let repair = "Pass an object such as {\"VideoViewed\": \"message_store.increment_videos_watched\"}; \
                  the key $any stands for every other type.";
    let refuse = |problem: String| Error::argument("handlers", problem, repair);
    let Ok(Value::Object(handlers)) = serde_json::from_str::<Value>(handlers) else {
        return Err(refuse("must be a JSON object".to_owned()));
    };
    if handlers.is_empty() {
        return Err(refuse("must name at least one handler".to_owned()));
    }
    let mut qualified = Map::new();
    for (message_type, name) in handlers {
        if message_type.is_empty() {
            return Err(refuse("has an empty message type".to_owned()));
        }
        let Value::String(name) = name else {
            return Err(refuse(format!(
                "must give {message_type} a function's name as a string"
            )));
        };
        let handler = Handler::find(&name, &message_type)?;
        require_executable(handler.routine, role)?;
        qualified.insert(
            message_type,
            Value::String(handler.routine.qualified_name()),
        );
    }
    Ok(Value::Object(qualified).to_string())
}

/// The handlers of one tick, each looked up when its first message comes.
pub struct Handlers {
    names: Map<String, Value>,
    role: pg_sys::Oid,
    prepared: Vec<(Vec<u8>, Option<Prepared>)>,
}

struct Prepared {
    call: PreparedRoutine,
    shape: Shape,
}

impl Handlers {
    /// From the stored definition; they must be executable by `role`.
    pub fn stored(handlers: &str, role: pg_sys::Oid) -> Self {
        let names = match serde_json::from_str(handlers) {
            Ok(Value::Object(names)) => names,
            _ => Map::new(),
        };
        Self {
            names,
            role,
            prepared: Vec::new(),
        }
    }

    /// Makes sure that the handler of this message's type is known and callable; the memory it
    /// needs is taken from the current context. Returns which one it is, `None` for a type that
    /// nobody handles.
    pub fn prepare(&mut self, message_type: &[u8]) -> Result<Option<usize>, Error> {
        let known = self
            .prepared
            .iter()
            .position(|(known, _)| known == message_type);
        let number = match known {
            Some(number) => number,
            None => {
                let prepared = self.look_up(&String::from_utf8_lossy(message_type))?;
                self.prepared.push((message_type.to_vec(), prepared));
                self.prepared.len() - 1
            }
        };
        Ok(self.prepared[number].1.is_some().then_some(number))
    }

    fn look_up(&self, message_type: &str) -> Result<Option<Prepared>, Error> {
        let name = self
            .names
            .get(message_type)
            .or_else(|| self.names.get(ANY_TYPE));
        let Some(Value::String(name)) = name else {
            return Ok(None);
        };
        let handler = Handler::find(name, message_type)?;
        require_executable(handler.routine, self.role)?;
        let arguments = 1;
        Ok(Some(Prepared {
            call: handler.routine.prepare(arguments),
            shape: handler.shape,
        }))
    }

    /// Hands the message that `row` stands on to handler `number`.
    pub fn call(&mut self, number: usize, row: &IndexScan<'_>) -> Result<(), Error> {
        let Some(prepared) = &mut self.prepared[number].1 else {
            return Ok(());
        };
        let argument = match prepared.shape {
            Shape::Position => pg_sys::Datum::from(row.bigint(column::GLOBAL_POSITION)),
            Shape::Message => {
                let message =
                    routine::row_type(SCHEMA, "message").ok_or(Error::NoStore("message"))?;
                crate::pg::rows::composite_of_type(message, message::values(row))
            }
        };
        prepared.call.call(&[argument]);
        Ok(())
    }
}
