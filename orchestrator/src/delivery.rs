//! One loop per subscription: start it, tick it, and when it fails try again
//! without a word to the others.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    config::{Delivery as Pace, Subscription},
    database::{Database, Outcome, Tick},
    error::Result,
    retry::Retry,
};

/// The first pause after a tick that writers in flight held back.
const HELD_BACK_MIN: Duration = Duration::from_millis(1);
/// The longest of these pauses: each costs the server a look at its locks.
const HELD_BACK_MAX: Duration = Duration::from_millis(50);
/// The pause while another orchestrator ticks the same subscriber.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// What one subscription's loop works with.
pub struct Delivery {
    /// The pool the subscriptions share.
    pub database: Database,
    /// What is delivered.
    pub subscription: Subscription,
    /// How often and how patiently.
    pub pace: Pace,
    /// Changes when there may be new messages.
    pub wake: watch::Receiver<i64>,
    /// Told after every tick that may have changed a read model.
    pub progress: watch::Sender<u64>,
    /// Ends the loop after the running tick.
    pub shutdown: CancellationToken,
}

/// What follows a tick.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Tick,
    Pause(Duration),
    Wait,
}

impl Delivery {
    /// Delivers until shutdown. Never returns because of a failure: it is
    /// logged with the subscriber's id and tried again, with growing pauses.
    pub async fn run(mut self) {
        let id = self.subscription.subscriber_id.clone();
        let mut retry = Retry::new(&self.pace);
        while !self.shutdown.is_cancelled() {
            let delivered = self.start_and_tick(&mut retry).await;
            let Err(error) = delivered else { break };
            let lost = error.is_connection_loss();
            let pause = retry.next_pause();
            let pause_ms = pause.as_millis() as u64;
            if lost {
                // The waiter says it once for all subscriptions.
                debug!(subscriber_id = id, pause_ms, "not delivering: {error}");
            } else {
                warn!(
                    subscriber_id = id,
                    pause_ms, "subscription failed, will try again: {error}"
                );
            }
            self.pause_after_failure(pause, lost).await;
        }
        debug!(subscriber_id = id, "stopped");
    }

    /// A lost database may be back before the pause is over, and the waiter
    /// says so. A failing handler is not repaired by new messages: it waits
    /// the pause out, or every message would run it again.
    async fn pause_after_failure(&mut self, pause: Duration, database_was_lost: bool) {
        if database_was_lost {
            self.wake.mark_unchanged();
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = self.shutdown.cancelled() => {}
            Ok(()) = self.wake.changed(), if database_was_lost => {}
        }
    }

    async fn start_and_tick(&mut self, retry: &mut Retry) -> Result<()> {
        let id = self.subscription.subscriber_id.clone();
        let changed = self
            .database
            .create_subscription(&self.subscription)
            .await?;
        self.database.start(&id).await?;
        if retry.is_fresh() {
            let category = &self.subscription.category;
            info!(subscriber_id = id, category, changed, "started");
        }

        let mut held_back = HELD_BACK_MIN;
        while !self.shutdown.is_cancelled() {
            // Seen before the tick: a wake-up during it leads to another one.
            self.wake.mark_unchanged();
            let tick = self
                .database
                .tick(&id, self.subscription.batch_size)
                .await?;
            if retry.reset() {
                info!(
                    subscriber_id = id,
                    position = tick.position,
                    "delivering again"
                );
            }
            self.report(&id, tick);
            match next_step(tick.outcome, &mut held_back) {
                Next::Tick => {}
                Next::Pause(pause) => tokio::select! {
                    () = sleep(pause) => {}
                    () = self.shutdown.cancelled() => {}
                },
                Next::Wait => tokio::select! {
                    Ok(()) = self.wake.changed() => {}
                    () = self.shutdown.cancelled() => {}
                    // A net under the waiter, should it be the one that cannot connect.
                    () = sleep(self.pace.wait_timeout * 2) => {}
                },
            }
        }
        Ok(())
    }

    fn report(&self, subscriber_id: &str, tick: Tick) {
        debug!(
            subscriber_id,
            outcome = ?tick.outcome,
            scanned = tick.scanned,
            handled = tick.handled,
            position = tick.position,
            "tick"
        );
        // Idle too: another orchestrator may have done the work.
        if matches!(tick.outcome, Outcome::Progressed | Outcome::Idle) {
            self.progress
                .send_modify(|ticks| *ticks = ticks.wrapping_add(1));
        }
    }
}

/// Idle is the proof that everything drawn before the tick is processed, so
/// only then may the loop rely on the next wake-up.
fn next_step(outcome: Outcome, held_back: &mut Duration) -> Next {
    if outcome == Outcome::HeldBack {
        let pause = *held_back;
        *held_back = (pause * 2).min(HELD_BACK_MAX);
        return Next::Pause(pause);
    }
    *held_back = HELD_BACK_MIN;
    match outcome {
        Outcome::Progressed => Next::Tick,
        Outcome::Busy => Next::Pause(BUSY_PAUSE),
        Outcome::Idle | Outcome::HeldBack => Next::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_ticks_again_at_once_and_idle_waits() {
        let mut held_back = HELD_BACK_MIN;
        assert_eq!(next_step(Outcome::Progressed, &mut held_back), Next::Tick);
        assert_eq!(next_step(Outcome::Idle, &mut held_back), Next::Wait);
        assert_eq!(
            next_step(Outcome::Busy, &mut held_back),
            Next::Pause(BUSY_PAUSE)
        );
    }

    #[test]
    fn held_back_pauses_double_to_their_limit_and_start_over_after_progress() {
        let mut held_back = HELD_BACK_MIN;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            if let Next::Pause(pause) = next_step(Outcome::HeldBack, &mut held_back) {
                pauses.push(pause.as_millis());
            }
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 50, 50]);
        next_step(Outcome::Progressed, &mut held_back);
        assert_eq!(
            next_step(Outcome::HeldBack, &mut held_back),
            Next::Pause(HELD_BACK_MIN)
        );
    }
}
