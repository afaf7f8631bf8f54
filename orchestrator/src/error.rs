//! What can go wrong, said once: what happened, to what, and what to do.
//! Each variant decides the exit code of the program.

use std::{borrow::Cow, path::PathBuf};

use tokio_postgres::error::SqlState;

mod advice;

/// The longest message, detail or hint of the server that is told, in characters: as much as is
/// kept of a handler's error.
const LONGEST_PART: usize = 8_192;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure as the user sees it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration (file, environment or flag) cannot be used. Exit code 3.
    #[error("configuration {origin}: {problem}")]
    Config {
        /// The file, variable or flag that holds the mistake.
        origin: String,
        /// What is wrong and how to repair it.
        problem: String,
    },

    /// PostgreSQL does not answer, or does not let us in. Exit code 4.
    #[error("cannot connect to PostgreSQL at {target}: {problem}")]
    Connect {
        /// Host and database, never the password.
        target: String,
        /// The cause, as the driver or the server gave it.
        problem: String,
    },

    /// No database was named and no private cluster runs here. Exit code 4.
    #[error(
        "no database to talk to: {} has no running private cluster. \
         Start one with `orchestrator up`, or name a database with --url, \
         DATABASE_URL or --config", data_dir.display()
    )]
    NoDatabase {
        /// Where a private cluster was looked for.
        data_dir: PathBuf,
    },

    /// A statement failed. Exit code 1, or 4 where the connection was lost.
    #[error("cannot {action}: {}", describe(cause))]
    Database {
        /// What was being done, to which subscriber or stream.
        action: String,
        /// The driver's error; its text is part of this one's.
        cause: Box<tokio_postgres::Error>,
    },

    /// Input from the user is not what it must be. Exit code 5.
    #[error("{origin}: {problem}")]
    Input {
        /// The argument, or the file and line.
        origin: String,
        /// What is wrong, what was already written, and how to go on.
        problem: String,
    },

    /// A load of messages ended early, and the messages are not at fault. The exit code is the
    /// cause's.
    #[error("{origin}: {cause}; {state}")]
    Load {
        /// The file, and the lines.
        origin: String,
        /// Why.
        cause: Box<Error>,
        /// What was already written, and how to go on.
        state: String,
    },

    /// The private cluster could not be made, started or stopped. Exit code 1.
    #[error("private PostgreSQL cluster: {problem}")]
    Cluster {
        /// What failed and what to do.
        problem: String,
    },

    /// A file, socket or process did not do as asked. Exit code 1.
    #[error("cannot {action}")]
    Io {
        /// What was being done, to which path.
        action: String,
        /// The operating system's answer.
        #[source]
        cause: std::io::Error,
    },

    /// What was asked for is not there. Exit code 1.
    #[error("{what}")]
    Missing {
        /// What, and where to look for it.
        what: String,
    },

    /// A read model is not what its messages make of it. Exit code 1.
    #[error(
        "{rows} rows differ from what the messages make of {subscriber_id}; \
         `orchestrator subscriptions rebuild` fills it anew"
    )]
    Differs {
        /// Whose read model.
        subscriber_id: String,
        /// In how many rows.
        rows: usize,
    },

    /// `doctor` found something that has to be repaired. Exit code 6.
    #[error("{problems} to be repaired, see PROBLEM above")]
    Unwell {
        /// How many problems.
        problems: usize,
    },

    /// The user stopped a command half-way. Exit code 1.
    #[error("interrupted: {state}")]
    Interrupted {
        /// What is done, and how to go on.
        state: String,
    },
}

impl From<private_cluster::Error> for Error {
    fn from(error: private_cluster::Error) -> Self {
        use private_cluster::Error as Private;
        match error {
            Private::Unusable { origin, problem } => Self::Config { origin, problem },
            Private::Cluster { problem } => Self::Cluster { problem },
            Private::Io { action, cause } => Self::Io { action, cause },
        }
    }
}

impl Error {
    /// The exit code of the program: 1 failure, 3 configuration, 4 cannot
    /// connect, 5 input data, 6 an unwell store. (0 is success, 2 is clap's for wrong usage.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } => 3,
            Self::Connect { .. } | Self::NoDatabase { .. } => 4,
            Self::Input { .. } => 5,
            Self::Load { cause, .. } => cause.exit_code(),
            Self::Unwell { .. } => 6,
            Self::Database { .. } if self.is_connection_loss() => 4,
            Self::Database { .. }
            | Self::Cluster { .. }
            | Self::Io { .. }
            | Self::Missing { .. }
            | Self::Differs { .. }
            | Self::Interrupted { .. } => 1,
        }
    }

    /// True where the database went away or was never reached, so that the
    /// same call can succeed by itself later. False where the statement itself
    /// is at fault and somebody has to repair something.
    pub fn is_connection_loss(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::Database { cause, .. } => is_connection_loss(cause),
            Self::Load { cause, .. } => cause.is_connection_loss(),
            _ => false,
        }
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

    /// Wraps an operating system error with what was being done.
    pub fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_differ_by_cause() {
        let config = Error::Config {
            origin: "a".into(),
            problem: "b".into(),
        };
        let connect = Error::Connect {
            target: "a".into(),
            problem: "b".into(),
        };
        let input = Error::Input {
            origin: "a".into(),
            problem: "b".into(),
        };
        let cluster = Error::Cluster {
            problem: "b".into(),
        };
        let codes = [config, connect, input, cluster].map(|error| error.exit_code());
        assert_eq!(codes, [3, 4, 5, 1]);
    }

    #[test]
    fn an_io_error_is_printed_with_its_cause() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::io("write the address file")(cause);
        assert_eq!(chain(&error), "cannot write the address file: disk on fire");
    }
}
