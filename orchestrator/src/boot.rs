//! What the configuration lists is created and started, each without waiting
//! for another, and tried again until it is.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, warn};

use crate::{
    config::{Delivery as Pace, Subscription},
    error::Result,
    retry::Retry,
};
use message_store_client::database::Database;

/// After how long a declaration is said to take long: 30 s.
const LONG: Duration = Duration::from_secs(30);

/// What declaring needs.
#[derive(Clone)]
pub struct Boot {
    /// Where to declare; not the connections of the ticks.
    pub control: Database,
    /// How patiently to try again.
    pub pace: Pace,
    /// Told after each success.
    pub declared: Arc<Notify>,
    /// Ends it.
    pub shutdown: CancellationToken,
}

impl Boot {
    /// Returns at shutdown.
    pub async fn run(self, subscriptions: Vec<Subscription>) {
        let mut tasks = JoinSet::new();
        for subscription in subscriptions {
            let declaring = self.clone().declare_until_done(subscription);
            tasks.spawn(declaring.in_current_span());
        }
        self.shutdown.cancelled().await;
        tasks.join_all().await;
    }

    async fn declare_until_done(self, subscription: Subscription) {
        let id = subscription.subscriber_id.as_str();
        let mut retry = Retry::new(&self.pace);
        let mut said = String::new();
        while !self.shutdown.is_cancelled() {
            let Err(error) = self.declare_patiently(&subscription).await else {
                self.declared.notify_one();
                return;
            };
            let pause = retry.next_pause();
            let cause = error.to_string();
            // The waiter says it once for all when the database is away.
            let is_away = error.is_connection_loss() && !error.is_read_only();
            if is_away || cause == said {
                debug!(subscriber_id = id, "not started: {cause}");
            } else {
                warn!(subscriber_id = id, "not started, will try again: {cause}");
                said = cause;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    /// Says so where it takes long.
    async fn declare_patiently(&self, subscription: &Subscription) -> Result<()> {
        let mut declaring = pin!(self.declare(subscription));
        loop {
            tokio::select! {
                declared = &mut declaring => return declared,
                () = sleep(LONG) => warn!(
                    subscriber_id = subscription.subscriber_id,
                    "still being declared: it waits for a running tick, or the database does not answer"
                ),
            }
        }
    }

    async fn declare(&self, subscription: &Subscription) -> Result<()> {
        let id = subscription.subscriber_id.as_str();
        let changed = self
            .control
            .create_subscription(
                id,
                &subscription.source,
                &subscription.handlers,
                &subscription.options,
            )
            .await?;
        let at_boot = true;
        let state = self.control.start(id, at_boot).await?;
        let source = subscription.source.as_str();
        info!(subscriber_id = id, source, changed, state, "declared");
        Ok(())
    }
}
