//! Promise: a message is in the read model within a few milliseconds of its commit, and waiting
//! for the next one costs almost nothing.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::time::{Duration, Instant};

use promises::{Cluster, HOME_PAGE, Session};
use tokio::sync::Mutex;

/// What is measured here wants the machine for itself.
static QUIET: Mutex<()> = Mutex::const_new(());

const MESSAGES: usize = 500;
/// Messages written at a rate of 1,000 a second.
const BUSY_MESSAGES: usize = 10_000;
const SUBSCRIPTIONS: usize = 100;
const IDLE_WINDOW: Duration = Duration::from_secs(4);
/// Who looks without a pause takes a core from what is measured.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_message_is_in_the_read_model_within_milliseconds() {
    let _quiet = QUIET.lock().await;
    let database = Cluster::shared().create_store().await;
    let writer = database.connect_as("message_store").await;
    let reader = database.connect().await;
    let running = database.deploy(HOME_PAGE).start();
    writer.write_viewings(1).await;
    reader.assert_videos_watched(1).await;

    let look = reader
        .prepare(
            "SELECT (page_data ->> 'videosWatched')::bigint \
             FROM message_store.read_model_pages WHERE page_name = 'home'",
        )
        .await
        .unwrap();
    let write = writer
        .prepare(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', \
             'VideoViewed', '{}')",
        )
        .await
        .unwrap();
    let mut delays = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        // 20 to 50 ms between messages, so that they meet every phase of the waiting.
        let pause = Duration::from_micros(20_000 + (number as u64 * 7_919) % 30_000);
        tokio::time::sleep(pause).await;
        writer.query_one(&write, &[]).await.unwrap();
        let committed = Instant::now();
        let expected = i64::try_from(number).unwrap() + 2;
        loop {
            let row = reader.query_one(&look, &[]).await.unwrap();
            if row.get::<_, i64>(0) >= expected {
                break;
            }
            assert!(committed.elapsed() < Duration::from_secs(30), "lost");
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        delays.push(committed.elapsed());
    }
    delays.sort_unstable();
    let median = delays[MESSAGES / 2];
    let p99 = delays[MESSAGES * 99 / 100];
    println!(
        "commit to read model, {MESSAGES} messages: median {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        median.as_secs_f64() * 1e3,
        p99.as_secs_f64() * 1e3,
        delays[MESSAGES - 1].as_secs_f64() * 1e3
    );
    assert!(median < Duration::from_millis(20), "{median:?}");
    running.stop();
}

/// The least of up to three measurements: the first below `bound` is the last. What costs nothing may cost
/// something while it begins, or while the machine has other work.
async fn least(bound: f64, measure: impl AsyncFn() -> f64) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        least = least.min(measure().await);
        if least < bound {
            break;
        }
    }
    least
}

/// Median, 99th of a hundred, and most.
fn summary(mut delays: Vec<Duration>) -> [f64; 3] {
    delays.sort_unstable();
    let last = delays.len() - 1;
    [last / 2, last * 99 / 100, last].map(|at| delays[at].as_secs_f64() * 1e3)
}

#[tokio::test]
async fn at_a_thousand_writes_a_second_a_message_is_in_the_read_model_as_fast() {
    let _quiet = QUIET.lock().await;
    let database = Cluster::shared().create_store().await;
    let writer = database.connect_as("message_store").await;
    let reader = database.connect().await;
    let running = database.deploy(HOME_PAGE).start();
    writer.write_viewings(1).await;
    reader.assert_videos_watched(1).await;

    let look = reader
        .prepare(
            "SELECT (page_data ->> 'videosWatched')::bigint \
             FROM message_store.read_model_pages WHERE page_name = 'home'",
        )
        .await
        .unwrap();
    let write = writer
        .prepare(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', \
             'VideoViewed', '{}')",
        )
        .await
        .unwrap();
    let (committed, mut commits) = tokio::sync::mpsc::unbounded_channel();
    let writing = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(1));
        for _ in 0..BUSY_MESSAGES {
            every.tick().await;
            writer.query_one(&write, &[]).await.unwrap();
            committed.send(Instant::now()).unwrap();
        }
    });
    let started = Instant::now();
    let mut delays = Vec::with_capacity(BUSY_MESSAGES);
    while delays.len() < BUSY_MESSAGES {
        let row = reader.query_one(&look, &[]).await.unwrap();
        let now = Instant::now();
        let counted = usize::try_from(row.get::<_, i64>(0)).unwrap() - 1;
        // Counted before we heard of the commit is no delay at all.
        while delays.len() < counted {
            let commit = commits.recv().await.unwrap();
            delays.push(now.saturating_duration_since(commit));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    writing.await.unwrap();
    let rate = BUSY_MESSAGES as f64 / started.elapsed().as_secs_f64();
    let [median, p99, most] = summary(delays);
    println!(
        "commit to read model at {rate:.0} writes a second: median {median:.1} ms, \
         p99 {p99:.1} ms, most {most:.1} ms"
    );
    assert!(median < 10.0, "{median}");
    running.stop();
}

#[tokio::test]
async fn a_hundred_idle_subscriptions_cost_almost_nothing() {
    let _quiet = QUIET.lock().await;
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    let configuration: String = (0..SUBSCRIPTIONS)
        .map(|number| {
            format!(
                "[[aggregators]]\nsubscriber_id = 'aggregators:{number}'\n\
                 category = 'viewings{number}'\n\
                 handlers = {{ VideoViewed = 'message_store.increment_videos_watched' }}\n"
            )
        })
        .collect();
    let running = database.deploy(&configuration).start();
    running.wait_for_logs("declared subscriber_id", SUBSCRIPTIONS);
    running.wait_for_logs("INFO delivering subscriber_id", SUBSCRIPTIONS);
    let backends = session
        .run(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'orchestrator'",
        )
        .await
        .unwrap();
    let pids: Vec<i32> = backends
        .iter()
        .map(|row| row[0].as_deref().unwrap().parse().unwrap())
        .collect();
    let waiter = pid_of_waiting_backend(&session).await;
    let used = || [running.pid(), waiter].map(|pid| processor_time(pid).unwrap());
    let used_by_each = || -> Vec<_> { pids.iter().map(|pid| processor_time(*pid)).collect() };
    let measure = async || {
        let each_before = used_by_each();
        let (before, started) = (used(), Instant::now());
        tokio::time::sleep(IDLE_WINDOW * 2).await;
        let (after, window) = (used(), started.elapsed().as_secs_f64());
        let percent = |seconds: f64| seconds / window * 100.0;
        let [program, waiter] = std::array::from_fn(|at| percent(after[at] - before[at]));
        // What served the beginning alone may have ended meanwhile.
        let each = each_before.iter().zip(used_by_each());
        let backends = percent(
            each.filter_map(|(before, after)| Some(after? - (*before)?))
                .sum(),
        );
        println!(
            "{SUBSCRIPTIONS} idle subscriptions for {window:.1} s: orchestrator {program:.2} %, \
             its {} backends {backends:.2} % of a core, {waiter:.2} % of it for waiting",
            pids.len()
        );
        program + backends
    };
    let percent = least(4.0, measure).await;
    assert!(percent < 4.0, "{percent}");
    running.stop();
}

/// The processor time of a process with all its threads, in seconds; `None` where it has ended.
fn processor_time(pid: i32) -> Option<f64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let nanoseconds = threads.flatten().map(|thread| {
        // A thread may end while we look.
        let stat = std::fs::read_to_string(thread.path().join("schedstat"));
        let stat = stat.unwrap_or_default();
        let first = stat.split_whitespace().next().unwrap_or("0");
        first.parse::<f64>().unwrap()
    });
    Some(nanoseconds.sum::<f64>() / 1e9)
}

async fn pid_of_waiting_backend(session: &Session) -> i32 {
    const WAITING: &str = "SELECT pid FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'CALL message_store.wait_for_messages%'";
    session
        .wait_until(&format!("SELECT EXISTS ({WAITING})"))
        .await;
    session.value(WAITING).await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn waiting_costs_almost_nothing_and_holds_no_snapshot() {
    let _quiet = QUIET.lock().await;
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let running = database.deploy(HOME_PAGE).start();
    session.write_viewings(1).await;
    session.assert_videos_watched(1).await;
    let backend = pid_of_waiting_backend(&session).await;

    let used = |pid| processor_time(pid).unwrap();
    // Once a second the list is asked for and somebody is ticked: that is short.
    let held = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND application_name = 'orchestrator' \
         AND (state LIKE 'idle in transaction%' \
              OR (pid = {backend} AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)) \
              OR (pid <> {backend} AND state = 'active' AND query_start < now() - '1 s'::interval))"
    );
    let measure = async || {
        let before = (used(running.pid()), used(backend));
        let started = Instant::now();
        let mut looks = 0;
        while started.elapsed() < IDLE_WINDOW {
            assert_eq!(session.bigint(&held).await, 0, "look {looks}");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let window = started.elapsed().as_secs_f64();
        let orchestrator = (used(running.pid()) - before.0) / window;
        let waiting = (used(backend) - before.1) / window;
        println!(
            "idle for {window:.1} s: orchestrator {:.2} %, waiting backend {:.2} % of a core; \
             no snapshot in {looks} looks",
            orchestrator * 100.0,
            waiting * 100.0
        );
        orchestrator.max(waiting)
    };
    let each = least(0.02, measure).await;
    assert!(each < 0.02, "{each}");
    running.stop();
}
