//! What can go wrong with a cluster.

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no PostgreSQL that could be run.
    #[error("{origin}: {problem}")]
    Unusable {
        /// What was looked at.
        origin: String,
        /// What is wrong and how to repair it.
        problem: String,
    },

    /// The cluster could not be made, started or stopped.
    #[error("{problem}")]
    Cluster {
        /// What failed and what to do.
        problem: String,
    },

    /// A file or process did not do as asked.
    #[error("cannot {action}")]
    Io {
        /// What was being done, to which path.
        action: String,
        /// The operating system's answer.
        #[source]
        cause: std::io::Error,
    },
}

impl Error {
    /// Wraps an operating system's answer with what was being done.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }
}
