//! What orchestrators write down for standbys.

use crate::session::Session;

/// What goes by without a clock: rows are written at most ten times a second.
const LATER: &str = "UPDATE message_store.horizons SET proven_at = proven_at - interval '1 s'";

impl Session {
    /// Writes down how far messages are settled, as if the last time were a second ago; whether that is all
    /// that was drawn.
    pub async fn record_horizons(&self) -> bool {
        self.run(LATER).await.unwrap();
        let record = "SELECT message_store.record_horizons()";
        self.value(record).await.as_deref() == Some("t")
    }
}
