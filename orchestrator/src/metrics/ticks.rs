//! What the ticks of this orchestrator came to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use message_store_client::{
    Result,
    database::{Outcome, Tick},
};

use message_store_client::samples::Samples;

/// From a tick that finds nothing to a batch of slow handlers, in seconds.
const BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// What a tick can come to that is no outcome: the statement was refused.
const REFUSED: &str = "refused";
/// The same: the connection was lost.
const DISCONNECTED: &str = "disconnected";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    subscriber_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    subscriber_id: String,
    outcome: &'static str,
}

/// Ticks by subscription, those of all shards together. Cheap to clone; all clones share them.
#[derive(Clone)]
pub struct Ticks {
    families: Families,
    known: Arc<Mutex<HashMap<Option<usize>, Subscriptions>>>,
    samples: Samples,
    /// Whose ticks are told of here.
    shard: Option<usize>,
}

/// Those of one store.
type Subscriptions = HashMap<Arc<str>, Series>;

#[derive(Clone)]
struct Families {
    ticks: Family<Came, Counter>,
    durations: Family<Of, Histogram, fn() -> Histogram>,
    scanned: Family<Of, Counter>,
    handled: Family<Of, Counter>,
    parked: Family<Of, Counter>,
    failures: Family<Of, Counter>,
}

/// The series of one subscription, at hand for every tick.
struct Series {
    is_listed: bool,
    outcomes: HashMap<&'static str, Counter>,
    duration: Histogram,
    scanned: Counter,
    handled: Counter,
    parked: Counter,
    failures: Counter,
    /// The failure counted last, by the moment of its next try: ticks before
    /// that moment tell of it again.
    failure: String,
}

impl Ticks {
    pub(super) fn register(registry: &mut Registry, samples: Samples) -> Self {
        Self {
            families: Families::register(registry),
            known: Arc::default(),
            samples,
            shard: None,
        }
    }

    /// To tell of the ticks of a shard.
    pub fn of_shard(&self, shard: Option<usize>) -> Self {
        Self {
            shard,
            ..self.clone()
        }
    }

    /// Takes over who came and who went. Who came begins with zeros. Who went is
    /// forgotten once no sample shows it: paused or stopped it keeps its numbers.
    pub fn listed<'a>(
        &self,
        added: impl IntoIterator<Item = &'a str>,
        removed: impl IntoIterator<Item = &'a str>,
    ) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(self.shard).or_default();
        for id in added {
            let series = known.entry(id.into());
            series.or_insert_with(|| self.families.series(id)).is_listed = true;
        }
        for id in removed {
            if let Some(series) = known.get_mut(id) {
                series.is_listed = false;
            }
        }
        if known.values().all(|series| series.is_listed) {
            return;
        }
        let sample = self.samples.latest();
        let is_there = |id: &str| {
            let rows = sample.iter().flat_map(|sample| &sample.subscriptions);
            rows.into_iter().any(|row| row.subscriber_id == id)
        };
        let mut gone = Vec::new();
        known.retain(|id, series| {
            let stays = series.is_listed || is_there(id);
            if !stays {
                gone.push(id.clone());
            }
            stays
        });
        gone.retain(|id| !all.values().any(|others| others.contains_key(id)));
        for id in gone {
            self.families.forget(&id);
        }
    }

    /// Counts a tick that has ended.
    pub fn ended(&self, subscriber_id: &str, took: Duration, ticked: &Result<Tick>) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get_mut(&self.shard);
        // Dropped while the tick ran.
        let Some(series) = known.and_then(|known| known.get_mut(subscriber_id)) else {
            return;
        };
        series.duration.observe(took.as_secs_f64());
        let word = match ticked {
            Ok(tick) => tick.outcome.word(),
            Err(error) if error.is_connection_loss() => DISCONNECTED,
            Err(_) => REFUSED,
        };
        if let Some(counter) = series.outcomes.get(word) {
            counter.inc();
        }
        let Ok(tick) = ticked else { return };
        add(&series.scanned, tick.scanned);
        add(&series.handled, tick.handled);
        add(&series.parked, tick.parked);
        if let (Outcome::Retrying | Outcome::Stopped, Some(trouble)) = (tick.outcome, &tick.trouble)
            && (tick.outcome == Outcome::Stopped || trouble.retry_at != series.failure)
        {
            series.failures.inc();
            series.failure.clone_from(&trouble.retry_at);
        }
    }
}

impl Families {
    fn register(registry: &mut Registry) -> Self {
        let durations: Family<Of, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let families = Self {
            ticks: Family::default(),
            durations,
            scanned: Family::default(),
            handled: Family::default(),
            parked: Family::default(),
            failures: Family::default(),
        };
        registry.register(
            "ticks",
            "Ticks of this orchestrator, by what they came to",
            families.ticks.clone(),
        );
        registry.register(
            "tick_duration_seconds",
            "How long a tick took, as the orchestrator waited for it",
            families.durations.clone(),
        );
        registry.register(
            "messages_scanned",
            "Messages that ticks of this orchestrator read",
            families.scanned.clone(),
        );
        registry.register(
            "messages_handled",
            "Messages that ticks of this orchestrator gave to handlers",
            families.handled.clone(),
        );
        registry.register(
            "messages_parked",
            "Messages that ticks of this orchestrator parked",
            families.parked.clone(),
        );
        registry.register(
            "handler_failures",
            "Failed attempts that led to a retry or a stop",
            families.failures.clone(),
        );
        families
    }

    fn series(&self, subscriber_id: &str) -> Series {
        let of = Of::new(subscriber_id);
        let outcomes = words().map(|outcome| {
            let came = Came::new(subscriber_id, outcome);
            (outcome, self.ticks.get_or_create_owned(&came))
        });
        Series {
            is_listed: true,
            outcomes: outcomes.collect(),
            duration: self.durations.get_or_create_owned(&of),
            scanned: self.scanned.get_or_create_owned(&of),
            handled: self.handled.get_or_create_owned(&of),
            parked: self.parked.get_or_create_owned(&of),
            failures: self.failures.get_or_create_owned(&of),
            failure: String::new(),
        }
    }

    fn forget(&self, subscriber_id: &str) {
        let of = Of::new(subscriber_id);
        for outcome in words() {
            self.ticks.remove(&Came::new(subscriber_id, outcome));
        }
        self.durations.remove(&of);
        for family in [&self.scanned, &self.handled, &self.parked, &self.failures] {
            family.remove(&of);
        }
    }
}

impl Of {
    fn new(subscriber_id: &str) -> Self {
        let subscriber_id = subscriber_id.to_owned();
        Self { subscriber_id }
    }
}

impl Came {
    fn new(subscriber_id: &str, outcome: &'static str) -> Self {
        let subscriber_id = subscriber_id.to_owned();
        Self {
            subscriber_id,
            outcome,
        }
    }
}

fn words() -> impl Iterator<Item = &'static str> {
    let outcomes = Outcome::ALL.into_iter().map(Outcome::word);
    outcomes.chain([REFUSED, DISCONNECTED])
}

fn add(counter: &Counter, messages: i64) {
    counter.inc_by(u64::try_from(messages).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::*;
    use message_store_client::database::Trouble;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, registry).unwrap();
        text
    }

    fn tick(outcome: Outcome, handled: i64, retry_at: Option<&str>) -> Tick {
        let trouble = retry_at.map(|retry_at| Trouble {
            sqlstate: "P0001".to_owned(),
            error: "not today".to_owned(),
            error_details: Default::default(),
            retry_at: retry_at.to_owned(),
            retry_in: None,
        });
        Tick {
            outcome,
            scanned: handled + 1,
            handled,
            position: 7,
            parked: 0,
            failed: Vec::new(),
            trouble,
            member: None,
        }
    }

    #[test]
    fn a_subscription_has_zeros_from_the_start_and_leaves_nothing_behind() {
        let mut registry = Registry::default();
        let ticks = Ticks::register(&mut registry, Samples::default());
        ticks.listed(["a"], []);
        let begun = text(&registry);
        let zero = "ticks_total{subscriber_id=\"a\",outcome=\"progressed\"} 0\n";
        assert!(begun.contains(zero), "{begun}");
        ticks.listed([], ["a"]);
        let took = Duration::from_millis(1);
        ticks.ended("a", took, &Ok(tick(Outcome::Progressed, 1, None)));
        let ended = text(&registry);
        assert!(!ended.contains("\"a\""), "{ended}");
    }

    #[test]
    fn shards_add_up_and_one_of_them_takes_nothing_of_another() {
        let mut registry = Registry::default();
        let ticks = Ticks::register(&mut registry, Samples::default());
        let shards = [0, 1].map(|number| ticks.of_shard(Some(number)));
        let took = Duration::from_millis(1);
        for shard in &shards {
            shard.listed(["a"], []);
            shard.ended("a", took, &Ok(tick(Outcome::Progressed, 2, None)));
        }
        let sum = "messages_handled_total{subscriber_id=\"a\"} 4\n";
        assert!(text(&registry).contains(sum), "{}", text(&registry));
        shards[0].listed([], ["a"]);
        assert!(text(&registry).contains(sum), "{}", text(&registry));
        shards[1].listed([], ["a"]);
        assert!(!text(&registry).contains("\"a\""), "{}", text(&registry));
    }

    #[test]
    fn a_failure_is_counted_once_however_often_it_is_told() {
        let mut registry = Registry::default();
        let ticks = Ticks::register(&mut registry, Samples::default());
        ticks.listed(["a"], []);
        let took = Duration::from_millis(1);
        for at in ["10:00", "10:00", "10:01"] {
            ticks.ended("a", took, &Ok(tick(Outcome::Retrying, 2, Some(at))));
        }
        let text = text(&registry);
        for line in [
            "handler_failures_total{subscriber_id=\"a\"} 2\n",
            "messages_handled_total{subscriber_id=\"a\"} 6\n",
            "messages_scanned_total{subscriber_id=\"a\"} 9\n",
            "tick_duration_seconds_count{subscriber_id=\"a\"} 3\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
