//! Writers and subscriptions together, at a rate that leaves some room: whether the writers still
//! reach it, and how much later than its commit a message is handled.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, SystemTime};

use promises::{Cluster, Session};
use tokio_postgres::Row;

use crate::bench::Bench;
use crate::comparison::{Comparison, Identity, Unit};
use crate::delays::{Delays, delay};
use crate::line_up::LineUp;
use crate::observer::{Observer, Sighting, open_end};
use crate::pgbench::{Load, Script, Transaction};
use crate::subscribers::{Kind, Subscribers, alone, beside_plain};
use crate::viewing;

const CLIENTS: u32 = 8;
const SUBSCRIPTIONS: usize = 10;
/// How often their positions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How much of the highest rate is asked for.
const SHARE_OF_PEAK: f64 = 0.8;
/// All in one category, to a stream each, whose name says which client wrote it.
const STREAM: &str = "'viewings-' || :client_id::text || '-' || gen_random_uuid()::varchar";

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let mut writers = Writers {
        bench,
        cluster: &cluster,
        script: Script::new(&viewing::write_to(STREAM)),
        load: Load {
            clients: CLIENTS,
            seconds: bench.sized(10, 1),
            options: String::new(),
        },
        rate: 0.0,
    };
    writers.rate = SHARE_OF_PEAK * writers.peak();
    let delays = RefCell::new([Vec::new(), Vec::new(), Vec::new()]);
    let label = format!("8 writers, {:.0}% of their peak", SHARE_OF_PEAK * 100.0);
    let unit = Unit::rate("messages a second");
    let rates = LineUp::new(&label, unit, beside(), || {
        let ran = writers.beside(Kind::Ours, SUBSCRIPTIONS);
        let [until_handled, until_committed, _] = &mut *delays.borrow_mut();
        until_handled.push(ran.until_handled.expect("there are subscriptions").p99_ms());
        until_committed.push(ran.until_committed.p99_ms());
        ran.rate
    })
    .against(alone(), || writers.beside(Kind::Ours, 0).rate)
    .at_least(0.9)
    .against(beside_plain(), || {
        let ran = writers.beside(Kind::Plain, SUBSCRIPTIONS);
        let until_handled = ran.until_handled.expect("there are subscriptions");
        delays.borrow_mut()[2].push(until_handled.p99_ms());
        ran.rate
    })
    .interleave(bench);

    // The same runs' delays: those of the messages, and those of the commits before them.
    let mut lag = rates.also("p99 at that rate", Unit::cost("ms"), delays.take());
    lag.ours.identity = until_handled();
    lag.others[0].identity = until_committed();
    lag.others[0].goal = Some(0.5);
    lag.others[1].identity = until_plain();
    vec![rates.into(), lag.into()]
}

struct Writers<'a> {
    bench: &'a Bench,
    cluster: &'a Cluster,
    script: Script,
    load: Load,
    /// That is asked for.
    rate: f64,
}

/// What a run found.
struct Ran {
    rate: f64,
    until_committed: Delays,
    /// Of each message, for each of the subscriptions.
    until_handled: Option<Delays>,
}

impl Writers<'_> {
    /// The rate of writers that nobody holds back. The first run only warms up.
    fn peak(&self) -> f64 {
        let bench = self.bench;
        let store = bench.block_on(Subscribers::start(self.cluster, Kind::Ours, 0));
        let rate = || {
            self.script
                .rate(self.cluster, &store.database.name, &self.load)
        };
        rate();
        let peak = rate();
        bench.block_on(store.stop());
        peak
    }

    fn beside(&self, kind: Kind, subscriptions: usize) -> Ran {
        let bench = self.bench;
        let subscribers = bench.block_on(Subscribers::start(self.cluster, kind, subscriptions));
        let (database, end) = (&subscribers.database, open_end());
        let positions = subscribers.positions();
        let (paced, sightings) = thread::scope(|scope| {
            // Without subscriptions somebody looks as often and sees none.
            let observer = Observer::start(scope, database, positions, LOOK_EVERY, &end);
            let paced = self
                .script
                .paced(self.cluster, &database.name, &self.load, self.rate);
            (paced, observer.until(bench.block_on(subscribers.head())))
        });
        let took = paced.transactions.iter().map(|one| one.took);
        let ran = Ran {
            rate: paced.rate,
            until_committed: Delays::new(took),
            until_handled: (subscriptions > 0).then(|| {
                let commits = commits(subscribers.session(), &paced.transactions);
                Delays::new(until_handled_by_each(&bench.block_on(commits), &sightings))
            }),
        };
        bench.block_on(subscribers.stop());
        ran
    }
}

/// When the commit of each message was acknowledged, in the order of the log: a client writes its
/// messages in the order of its transactions.
async fn commits(session: &Session, transactions: &[Transaction]) -> Vec<(i64, SystemTime)> {
    let mut ended: Vec<VecDeque<SystemTime>> = vec![VecDeque::new(); CLIENTS as usize];
    for transaction in transactions {
        ended[transaction.client].push_back(transaction.ended);
    }
    let sql = "SELECT global_position, split_part(stream_name, '-', 2)::bigint \
         FROM message_store.messages WHERE stream_name <> 'viewings-first' ORDER BY global_position";
    let rows = session.query(sql, &[]).await.unwrap();
    assert_eq!(rows.len(), transactions.len(), "a message a transaction");
    let commit = |row: &Row| {
        let client = usize::try_from(row.get::<_, i64>(1)).unwrap();
        (row.get(0), ended[client].pop_front().unwrap())
    };
    rows.iter().map(commit).collect()
}

/// From each commit until a subscription was seen at the message or beyond, for each subscription.
fn until_handled_by_each(commits: &[(i64, SystemTime)], sightings: &[Sighting]) -> Vec<Duration> {
    let mut delays = Vec::with_capacity(commits.len() * SUBSCRIPTIONS);
    for subscription in 0..SUBSCRIPTIONS {
        let mut waiting = commits.iter().peekable();
        for Sighting { at, values } in sightings {
            let position = values[subscription];
            while let Some((_, commit)) = waiting.next_if(|(message, _)| *message <= position) {
                delays.push(delay(*commit, *at));
            }
        }
    }
    assert_eq!(delays.len(), commits.len() * SUBSCRIPTIONS, "all handled");
    delays
}

fn beside() -> Identity {
    Identity::new(
        "writers beside 10 subscriptions",
        "one orchestrator ticks a handler that does nothing, exactly once, settled messages only",
    )
}

fn until_handled() -> Identity {
    Identity::new(
        "from a commit until it is handled",
        "from its acknowledgement until a subscription's position is seen behind it, for all ten",
    )
}

fn until_plain() -> Identity {
    Identity::new(
        "from a commit until plain SQL has seen it",
        "as often ticked; one UPDATE a tick, which calls no handler",
    )
}

fn until_committed() -> Identity {
    Identity::new(
        "from a write until its commit",
        "as its writer waits for it, in the same run",
    )
}
