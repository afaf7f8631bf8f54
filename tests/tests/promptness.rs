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
const IDLE_WINDOW: Duration = Duration::from_secs(4);
/// The kernel counts processor time in hundredths of a second, whatever the machine.
const TICKS_PER_SECOND: f64 = 100.0;

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

/// User and system time of a process, in seconds.
fn processor_time(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may hold blanks; utime and stime are fields 14 and 15.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11..13]
        .iter()
        .map(|n| n.parse::<f64>().unwrap())
        .sum();
    ticks / TICKS_PER_SECOND
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

    let before = (processor_time(running.pid()), processor_time(backend));
    let held = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND application_name = 'orchestrator' \
         AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL \
              OR state LIKE 'idle in transaction%' OR (state = 'active' AND pid <> {backend}))"
    );
    let started = Instant::now();
    let mut looks = 0;
    while started.elapsed() < IDLE_WINDOW {
        assert_eq!(session.bigint(&held).await, 0, "look {looks}");
        looks += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let window = started.elapsed().as_secs_f64();
    let orchestrator = (processor_time(running.pid()) - before.0) / window;
    let waiting = (processor_time(backend) - before.1) / window;
    println!(
        "idle for {window:.1} s: orchestrator {:.2} %, waiting backend {:.2} % of a core; \
         no snapshot in {looks} looks",
        orchestrator * 100.0,
        waiting * 100.0
    );
    assert!(orchestrator < 0.02, "{orchestrator}");
    assert!(waiting < 0.02, "{waiting}");
    running.stop();
}
