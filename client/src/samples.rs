//! What all subscriptions do, looked at every ten seconds and remembered for an
//! hour: the dashboard's overview, its charts and the metrics all come from here,
//! so that many watchers cost no more than none.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    database::{
        Database, HorizonBlocker, Orchestrator, Shard, SubscriptionStatus, UnconfirmedEpoch,
    },
    error::Result,
    shards::{self, ShardStatus},
};

/// The pause between two samples.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one is remembered.
const MEMORY: Duration = Duration::from_secs(3600);
/// The pause is at least so many times what the sample before it took. The lag
/// of a subscription far behind takes a millisecond or two to count, so sampling
/// a hundred of those takes no more than half a percent of a core.
const REST: u32 = 200;
/// The longest pause all the same: what is older says too little.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// A shard's positions are so far apart.
const STEP_OF_SHARDS: i64 = 1024;
/// So many positions are left out where an epoch begins.
const LEFT_OUT: i64 = 1_000_000;
/// Subscriptions whose series are kept; beyond that only the latest sample is.
const MOST_SERIES: usize = 1000;

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When, by our clock.
    pub at: SystemTime,
    /// The global position of the last message.
    pub head: i64,
    /// Global positions a second since the sample before: messages written, and
    /// the few gaps of writers that rolled back. `None` in the first sample.
    pub write_rate: Option<f64>,
    /// All that since the first sample.
    pub written: u64,
    /// Whether messages may have been lost when an epoch began.
    pub unconfirmed_epoch: Option<UnconfirmedEpoch>,
    /// A row for each member of each subscription, in order.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// Transactions that hold readers back.
    pub blockers: Vec<HorizonBlocker>,
    /// Orchestrators that wait for messages.
    pub orchestrators: Vec<Orchestrator>,
    /// All shards, where the store is one of several, or a router.
    pub shards: Vec<ShardStatus>,
    /// True where it is a router: it has no messages and no subscriptions of its own.
    pub is_router: bool,
}

/// One subscription at one moment, all its members together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub at: SystemTime,
    /// Messages it has yet to read.
    pub lag: i64,
    /// Messages it handled a second since the sample before; 0 in the first one.
    pub rate: f64,
    /// Messages it has handled so far.
    pub handled: i64,
    /// The position of the member furthest behind.
    pub position: i64,
}

/// The whole log at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written {
    /// When.
    pub at: SystemTime,
    /// The last global position.
    pub head: i64,
    /// Positions a second since the sample before.
    pub rate: f64,
}

/// What was seen last.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    /// The last sample that could be taken.
    pub sample: Option<Arc<Sample>>,
    /// Why none could be taken since.
    pub trouble: Option<String>,
}

/// The samples of the last hour. Cheap to clone; all clones share them.
#[derive(Clone, Default)]
pub struct Samples {
    latest: watch::Sender<Latest>,
    memory: Arc<RwLock<Memory>>,
    wanted: Arc<Notify>,
}

#[derive(Default)]
struct Memory {
    series: HashMap<String, VecDeque<Point>>,
    written: VecDeque<Written>,
}

impl Samples {
    /// The last sample; `None` before the first one.
    pub fn latest(&self) -> Option<Arc<Sample>> {
        self.latest.borrow().sample.clone()
    }

    /// The last sample, and why there is none since.
    pub fn look(&self) -> Latest {
        self.latest.borrow().clone()
    }

    /// Tells of every sample, and of every failure to take one.
    pub fn subscribe(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }

    /// One subscription over the last hour, the oldest point first.
    pub fn series(&self, subscriber_id: &str) -> Vec<Point> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        let points = memory.series.get(subscriber_id);
        points.map_or_else(Vec::new, |points| points.iter().copied().collect())
    }

    /// The log over the last hour, the oldest moment first.
    pub fn written(&self) -> Vec<Written> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.written.iter().copied().collect()
    }

    /// Asks for a sample now: somebody has just changed something.
    pub fn refresh(&self) {
        self.wanted.notify_one();
    }

    fn add(&self, sample: Sample) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.add(&sample);
        drop(memory);
        self.latest.send_replace(Latest {
            sample: Some(Arc::new(sample)),
            trouble: None,
        });
    }

    fn fail(&self, trouble: String) {
        self.latest
            .send_modify(|latest| latest.trouble = Some(trouble));
    }
}

impl Memory {
    fn add(&mut self, sample: &Sample) {
        if let Some(rate) = sample.write_rate {
            self.written.push_back(Written {
                at: sample.at,
                head: sample.head,
                rate,
            });
        }
        for rows in sample
            .subscriptions
            .chunk_by(|one, next| one.subscriber_id == next.subscriber_id)
        {
            let id = &rows[0].subscriber_id;
            if !self.series.contains_key(id) && self.series.len() >= MOST_SERIES {
                continue;
            }
            let series = self.series.entry(id.clone()).or_default();
            let before = series.back().copied();
            series.push_back(Point::of(sample.at, rows, before));
        }
        let is_old = |at: SystemTime| {
            let age = sample.at.duration_since(at);
            age.is_ok_and(|age| age > MEMORY)
        };
        while self.written.front().is_some_and(|front| is_old(front.at)) {
            self.written.pop_front();
        }
        self.series.retain(|_, points| {
            while points.front().is_some_and(|front| is_old(front.at)) {
                points.pop_front();
            }
            !points.is_empty()
        });
    }
}

impl Point {
    fn of(at: SystemTime, members: &[SubscriptionStatus], before: Option<Self>) -> Self {
        let handled = members.iter().map(|member| member.handled).sum();
        let since = |before: Self| {
            let elapsed = at.duration_since(before.at).unwrap_or_default();
            rate(handled - before.handled, elapsed)
        };
        Self {
            at,
            lag: members.iter().filter_map(|member| member.lag).sum(),
            rate: before.map_or(0.0, since),
            handled,
            position: members
                .iter()
                .map(|member| member.position)
                .min()
                .unwrap_or(0),
        }
    }
}

/// What writes are counted from.
#[derive(Clone, Copy)]
struct Before {
    looked: Instant,
    head: i64,
    written: u64,
}

/// The one task that looks.
pub struct Sampler {
    /// Where to look; not the connections of the ticks.
    pub database: Database,
    /// Where the samples go.
    pub samples: Samples,
    /// Ends it.
    pub shutdown: CancellationToken,
}

impl Sampler {
    /// Samples until shutdown. A failure is told to whoever watches, and tried again.
    pub async fn run(self) {
        let mut before: Option<Before> = None;
        let mut said = String::new();
        loop {
            // However long a shard that is away takes, the pause is that of what is looked at here.
            let shards = tokio::select! {
                shards = self.database.within(PATIENCE, self.look_at_shards()) => shards,
                () = self.shutdown.cancelled() => return,
            };
            let began = Instant::now();
            let taking = async { self.take(before, shards?).await };
            let taken = tokio::select! {
                taken = self.database.within(PATIENCE, taking) => taken,
                () = self.shutdown.cancelled() => return,
            };
            match taken {
                Ok(sample) => {
                    before = Some(Before {
                        looked: began,
                        head: sample.head,
                        written: sample.written,
                    });
                    said.clear();
                    self.samples.add(sample);
                }
                Err(error) => {
                    let cause = error.to_string();
                    // The waiter tells of a database that is away.
                    if error.is_connection_loss() || cause == said {
                        debug!("no sample: {cause}");
                    } else {
                        warn!("cannot watch the subscriptions: {cause}");
                        said.clone_from(&cause);
                    }
                    self.samples.fail(cause);
                }
            }
            let took = began.elapsed();
            tokio::select! {
                () = sleep(pause_after(took)) => {}
                () = self.wanted_after(took) => {}
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    /// A person's action is seen soon, but a crowd of them costs no more than
    /// a tenth of a core.
    async fn wanted_after(&self, took: Duration) {
        sleep(took * 10).await;
        self.samples.wanted.notified().await;
    }

    /// All shards, and what the store is among them.
    async fn look_at_shards(&self) -> Result<(Option<Shard>, Vec<ShardStatus>)> {
        let map = self.database.shard().await?;
        let shards = match &map {
            Some(map) => shards::status(map, self.database.target()).await,
            None => Vec::new(),
        };
        Ok((map, shards))
    }

    /// Positions from one to another; messages, where there are so many that an epoch may have left some out.
    async fn written_since(&self, before: i64, head: i64, step: i64) -> Result<i64> {
        match (head - before) / step {
            few if few < LEFT_OUT => Ok(few.max(0)),
            _ => self.database.messages_after(before, LEFT_OUT).await,
        }
    }

    async fn take(
        &self,
        before: Option<Before>,
        (map, shards): (Option<Shard>, Vec<ShardStatus>),
    ) -> Result<Sample> {
        if map.as_ref().is_some_and(Shard::is_router) {
            return Ok(Sample::of_router(shards));
        }
        let looked = Instant::now();
        let head = self.database.last_global_position().await?;
        let subscriptions = self.database.statuses().await?;
        let mut sources: Vec<&str> = subscriptions
            .iter()
            .map(|one| one.source.as_str())
            .collect();
        sources.sort_unstable();
        sources.dedup();
        let blockers = self.database.horizon_blockers(&sources).await?;
        let step = map.map_or(1, |_| STEP_OF_SHARDS);
        let (mut write_rate, mut written) = (None, 0);
        if let Some(before) = before {
            let more = self.written_since(before.head, head, step).await?;
            write_rate = Some(rate(more, looked - before.looked));
            written = before.written.saturating_add_signed(more);
        }
        Ok(Sample {
            at: SystemTime::now(),
            head,
            write_rate,
            written,
            unconfirmed_epoch: self.database.unconfirmed_epoch().await?,
            subscriptions,
            blockers,
            orchestrators: self.database.orchestrators().await?,
            shards,
            is_router: false,
        })
    }
}

impl Sample {
    fn of_router(shards: Vec<ShardStatus>) -> Self {
        let said = shards.iter().filter_map(|shard| shard.said.as_ref());
        Self {
            at: SystemTime::now(),
            head: said.map(|facts| facts.drawn).max().unwrap_or(0),
            write_rate: None,
            written: 0,
            unconfirmed_epoch: None,
            subscriptions: Vec::new(),
            blockers: Vec::new(),
            orchestrators: Vec::new(),
            shards,
            is_router: true,
        }
    }
}

fn pause_after(took: Duration) -> Duration {
    (took * REST).clamp(INTERVAL, LONGEST_INTERVAL)
}

/// A store that was restored to an older state writes no negative numbers.
#[allow(clippy::cast_precision_loss, reason = "a rate is for people")]
fn rate(positions: i64, elapsed: Duration) -> f64 {
    positions.max(0) as f64 / elapsed.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(subscriber_id: &str, member: i64, lag: i64) -> SubscriptionStatus {
        let row = json!({
            "subscriber_id": subscriber_id, "owner": "message_store", "source": "a",
            "state": "started", "state_reason": null, "member": member, "group_size": 2,
            "position": 10 + member, "head": 100, "lag": lag, "lag_is_estimate": false,
            "lag_seconds": 1.5, "rate": 2.5, "handled": 3, "parked": 0, "attempts": 0,
            "last_error": null, "last_sqlstate": null, "last_error_at": null, "retry_at": null,
            "copy_of": null, "replay_target": null, "replay_eta_seconds": null,
            "holder": null, "updated_at": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(row).unwrap()
    }

    fn sample(at: SystemTime, subscriptions: Vec<SubscriptionStatus>) -> Sample {
        Sample {
            at,
            head: 100,
            write_rate: Some(1.0),
            written: 0,
            unconfirmed_epoch: None,
            subscriptions,
            blockers: Vec::new(),
            orchestrators: Vec::new(),
            shards: Vec::new(),
            is_router: false,
        }
    }

    #[test]
    fn members_of_a_group_are_one_line_of_the_chart() {
        let samples = Samples::default();
        let at = SystemTime::now();
        samples.add(sample(
            at,
            vec![row("a", 0, 1), row("a", 1, 2), row("b", 0, 4)],
        ));
        let expected = Point {
            at,
            lag: 3,
            rate: 0.0,
            handled: 6,
            position: 10,
        };
        assert_eq!(samples.series("a"), [expected]);
        assert_eq!(samples.series("b").len(), 1);
        assert!(samples.series("c").is_empty());
    }

    #[test]
    fn a_rate_is_of_what_was_handled_between_two_samples_and_0_where_nothing_was() {
        let samples = Samples::default();
        let then = SystemTime::now();
        let handled = |handled: i64| {
            let mut row = row("a", 0, 0);
            row.handled = handled;
            vec![row]
        };
        for (seconds, count) in [(0, 100), (10, 150), (20, 150), (30, 3)] {
            samples.add(sample(then + Duration::from_secs(seconds), handled(count)));
        }
        let rates: Vec<f64> = samples.series("a").iter().map(|point| point.rate).collect();
        assert!(
            rates
                .iter()
                .zip([0.0, 5.0, 0.0, 0.0])
                .all(|(is, expected)| (is - expected).abs() < 1e-9),
            "{rates:?}"
        );
    }

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let samples = Samples::default();
        let now = SystemTime::now();
        samples.add(sample(now - MEMORY * 2, vec![row("gone", 0, 1)]));
        samples.add(sample(now - MEMORY / 2, vec![row("a", 0, 1)]));
        samples.add(sample(now, vec![row("a", 0, 2)]));
        assert_eq!(samples.series("a").len(), 2);
        assert!(samples.series("gone").is_empty());
        assert_eq!(samples.written().len(), 2);
    }

    #[test]
    fn a_failure_keeps_the_last_sample_and_says_why() {
        let samples = Samples::default();
        samples.add(sample(SystemTime::now(), Vec::new()));
        samples.fail("away".to_owned());
        let latest = samples.look();
        assert!(latest.sample.is_some());
        assert_eq!(latest.trouble.as_deref(), Some("away"));
    }

    #[test]
    fn who_takes_long_is_asked_less_often_but_every_minute() {
        let pause = |ms| pause_after(Duration::from_millis(ms)).as_secs();
        assert_eq!([pause(1), pause(150), pause(5000)], [10, 30, 60]);
    }

    #[test]
    fn a_store_set_back_has_no_negative_rate() {
        assert_eq!(
            rate(-5, Duration::from_secs(1)).to_bits(),
            0.0_f64.to_bits()
        );
        assert!((rate(50, Duration::from_secs(10)) - 5.0).abs() < 1e-9);
    }
}
