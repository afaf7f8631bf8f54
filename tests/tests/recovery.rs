//! Promise: kill the orchestrator, restart PostgreSQL, or both, whenever you like: every viewing
//! is counted exactly once, and nobody has to do anything by hand.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use promises::{Cluster, Deployment, HOME_PAGE, Random, Running, StopMode, orchestrator, seed};

const VIEWINGS: i64 = 1_000_000;
const VIDEOS: i64 = 5_000;

fn start_load(deployment: &Deployment, file: &Path, skip_lines: i64) -> Running {
    let url = format!("{}&application_name=load", deployment.url);
    let mut command = orchestrator();
    command.args(["write", "--url", &url, "--from"]).arg(file);
    command.args(["--skip-lines", &skip_lines.to_string()]);
    Running::start(&mut command)
}

const LOAD_IS_GONE: &str =
    "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'load')";

/// Every video is watched equally often, in an order that jumps about.
fn write_viewings(path: &Path, random: &mut Random) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut videos: Vec<i64> = (0..VIEWINGS).map(|n| n % VIDEOS).collect();
    for last in (1..videos.len()).rev() {
        let other = usize::try_from(random.below(i64::try_from(last).unwrap() + 1)).unwrap();
        videos.swap(last, other);
    }
    for video in videos {
        writeln!(
            file,
            "{{\"stream\":\"viewings-{video}\",\"type\":\"VideoViewed\",\
             \"data\":{{\"userId\":null,\"videoId\":\"video-{video}\"}}}}"
        )
        .unwrap();
    }
    file.flush().unwrap();
}

#[tokio::test]
async fn a_million_viewings_are_counted_exactly_through_five_kills() {
    let cluster = Cluster::start(&[("autovacuum", "on")]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    let deployment = database.deploy(HOME_PAGE);
    let seed = seed();
    println!("PROMISES_SEED={seed}");
    let mut random = Random(seed);
    let file = deployment.folder.path().join("viewings.jsonl");
    write_viewings(&file, &mut random);

    // When so many are counted, this is killed.
    let mut kills: Vec<(i64, &str)> = (0..5)
        .map(|_| (random.below(VIEWINGS * 9 / 10), "orchestrator"))
        .collect();
    kills.push((random.below(VIEWINGS / 4), "load"));
    kills.sort_unstable();

    let started = Instant::now();
    let mut load = start_load(&deployment, &file, 0);
    let mut running = deployment.start();
    for (at, what) in kills {
        session.wait_for_videos_watched(at).await;
        // The count moves at commits: without this every kill would come just after one.
        let moment = Duration::from_millis(random.below(150).unsigned_abs());
        tokio::time::sleep(moment).await;
        if what == "load" {
            load.kill();
            // Its last transaction commits or rolls back without it.
            session.wait_until(LOAD_IS_GONE).await;
            let written = session
                .bigint("SELECT count(*) FROM message_store.messages")
                .await;
            println!("load goes on with --skip-lines {written}");
            load = start_load(&deployment, &file, written);
        } else {
            running.kill();
            running = deployment.start();
        }
        let count = session.videos_watched().await;
        let seconds = started.elapsed().as_secs_f64();
        println!("{what} killed and started again, {count} counted after {seconds:.1} s");
        assert!(count < VIEWINGS, "killed too late to matter");
    }
    let loaded = load.wait_for_exit();
    assert_eq!(loaded.code(), Some(0), "{}", load.log());
    println!(
        "load ended after {:.1} s: {}",
        started.elapsed().as_secs_f64(),
        load.log().trim()
    );
    session.wait_for_videos_watched(VIEWINGS).await;
    println!("counted after {:.1} s", started.elapsed().as_secs_f64());
    session.assert_videos_watched(VIEWINGS).await;
    let spread = "SELECT count(DISTINCT data ->> 'videoId') || ' ' || count(*) \
                  FROM message_store.messages";
    let expected = format!("{VIDEOS} {VIEWINGS}");
    assert_eq!(
        session.value(spread).await.as_deref(),
        Some(expected.as_str())
    );
    running.stop();
}

#[tokio::test]
async fn what_was_written_while_the_orchestrator_was_away_is_counted() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let deployment = database.deploy(HOME_PAGE);
    let running = deployment.start();
    session.write_viewings(10).await;
    session.assert_videos_watched(10).await;
    running.stop();
    session.write_viewings(5_000).await;
    assert_eq!(session.videos_watched().await, 10);
    let running = deployment.start();
    session.assert_videos_watched(5_010).await;
    running.stop();
}

async fn postgresql_restarts_under_it(mode: StopMode) {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let mut session = database.connect().await;
    let deployment = database.deploy(HOME_PAGE);
    let mut running = deployment.start();
    session.write_viewings(100).await;
    session.assert_videos_watched(100).await;
    running.wait_for_log("connected to");
    // Once with nothing to do, once in the middle of work.
    for (connections, backlog) in [(2, 0), (3, 20_000)] {
        let before = session.videos_watched().await;
        session.write_viewings(backlog).await;
        if backlog > 0 {
            session.wait_for_videos_watched(before + 1).await;
        }
        cluster.stop(mode);
        cluster.start_again();
        running.wait_for_logs("connected to", connections);
        session = database.connect().await;
        session.write_viewings(100).await;
        session.assert_videos_watched(before + backlog + 100).await;
    }
    assert!(running.is_running());
    running.stop();
}

#[tokio::test]
async fn an_orderly_restart_of_postgresql_needs_nobody() {
    postgresql_restarts_under_it(StopMode::Fast).await;
}

#[tokio::test]
async fn a_crash_of_postgresql_needs_nobody() {
    postgresql_restarts_under_it(StopMode::Immediate).await;
}

#[tokio::test]
async fn an_orchestrator_started_before_its_database_waits_for_it() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    let deployment = database.deploy(HOME_PAGE);
    let running = deployment.start();
    session.write_viewings(10).await;
    session.assert_videos_watched(10).await;
    running.kill();
    session.write_viewings(1_000).await;
    drop(session);
    cluster.stop(StopMode::Immediate);
    let running = deployment.start();
    running.wait_for_log("waiting for the database");
    cluster.start_again();
    let session = database.connect().await;
    session.assert_videos_watched(1_010).await;
    running.stop();
}
