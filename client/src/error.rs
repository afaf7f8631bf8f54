//! What can go wrong between us and a store: what happened, to what, and what to do.

use std::{borrow::Cow, time::Duration};

use tokio_postgres::error::SqlState;

mod advice;

/// The longest message, detail or hint of the server that is told, in characters: as much as is
/// kept of a handler's error.
const LONGEST_PART: usize = 8_192;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("configuration {origin}: {problem}")]
    Config {
        /// The file, variable or flag that holds the mistake.
        origin: String,
        /// What is wrong and how to repair it.
        problem: String,
    },

    /// PostgreSQL does not answer, or does not let us in.
    #[error("cannot connect to PostgreSQL at {target}: {problem}")]
    Connect {
        /// Host and database, never the password.
        target: String,
        /// The cause, as the driver or the server gave it.
        problem: String,
    },

    /// A statement failed.
    #[error("cannot {action}: {}", describe(cause))]
    Database {
        /// What was being done, to which subscriber or stream.
        action: String,
        /// The driver's error; its text is part of this one's.
        cause: Box<tokio_postgres::Error>,
    },

    /// What the caller gave cannot be sent.
    #[error("{problem}")]
    Input {
        /// What is wrong with which argument.
        problem: String,
    },

    /// The handler of a [`Consumer`](crate::Consumer) stopped it.
    #[error("{subscriber_id} stopped at message {position}: {cause}")]
    Handler {
        /// Whose message.
        subscriber_id: String,
        /// Its global position.
        position: i64,
        /// What the handler said.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },

    /// What was asked for is not there.
    #[error("{what}")]
    Missing {
        /// What, and where to look for it.
        what: String,
    },
}

impl Error {
    /// That there was no answer in time: the connection may be half open, or the server stopped.
    pub fn no_answer(target: &str, within: Duration) -> Self {
        Self::Connect {
            target: target.to_owned(),
            problem: format!("no answer within {} s", within.as_secs()),
        }
    }

    /// True where the database went away or was never reached, so that the
    /// same call can succeed by itself later. False where the statement itself
    /// is at fault and somebody has to repair something.
    pub fn is_connection_loss(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::Database { cause, .. } => is_connection_loss(cause),
            Self::Config { .. }
            | Self::Handler { .. }
            | Self::Input { .. }
            | Self::Missing { .. } => false,
        }
    }

    /// True where the server takes no writes: a standby, or a database that was made read-only.
    pub fn is_read_only(&self) -> bool {
        self.sql_state() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// True where a statement was refused for what it was given: other data may pass.
    pub fn is_of_the_data(&self) -> bool {
        const CLASSES: [&str; 4] = ["22", "23", "54", "P0"];
        match self.sql_state() {
            Some(state) => CLASSES.contains(&&state.code()[..2]),
            None => matches!(self, Self::Database { .. }) && !self.is_connection_loss(),
        }
    }

    /// True where the database has no letters for a text that a person gave.
    pub fn is_unknown_text(&self) -> bool {
        let unknown = [
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            SqlState::UNTRANSLATABLE_CHARACTER,
        ];
        self.sql_state()
            .is_some_and(|state| unknown.contains(state))
    }

    /// The SQLSTATE of the server's error, where the server gave one.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Database { cause, .. } => cause.code(),
            _ => None,
        }
    }

    /// Wraps a driver error with what was being done.
    pub fn database(action: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let action = action.into();
        move |cause| Self::Database {
            action,
            cause: Box::new(cause),
        }
    }
}

/// A server on its way down or up reports it by SQLSTATE; a server that is
/// gone shows as a closed connection or an input/output error.
fn is_connection_loss(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(state) => {
            let restarting = [
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::TOO_MANY_CONNECTIONS,
                // A standby that has not been promoted yet.
                SqlState::READ_ONLY_SQL_TRANSACTION,
            ];
            restarting.contains(state) || state.code().starts_with("08")
        }
        None => {
            error.is_closed()
                || std::error::Error::source(error)
                    .is_some_and(|cause| cause.is::<std::io::Error>())
        }
    }
}

/// The server's message, detail, hint and SQLSTATE in one line, or the chain
/// of causes where the server said nothing; then what to do, where that is known.
pub fn describe(error: &tokio_postgres::Error) -> String {
    let mut text = told(error);
    if let Some(advice) = advice::advice(error) {
        text.push_str(". ");
        text.push_str(advice);
    }
    text
}

fn told(error: &tokio_postgres::Error) -> String {
    let Some(server) = error.as_db_error() else {
        return chain(error);
    };
    let mut text = begin(server.message()).into_owned();
    // The first line says it; what follows can be pages of a server's insides.
    if let Some(detail) = server.detail().and_then(|detail| detail.lines().next())
        && !detail.is_empty()
    {
        text.push_str(". Detail: ");
        text.push_str(&begin(detail));
    }
    if let Some(hint) = server.hint() {
        text.push_str(". Hint: ");
        text.push_str(&begin(hint));
    }
    text.push_str(" (SQLSTATE ");
    text.push_str(server.code().code());
    text.push(')');
    text
}

/// How a text begins: a function may raise megabytes, and an error is told in logs and on pages.
fn begin(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_PART) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// An error and its causes, outermost first, separated by colons.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
