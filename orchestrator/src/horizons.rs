//! Writes down how far messages are settled, for readers on standbys, which cannot prove it.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::complaint::Complaint;
use message_store_client::{Result, database::Database};

/// The time between two looks, while something was drawn that is not settled and written down.
const INTERVAL: Duration = Duration::from_millis(100);
/// The same after a failure. An epoch begins with the first look after a promotion, so it is short.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long the database may take for one: a session with a server that is frozen is given up before others
/// need the connection to look whether ticks go on.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes them down when something was drawn.
pub struct Horizons {
    /// Where to.
    pub database: Database,
    /// Rises with what is drawn.
    pub wake: watch::Receiver<i64>,
    /// Ends it.
    pub shutdown: CancellationToken,
}

impl Horizons {
    /// Does so until shutdown. A failure is logged, once for each cause, and tried again.
    pub async fn run(mut self) {
        let mut complaint = Complaint::that("standbys do not learn how far messages are settled");
        let mut is_complete = false;
        loop {
            if is_complete {
                tokio::select! {
                    () = self.shutdown.cancelled() => return,
                    woken = self.wake.changed() => if woken.is_err() { return },
                }
            }
            let recorded = self.record().await;
            let pause = match &recorded {
                Ok(_) => {
                    complaint.settle();
                    INTERVAL
                }
                Err(error) => {
                    complaint.tell(error);
                    AFTER_FAILURE
                }
            };
            is_complete = recorded.unwrap_or(false);
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    async fn record(&self) -> Result<bool> {
        let recording = self.database.record_horizons();
        self.database.within(PATIENCE, recording).await
    }
}
