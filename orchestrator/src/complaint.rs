//! A failure that is tried again is logged once for each cause: an outage of a night is a few lines.

use tracing::{debug, warn};

use message_store_client::Error;

/// What was last said of a task's failures.
pub struct Complaint {
    /// What does not happen meanwhile.
    what: &'static str,
    said: String,
}

impl Complaint {
    /// Nothing was said yet.
    pub fn that(what: &'static str) -> Self {
        Self {
            what,
            said: String::new(),
        }
    }

    /// It works again: the next failure is news.
    pub fn settle(&mut self) {
        self.said.clear();
    }

    /// It failed. Of the connection others speak.
    pub fn tell(&mut self, error: &Error) {
        let what = self.what;
        if error.is_connection_loss() || error.is_read_only() {
            debug!("{what}: {error}");
            return;
        }
        let cause = error.to_string();
        if cause != self.said {
            warn!("{what}: {cause}");
            self.said = cause;
        }
    }
}
