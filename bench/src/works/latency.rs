//! From the moment a writer hears of its commit until its message is seen in the home page's read
//! model, for every message of a steady stream of writes.
//!
//! The writers do not wait for each other or for those who read: what is late makes nothing else
//! later. The page shows a count; when it has come to n, the first n messages of the log are in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use promises::{Cluster, Database, HOME_PAGE, Running, Session};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, interval_at};
use uuid::Uuid;

use crate::bench::Bench;
use crate::comparison::{Comparison, Identity, Unit};
use crate::delays::{Delays, delay};
use crate::line_up::LineUp;
use crate::observer::{Observer, Sighting, open_end};
use crate::peers::{self, Client};
use crate::server::drop_database;
use crate::viewing::{DATA, METADATA, TYPE};

const WRITES_PER_SECOND: u32 = 1_000;
/// Connections that take turns.
const WRITERS: u32 = 8;
/// How often the count is looked at.
const LOOK_EVERY: Duration = Duration::from_micros(200);
const POLL_EVERY: Duration = Duration::from_millis(100);

const COUNT: &str = "SELECT (page_data ->> 'videosWatched')::bigint \
     FROM message_store.read_model_pages WHERE page_name = 'home'";
const CREATE: &str = "SELECT message_store.create_subscription('aggregators:home-page', 'viewings',
       '{\"VideoViewed\": \"message_store.increment_videos_watched\"}',
       '{\"init\": \"message_store.ensure_home_page\"}');
     SELECT message_store.start('aggregators:home-page')";
const TICK: &str = "SELECT (message_store.tick('aggregators:home-page')).outcome";

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let stores = Stores {
        bench,
        cluster: &cluster,
        seconds: bench.sized(10, 1),
    };
    let p99s = [(); 3].map(|()| RefCell::new(Vec::new()));
    let label = "1,000 writes a second, p50";
    let mut line_up = LineUp::new(label, unit(), orchestrator(), || {
        stores.through_orchestrator().p50_beside(&p99s[0])
    })
    .against(poller(), || stores.through_poller().p50_beside(&p99s[1]));
    if let Some(emmett) = peers::emmett() {
        let (stores, p99s, client) = (&stores, &p99s[2], emmett.client);
        line_up = line_up.against(emmett.identity, move || {
            stores.through_emmett(client).p50_beside(p99s)
        });
    }
    let p50 = line_up.interleave(bench);
    let p99s = p99s.iter().map(RefCell::take);
    let p99 = p50.also("1,000 writes a second, p99", unit(), p99s);
    vec![p50.under(2.0).into(), p99.under(10.0).into()]
}

/// What a run found, in milliseconds.
struct Found {
    p50: f64,
    p99: f64,
}

impl Found {
    /// A run returns one figure; the other one is kept here.
    fn p50_beside(&self, p99s: &RefCell<Vec<f64>>) -> f64 {
        p99s.borrow_mut().push(self.p99);
        self.p50
    }
}

/// A new store for each run.
struct Stores<'a> {
    bench: &'a Bench,
    cluster: &'a Cluster,
    seconds: u32,
}

impl Stores<'_> {
    fn through_orchestrator(&self) -> Found {
        let store = self.bench.block_on(self.cluster.create_store());
        let running = store.deploy(HOME_PAGE).start();
        self.measure(store, || Running::stop(running))
    }

    fn through_poller(&self) -> Found {
        let store = self.bench.block_on(self.cluster.create_store());
        let polling = self.bench.block_on(poll(&store));
        self.measure(store, || polling.abort())
    }

    fn measure(&self, store: Database<'_>, stop: impl FnOnce()) -> Found {
        let bench = self.bench;
        let session = bench.block_on(async {
            let session = store.connect().await;
            session.write_viewings(1).await;
            session.assert_videos_watched(1).await;
            session
        });
        let end = open_end();
        let (commits, sightings) = thread::scope(|scope| {
            let observer = Observer::start(scope, &store, COUNT, LOOK_EVERY, &end);
            let commits = bench.block_on(self.write(&store));
            let counted = i64::try_from(commits.len()).unwrap() + 1;
            (commits, observer.until(counted))
        });
        let delays = bench.block_on(async {
            let written = i64::try_from(commits.len()).unwrap();
            session.assert_videos_watched(written + 1).await;
            Delays::new(delays(&session, &commits, &sightings).await)
        });
        stop();
        bench.block_on(drop_database(store));
        Found {
            p50: delays.p50_ms(),
            p99: delays.p99_ms(),
        }
    }

    /// Writes at the rate; returns when the commit of each stream's message was acknowledged.
    async fn write(&self, store: &Database<'_>) -> HashMap<String, SystemTime> {
        let sessions = (0..WRITERS).map(|_| store.connect_as("message_store"));
        let sessions = join_all(sessions).await;
        let every = Duration::from_secs(1) / WRITES_PER_SECOND;
        let begin = Instant::now() + Duration::from_millis(20);
        let count = WRITES_PER_SECOND * self.seconds / WRITERS;
        let writers = sessions.into_iter().zip(0..).map(|(session, turn)| {
            let first = begin + every * turn;
            tokio::spawn(write_at(session, first, every * WRITERS, count))
        });
        let commits = join_all(writers.collect::<Vec<_>>()).await;
        let commits: HashMap<_, _> = commits.into_iter().flat_map(Result::unwrap).collect();
        let rate = commits.len() as f64 / begin.elapsed().as_secs_f64();
        if rate < f64::from(WRITES_PER_SECOND) * 0.95 {
            let text = format!("latency: the writers come to {rate:.0} a second only");
            self.bench.say(&text);
        }
        commits
    }

    fn through_emmett(&self, client: Client) -> Found {
        let options = [
            format!("--clients={WRITERS}"),
            format!("--seconds={}", self.seconds),
            format!("--writes-per-second={WRITES_PER_SECOND}"),
        ];
        let found = client.latency(self.bench, self.cluster, &options);
        if found.missing > 0 {
            let missing = found.missing;
            let text = format!("latency: {missing} messages never came to Emmett's read model");
            self.bench.say(&text);
        }
        Found {
            p50: found.p50_ms,
            p99: found.p99_ms,
        }
    }
}

/// Writes whenever it is time, without a pause where it is late.
async fn write_at(
    session: Session,
    first: Instant,
    every: Duration,
    count: u32,
) -> Vec<(String, SystemTime)> {
    let sql = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, $1, \
         '{TYPE}', '{DATA}', '{METADATA}')"
    );
    let write = session.prepare(&sql).await.unwrap();
    let mut times = interval_at(first, every);
    let mut commits = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let stream = format!("viewings-{}", Uuid::new_v4());
        times.tick().await;
        session.query_one(&write, &[&stream]).await.unwrap();
        commits.push((stream, SystemTime::now()));
    }
    commits
}

/// Ticks at intervals, and commits as an orchestrator does, until it is aborted.
async fn poll(store: &Database<'_>) -> JoinHandle<()> {
    let session = store.connect().await;
    session.run("SET synchronous_commit = off").await.unwrap();
    session.run(CREATE).await.unwrap();
    let tick = session.prepare(TICK).await.unwrap();
    tokio::spawn(async move {
        let mut times = interval(POLL_EVERY);
        loop {
            times.tick().await;
            session.query_one(&tick, &[]).await.unwrap();
        }
    })
}

/// From each message's commit until the count was seen to hold it.
async fn delays(
    session: &Session,
    commits: &HashMap<String, SystemTime>,
    sightings: &[Sighting],
) -> Vec<Duration> {
    let sql = "SELECT stream_name FROM message_store.messages ORDER BY global_position";
    let log = session.query(sql, &[]).await.unwrap();
    let mut log = log.iter().map(|row| commits.get(row.get::<_, &str>(0)));
    let (mut delays, mut counted) = (Vec::new(), 0);
    for Sighting { at, values } in sightings {
        for commit in log
            .by_ref()
            .take(usize::try_from(values[0] - counted).unwrap())
        {
            // Nobody measures the message before the rounds.
            delays.extend(commit.map(|commit| delay(*commit, *at)));
        }
        counted = values[0];
    }
    assert_eq!(delays.len(), commits.len(), "every message was seen");
    delays
}

fn unit() -> Unit {
    Unit::cost("ms")
}

fn orchestrator() -> Identity {
    Identity::new(
        "orchestrator",
        "waits in the server for messages; exactly once, settled messages only",
    )
}

fn poller() -> Identity {
    Identity::new("tick() every 100 ms", "exactly once, settled messages only")
}
