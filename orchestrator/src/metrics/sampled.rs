//! The subscriptions, the head and who holds readers back, as the last sample
//! saw them. Where the database could not be looked at, nothing is told: an old
//! number passed on as a new one is worse than a gap.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{blockers::Blockers, gauges::Gauges};
use message_store_client::database::{ShardFacts, SubscriptionStatus};
use message_store_client::samples::{Sample, Samples};
use message_store_client::shards::ShardStatus;

/// What a subscription can be; it has a series for each, one of them 1.
const STATES: [&str; 4] = ["created", "started", "paused", "stopped"];

pub(super) struct Sampled {
    samples: Samples,
    blockers: Mutex<Blockers>,
}

impl Sampled {
    pub(super) fn new(samples: Samples) -> Self {
        Self {
            samples,
            blockers: Mutex::default(),
        }
    }

    fn oldest_blocker(&self, sample: &Sample) -> f64 {
        let mut blockers = self.blockers.lock().unwrap_or_else(PoisonError::into_inner);
        blockers.see(sample);
        blockers.oldest(SystemTime::now()).as_secs_f64()
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sampled").finish_non_exhaustive()
    }
}

impl Collector for Sampled {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauges = Gauges(encoder);
        let latest = self.samples.look();
        let sample = latest.sample.filter(|_| latest.trouble.is_none());
        gauges.one(
            "database_up",
            "1 if the last sample of the database succeeded.",
            i64::from(sample.is_some()),
        )?;
        let Some(sample) = sample else { return Ok(()) };
        encode_shards(&mut gauges, &sample.shards)?;
        if sample.is_router {
            return Ok(());
        }
        encode_store(&mut gauges, &sample, self.oldest_blocker(&sample))?;
        encode_subscriptions(&mut gauges, &sample.subscriptions)
    }
}

fn encode_store(gauges: &mut Gauges<'_>, sample: &Sample, oldest_blocker: f64) -> fmt::Result {
    let at = sample.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    gauges.one(
        "sample_timestamp_seconds",
        "When the database was last looked at, in seconds since 1970.",
        at.as_secs_f64(),
    )?;
    gauges.one(
        "head_position",
        "Global position of the last message.",
        sample.head,
    )?;
    gauges.counter(
        "messages_written",
        "Messages written since the orchestrator first looked, and positions of writers that rolled back.",
        sample.written,
    )?;
    if let Some(epoch) = &sample.unconfirmed_epoch {
        gauges.one(
            "epoch_unconfirmed_seconds",
            "How long ago an epoch began of which nobody has confirmed that no message was lost.",
            epoch.seconds_ago,
        )?;
    }
    gauges.one(
        "orchestrators",
        "Orchestrators that are connected to this database.",
        count(sample.orchestrators.len()),
    )?;
    gauges.one(
        "horizon_blockers",
        "Transactions in flight that delay readers.",
        count(sample.blockers.len()),
    )?;
    gauges.one(
        "horizon_oldest_blocker_age_seconds",
        "How long ago the oldest of these transactions was first seen.",
        oldest_blocker,
    )
}

/// Those of a store that is one of several, or of a router.
fn encode_shards(gauges: &mut Gauges<'_>, shards: &[ShardStatus]) -> fmt::Result {
    let numbers: Vec<String> = shards.iter().map(|shard| shard.shard.to_string()).collect();
    let mut each = |name, help, value: &dyn Fn(&ShardStatus) -> Option<i64>| {
        let values = shards.iter().zip(&numbers).filter_map(|(shard, number)| {
            value(shard).map(|value| ([("shard", number.as_str())], value))
        });
        gauges.many(name, help, values)
    };
    each(
        "shard_up",
        "1 if the shard answered and is the one that the map says.",
        &|shard| Some(i64::from(shard.said.is_some())),
    )?;
    let fact =
        |value: fn(&ShardFacts) -> i64| move |shard: &ShardStatus| shard.said.as_ref().map(value);
    each(
        "shard_drawn_position",
        "Last global position that was drawn there.",
        &fact(|facts| facts.drawn),
    )?;
    each(
        "shard_settled_position",
        "Global position up to which its messages are settled.",
        &fact(|facts| facts.settled),
    )?;
    each(
        "shard_lag_messages",
        "Messages that its subscriptions have not read yet.",
        &fact(|facts| facts.lag),
    )?;
    each(
        "shard_parked_messages",
        "Messages that are parked there.",
        &fact(|facts| facts.parked),
    )?;
    each(
        "shard_subscriptions_not_running",
        "Its subscriptions that are not started.",
        &fact(|facts| facts.not_running),
    )
}

fn encode_subscriptions(gauges: &mut Gauges<'_>, rows: &[SubscriptionStatus]) -> fmt::Result {
    let groups: Vec<Members<'_>> = rows
        .chunk_by(|one, next| one.subscriber_id == next.subscriber_id)
        .map(Members)
        .collect();
    let states = groups.iter().flat_map(|members| {
        let is = &members.first().state;
        STATES.map(|state| {
            let labels = [("subscriber_id", members.id()), ("state", state)];
            (labels, i64::from(state == is))
        })
    });
    gauges.many(
        "subscription_state",
        "1 for the state that the subscription is in, 0 for the others.",
        states,
    )?;
    let mut each = |name, help, value: &dyn Fn(&Members<'_>) -> Option<f64>| {
        let values = groups.iter().filter_map(|members| {
            value(members).map(|value| ([("subscriber_id", members.id())], value))
        });
        gauges.many(name, help, values)
    };
    each(
        "subscription_lag_messages",
        "Messages that the subscription has not read yet. Above 10,000, it is an estimate.",
        &|members| members.sum(|row| row.lag),
    )?;
    each(
        "subscription_lag_seconds",
        "Age of the first message that the subscription has not handled, 0 if there is none.",
        &|members| Some(members.most(|row| row.lag_seconds)),
    )?;
    each(
        "subscription_position",
        "Last global position scanned, by the member furthest behind.",
        &|members| members.least(|row| row.position),
    )?;
    each(
        "subscription_head_position",
        "Global position of the last settled message of what the subscription reads.",
        &|members| members.greatest(|row| row.head),
    )?;
    each(
        "subscription_parked_messages",
        "Parked messages, without the discarded ones.",
        &|members| Some(float(members.first().parked)),
    )?;
    each(
        "subscription_failed_attempts",
        "Failed attempts at the message that is being retried, 0 if there is none.",
        &|members| members.sum(|row| Some(row.attempts)),
    )
}

/// The rows of one subscription; never none.
struct Members<'a>(&'a [SubscriptionStatus]);

impl<'a> Members<'a> {
    fn first(&self) -> &'a SubscriptionStatus {
        &self.0[0]
    }

    fn id(&self) -> &'a str {
        &self.first().subscriber_id
    }

    fn sum(&self, value: impl Fn(&SubscriptionStatus) -> Option<i64>) -> Option<f64> {
        let values: Vec<i64> = self.0.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| float(values.iter().sum()))
    }

    fn least(&self, value: impl Fn(&SubscriptionStatus) -> i64) -> Option<f64> {
        self.0.iter().map(value).min().map(float)
    }

    fn greatest(&self, value: impl Fn(&SubscriptionStatus) -> Option<i64>) -> Option<f64> {
        self.0.iter().filter_map(value).max().map(float)
    }

    fn most(&self, value: impl Fn(&SubscriptionStatus) -> Option<f64>) -> f64 {
        self.0.iter().filter_map(value).fold(0.0, f64::max)
    }
}

fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

/// Prometheus keeps nothing else.
#[allow(
    clippy::cast_precision_loss,
    reason = "exact to 2^53, which no store reaches"
)]
fn float(number: i64) -> f64 {
    number as f64
}
