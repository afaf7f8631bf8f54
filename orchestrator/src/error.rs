//! What can go wrong, said once: what happened, to what, and what to do.
//! Each variant decides the exit code of the program.

use std::path::PathBuf;

pub use message_store_client::error::chain;

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

    /// The database does not answer, or refuses. Exit code 1; 4 where it cannot be reached, 3 for an
    /// address that cannot be used.
    #[error(transparent)]
    Database(#[from] message_store_client::Error),

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
        "{} from what the messages make of {subscriber_id}; `orchestrator subscriptions rebuild` \
         fills it anew", if *rows == 1 { "1 row differs".to_owned() } else { format!("{rows} rows differ") }
    )]
    Differs {
        /// Whose read model.
        subscriber_id: String,
        /// In how many rows.
        rows: usize,
    },

    /// `subscriptions dry-run` met messages that fail. Exit code 1.
    #[error(
        "of {messages} messages of {subscriber_id}, {succeed} would succeed and {failed} would fail; nothing has been changed"
    )]
    WouldFail {
        /// Whose.
        subscriber_id: String,
        /// How many messages there were to try, with those that wait behind a failed one.
        messages: usize,
        /// How many would succeed.
        succeed: usize,
        /// How many would fail.
        failed: usize,
    },

    /// `doctor` or `config check` found something that has to be repaired. Exit code 6.
    #[error("{problems} to be repaired, see PROBLEM above")]
    Unwell {
        /// How many problems.
        problems: usize,
    },

    /// The database is not one that this can be done to. Exit code 1.
    #[error("{problem}\n  {repair}")]
    Refused {
        /// What is the matter.
        problem: String,
        /// What to do.
        repair: &'static str,
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
    /// A part of the orchestrator ended although nobody asked it to: a bug.
    pub fn ended_by_itself() -> Self {
        Self::Io {
            action: "go on: a part of the orchestrator ended by itself".to_owned(),
            cause: std::io::Error::other("see the log above"),
        }
    }

    /// The exit code of the program: 1 failure, 3 configuration, 4 cannot
    /// connect, 5 input data, 6 an unwell store. (0 is success, 2 is clap's for wrong usage.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } => 3,
            Self::Database(message_store_client::Error::Config { .. }) => 3,
            Self::NoDatabase { .. } => 4,
            Self::Input { .. } => 5,
            Self::Load { cause, .. } => cause.exit_code(),
            Self::Unwell { .. } => 6,
            Self::Database(error) if error.is_connection_loss() => 4,
            Self::Database(_)
            | Self::Cluster { .. }
            | Self::Io { .. }
            | Self::Missing { .. }
            | Self::Differs { .. }
            | Self::WouldFail { .. }
            | Self::Refused { .. }
            | Self::Interrupted { .. } => 1,
        }
    }

    /// True where the database went away or was never reached, so that the
    /// same call can succeed by itself later. False where the statement itself
    /// is at fault and somebody has to repair something.
    pub fn is_connection_loss(&self) -> bool {
        match self {
            Self::Database(error) => error.is_connection_loss(),
            Self::Load { cause, .. } => cause.is_connection_loss(),
            _ => false,
        }
    }

    /// True where the server takes no writes.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_read_only())
    }

    /// True where the database has no letters for a text that a person gave.
    pub fn is_unknown_text(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_unknown_text())
    }

    /// True where a statement was refused for what it was given: other data may pass.
    pub fn is_of_the_data(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_of_the_data())
    }

    /// Wraps an operating system error with what was being done.
    pub fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }
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
        let connect = Error::Database(message_store_client::Error::Connect {
            target: "a".into(),
            problem: "b".into(),
        });
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
