//! Which function handles which type of message, and how it wants to be told.

use crate::error::Error;
use crate::pg::acting_as::ActingAs;
use crate::pg::identity;
use crate::pg::routine::{self, Routine};
use crate::tables::SCHEMA;
use pgrx::pg_sys;
use serde_json::{Map, Value};
use std::ffi::CString;

/// The key of the handler for every type that has none of its own.
const ANY_TYPE: &str = "$any";

/// What a handler's argument says it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `(bigint[])`: the global positions of a run of messages.
    Positions,
    /// `(bigint)`: the global position.
    Position,
    /// `(message[])`: a run of messages.
    Messages,
    /// `(message)`: the whole message.
    Message,
}

impl Shape {
    /// As it stands behind a stored handler's name: a function of the same name with another
    /// argument must not take its place.
    fn signature(self) -> &'static str {
        match self {
            Self::Positions => "(bigint[])",
            Self::Position => "(bigint)",
            Self::Messages => "(message_store.message[])",
            Self::Message => "(message_store.message)",
        }
    }
}

/// A function found under a handler's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The function.
    pub routine: Routine,
    /// Its argument.
    pub shape: Shape,
}

impl Handler {
    /// By name, with or without its signature; of several functions of one name, the one that
    /// asks for least and takes most at a time. Looked up with the rights of `role`, whose handler
    /// it is: whoever ticks need not see its schema.
    fn find(name: &str, message_type: &str, role: pg_sys::Oid) -> Result<Self, Error> {
        let _role = ActingAs::role(role);
        let unknown =
            || Error::UnknownHandler(name.to_owned(), format!("the handler of {message_type}"));
        let message = routine::row_type(SCHEMA, "message").ok_or_else(unknown)?;
        let shapes = [
            (Shape::Positions, pg_sys::INT8ARRAYOID),
            (Shape::Position, pg_sys::INT8OID),
            (Shape::Messages, routine::array_of(message)),
            (Shape::Message, message),
        ];
        for (shape, argument) in shapes {
            let bare = name.strip_suffix(shape.signature());
            if bare.is_none() && name.ends_with(')') {
                continue;
            }
            let spelled = CString::new(bare.unwrap_or(name)).map_err(|_| unknown())?;
            if let Some(routine) = Routine::find(&spelled, &[argument]) {
                return Ok(Self { routine, shape });
            }
        }
        Err(unknown())
    }

    /// Its name with schema and signature.
    fn qualified_name(&self) -> String {
        self.routine.qualified_name() + self.shape.signature()
    }
}

/// Finds an init function, which takes no argument; 42883 where there is none of that name.
/// Looked up with the rights of `role`, whose function it is.
pub fn find_init(name: &str, role: pg_sys::Oid) -> Result<Routine, Error> {
    let _role = ActingAs::role(role);
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
            routine.signature(),
            identity::role_name(role),
        ))
    }
}

/// Checks the argument `handlers` of `create_subscription` and returns it as JSON text with
/// every function's name qualified, so that no search_path can change what it means later.
pub fn normalized(handlers: &str, role: pg_sys::Oid) -> Result<String, Error> {
    let repair = "Pass an object such as {\"VideoViewed\": \"message_store.increment_videos_watched\"}; \
                  the key $any stands for every other type, and {} for an application that fetches.";
    let refuse = |problem: String| Error::argument("handlers", problem, repair);
    let Ok(Value::Object(handlers)) = serde_json::from_str::<Value>(handlers) else {
        return Err(refuse("must be a JSON object".to_owned()));
    };
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
        let handler = Handler::find(&name, &message_type, role)?;
        require_executable(handler.routine, role)?;
        qualified.insert(message_type, Value::String(handler.qualified_name()));
    }
    Ok(Value::Object(qualified).to_string())
}

/// The handlers of a subscription as they are stored.
pub struct Handlers {
    names: Map<String, Value>,
    role: pg_sys::Oid,
}

impl Handlers {
    /// From the stored definition; they must be executable by `role`.
    pub fn stored(handlers: &str, role: pg_sys::Oid) -> Self {
        let names = match serde_json::from_str(handlers) {
            Ok(Value::Object(names)) => names,
            _ => Map::new(),
        };
        Self { names, role }
    }

    /// The handler of this type, `None` where nobody handles it. 42883 where its function is
    /// gone, 42501 where the role may no longer execute it.
    pub fn find(&self, message_type: &str) -> Result<Option<Handler>, Error> {
        let name = self
            .names
            .get(message_type)
            .or_else(|| self.names.get(ANY_TYPE));
        let Some(Value::String(name)) = name else {
            return Ok(None);
        };
        let handler = Handler::find(name, message_type, self.role)?;
        require_executable(handler.routine, self.role)?;
        Ok(Some(handler))
    }
}
