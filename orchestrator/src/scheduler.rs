//! Ticks every started subscription of the database, of whatever origin, over
//! a few shared connections.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    future::{Fuse, FusedFuture, FutureExt},
    stream::FuturesUnordered,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use message_store_client::{
    Result,
    database::{Database, Outcome, Started, Tick},
};

use crate::{config::Delivery as Pace, health::StoreHealth, metrics, supervisor};

mod journal;
mod schedule;

use journal::Journal;
use schedule::{Failure, Job, Schedule};

/// How often the database is asked what is started: what was started, paused
/// or dropped elsewhere is noticed within a second.
const LIST_INTERVAL: Duration = Duration::from_secs(1);
/// How long the database may take to answer.
const LIST_PATIENCE: Duration = Duration::from_secs(15);
/// Resting subscriptions that are ticked at each list although nothing woke
/// them. The cost stays the same however many there are.
const PROBES: usize = 20;

/// What the scheduler works with.
pub struct Scheduler {
    /// One connection for each tick that may run at a time.
    pub database: Database,
    /// How many those are.
    pub connections: usize,
    /// Lists what is started, however long the ticks take.
    pub control: Database,
    /// How patiently to try again.
    pub pace: Pace,
    /// Changes when there may be new messages.
    pub wake: watch::Receiver<i64>,
    /// Told when a subscription of ours was started.
    pub declared: Arc<Notify>,
    /// Told after every tick that may have changed a read model.
    pub progress: watch::Sender<u64>,
    /// Told what is started.
    pub health: StoreHealth,
    /// Counts the ticks.
    pub metrics: metrics::Ticks,
    /// Makes spans of the ticks.
    #[cfg(feature = "opentelemetry")]
    pub traces: Option<crate::traces::Traces>,
    /// Ends it after the running ticks.
    pub shutdown: CancellationToken,
}

type Ticked = (Job, Duration, Result<Tick>);
type Ticks = FuturesUnordered<Pin<Box<dyn Future<Output = Ticked> + Send>>>;
type Listing = Fuse<Pin<Box<dyn Future<Output = Result<Vec<Started>>> + Send>>>;

/// What is known at a moment.
struct State {
    schedule: Schedule,
    journal: Journal,
    ticks: Ticks,
    listing: Listing,
}

impl Scheduler {
    /// Ticks until shutdown. Never returns because of a failure: it is logged
    /// with the subscriber's id and tried again, without a word to the others.
    pub async fn run(mut self) {
        let mut state = State {
            schedule: Schedule::new(self.connections),
            journal: Journal::new(self.pace),
            ticks: Ticks::new(),
            listing: Fuse::terminated(),
        };
        let mut list = interval(LIST_INTERVAL);
        list.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.shutdown.is_cancelled() {
            self.start_ticks(&mut state);
            let moment = state.schedule.next_moment();
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                Some(ticked) = state.ticks.next() => self.finish(&mut state, ticked),
                Ok(()) = self.wake.changed() => state.schedule.wake(Instant::now()),
                listed = &mut state.listing => self.take_list(&mut state, listed),
                () = self.declared.notified() => state.listing = self.list(),
                () = sleep_until(moment.unwrap_or_else(Instant::now)), if moment.is_some() => {
                    state.schedule.expire(Instant::now());
                }
                _ = list.tick() => {
                    supervisor::say_alive(&self.health);
                    if state.listing.is_terminated() {
                        state.listing = self.list();
                    }
                    state.schedule.probe(PROBES, Instant::now());
                }
            }
        }
        while let Some((job, took, ticked)) = state.ticks.next().await {
            self.note(&state, &job, took, &ticked);
            debug!(subscriber_id = &*job.subscriber_id, "stopped");
        }
    }

    fn list(&self) -> Listing {
        let control = self.control.clone();
        async move {
            let listed = control.started_subscriptions();
            control.within(LIST_PATIENCE, listed).await
        }
        .boxed()
        .fuse()
    }

    fn start_ticks(&self, state: &mut State) {
        while state.ticks.len() < self.connections
            && let Some(job) = state.schedule.take(Instant::now())
        {
            let (database, watcher) = (self.database.clone(), self.control.clone());
            #[cfg(feature = "opentelemetry")]
            let asks_for_member = self.traces.is_some()
                && state
                    .schedule
                    .row(&job.subscriber_id)
                    .is_some_and(|row| row.group_size > 1);
            state.ticks.push(Box::pin(async move {
                let began = Instant::now();
                #[cfg(feature = "opentelemetry")]
                if asks_for_member {
                    let ticked = database.tick_member(&job.subscriber_id, &watcher).await;
                    return (job, began.elapsed(), ticked);
                }
                let ticked = database.tick(&job.subscriber_id, &watcher).await;
                (job, began.elapsed(), ticked)
            }));
        }
    }

    fn finish(&self, state: &mut State, (job, took, ticked): Ticked) {
        let now = Instant::now();
        self.note(state, &job, took, &ticked);
        self.note_writes(&ticked);
        match ticked {
            Ok(tick) => {
                let retry_in = tick.trouble.as_ref().and_then(|trouble| trouble.retry_in);
                state.journal.ticked(&job.subscriber_id, &tick, now);
                let result = schedule::Ticked {
                    outcome: tick.outcome,
                    scanned: tick.scanned,
                    retry_in,
                };
                state.schedule.finish(&job, result, now);
                // Idle too: another orchestrator may have done the work.
                if matches!(tick.outcome, Outcome::Progressed | Outcome::Idle) {
                    self.progress
                        .send_modify(|ticks| *ticks = ticks.wrapping_add(1));
                }
            }
            Err(error) => {
                let pause = state.journal.failed(&job.subscriber_id, &error);
                let failure = if error.is_connection_loss() {
                    Failure::ConnectionLost
                } else {
                    Failure::Refused
                };
                state.schedule.fail(&job, failure, pause, now);
            }
        }
    }

    /// Whether the database takes writes, said once for all subscriptions.
    fn note_writes(&self, ticked: &Result<Tick>) {
        match ticked {
            Err(error) if error.is_read_only() && self.health.takes_writes(false) => {
                warn!("nothing is delivered until the database takes writes: {error}");
            }
            Ok(_) if self.health.takes_writes(true) => info!("the database takes writes again"),
            _ => {}
        }
    }

    /// Tells whoever watches. Nobody of them holds a tick up.
    fn note(&self, state: &State, job: &Job, took: Duration, ticked: &Result<Tick>) {
        self.metrics.ended(&job.subscriber_id, took, ticked);
        #[cfg(feature = "opentelemetry")]
        if let Some(traces) = &self.traces {
            let row = state.schedule.row(&job.subscriber_id);
            traces.ended(&job.subscriber_id, row, took, ticked);
        }
        #[cfg(not(feature = "opentelemetry"))]
        let _ = state;
    }

    fn take_list(&self, state: &mut State, listed: Result<Vec<Started>>) {
        match listed {
            Ok(rows) => {
                self.health.listed(&rows);
                let changes = state.schedule.list(rows);
                state.journal.listed(&changes);
                let added = changes.added.iter().map(|row| row.subscriber_id.as_str());
                let removed = changes.removed.iter().map(|id| &**id);
                self.metrics.listed(added, removed);
            }
            Err(error) => {
                self.health.unlisted();
                state.journal.unlisted(&error);
            }
        }
    }
}
