//! The one connection that waits in the server, so that nobody else polls.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    config::Delivery as Pace, error::Result, health::StoreHealth, retry::Retry,
    ticking_role::TickingRole,
};
use message_store_client::database::Database;

/// The least time between two wake-ups. A flood of writes wakes the loops
/// 500 times a second, not once a message; a message waits no longer than this.
const WAKE_INTERVAL: Duration = Duration::from_millis(2);

/// How long the database may take to answer what needs no waiting.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for messages and tells everybody who watches.
pub struct Waiter {
    /// Where to wait.
    pub database: Database,
    /// How long one wait takes, and how patiently to reconnect.
    pub pace: Pace,
    /// Gets the last drawn position each time it rises, and after each
    /// reconnect, whatever it is.
    pub wake: watch::Sender<i64>,
    /// Told when the connection comes and goes.
    pub health: StoreHealth,
    /// Looked at with each connection.
    pub role: TickingRole,
    /// Ends the waiting at once.
    pub shutdown: CancellationToken,
}

impl Waiter {
    /// Waits until shutdown; reconnects with growing, jittered pauses.
    pub async fn run(mut self) {
        let mut retry = Retry::new(&self.pace);
        let mut said = String::new();
        while let Err(error) = self.wait_on_one_connection(&mut retry, &mut said).await {
            self.health.disconnected();
            let pause = retry.next_pause();
            // Once for each cause: an outage of a night is a few lines.
            let cause = error.to_string();
            if cause == said {
                debug!("{cause}; will try again in {} ms", pause.as_millis());
            } else {
                warn!("{cause}; will try again until it works");
                said = cause;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    async fn wait_on_one_connection(&mut self, retry: &mut Retry, said: &mut String) -> Result<()> {
        let session = tokio::select! {
            session = self.database.session() => session?,
            () = self.shutdown.cancelled() => return Ok(()),
        };
        let database = &self.database;
        let powers = database.within(PATIENCE, session.powers()).await?;
        self.role.look(powers);
        database.within(PATIENCE, session.show_presence()).await?;
        self.health.connected();
        info!("connected to {}", self.database.label());
        // From zero after each connect: what was drawn meanwhile is reported at
        // once, and so is a store that was restored to lower positions.
        let mut after = 0;
        self.wake.send_modify(|_| {});
        loop {
            let last = tokio::select! {
                last = session.wait_for_messages(after, self.pace.wait_timeout) => last?,
                () = self.shutdown.cancelled() => {
                    session.cancel().await;
                    return Ok(());
                }
            };
            retry.reset();
            said.clear();
            if last != after {
                debug!(last, "woken");
                self.wake.send_replace(last);
                after = last;
                sleep(WAKE_INTERVAL).await;
            }
        }
    }
}
