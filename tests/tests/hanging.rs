//! Promise: whatever hangs, a server that is stopped, a network that swallows what is sent, or a handler
//! that takes its time, the orchestrator says so, ends when it is told to, and goes on by itself.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use promises::{Cluster, Database, Deployment, HOME_PAGE, Running};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// How long the program may take to end.
const END: Duration = Duration::from_secs(10);

/// Waits for messages are short, so that one without an answer is soon known as such.
fn start(deployment: &Deployment) -> Running {
    let mut command = deployment.run();
    command.args(["--set", "delivery.wait_timeout_ms=500"]);
    Running::start(&mut command)
}

/// The server's first process and all that it has started.
fn processes(cluster: &Cluster) -> Vec<Pid> {
    let file = std::fs::read_to_string(cluster.data_dir().join("postmaster.pid")).unwrap();
    let first = file.lines().next().unwrap();
    let children = format!("/proc/{first}/task/{first}/children");
    let children = std::fs::read_to_string(children).unwrap();
    let all = [first].into_iter().chain(children.split_whitespace());
    all.map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

fn signal_all(processes: &[Pid], signal: Signal) {
    for process in processes {
        // One may have ended by itself.
        let _ = kill(*process, signal);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_server_that_is_stopped_it_is_not_ready_and_ends_when_told() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    let deployment = database.deploy(HOME_PAGE);
    let running = start(&deployment);
    session.write_viewings(1).await;
    session.assert_videos_watched(1).await;
    let stopped = processes(&cluster);
    signal_all(&stopped, Signal::SIGSTOP);
    running.wait_for_log("stopped answering");
    let ready = format!("{}/readyz", running.home_page());
    let error = ureq::get(&ready).call().unwrap_err();
    assert!(matches!(error, ureq::Error::StatusCode(503)), "{error}");
    let told = Instant::now();
    running.stop();
    let took = told.elapsed();
    signal_all(&stopped, Signal::SIGCONT);
    assert!(took < END, "{took:?}");
}

/// Stands before a cluster, and swallows what comes when it is told to.
struct Swallower {
    folder: TempDir,
    swallows: Arc<AtomicBool>,
}

impl Swallower {
    fn start(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = ".s.PGSQL.5432";
        let listener = UnixListener::bind(folder.path().join(name)).unwrap();
        let server = cluster.socket_dir().join(name);
        let swallows = Arc::new(AtomicBool::new(false));
        let swallowing = swallows.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), swallowing.clone()));
            }
        });
        Self { folder, swallows }
    }

    fn url(&self, database: &Database<'_>) -> String {
        let folder = self.folder.path().display();
        format!(
            "postgresql://message_store@/{}?host={folder}",
            database.name
        )
    }
}

/// A connection that has once been swallowed stays so.
async fn pass(client: UnixStream, server: impl AsRef<Path>, swallows: Arc<AtomicBool>) {
    let server = UnixStream::connect(server).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let is_swallowed = Arc::new(AtomicBool::new(false));
    let one = copy(
        from_client,
        to_server,
        swallows.clone(),
        is_swallowed.clone(),
    );
    let other = copy(from_server, to_client, swallows, is_swallowed);
    tokio::join!(one, other);
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    swallows: Arc<AtomicBool>,
    is_swallowed: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        is_swallowed.fetch_or(swallows.load(Ordering::Relaxed), Ordering::Relaxed);
        if !is_swallowed.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    if is_swallowed.load(Ordering::Relaxed) {
        // Neither side learns that the other has gone.
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_whose_answer_is_lost_is_given_up_and_delivery_goes_on() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE FUNCTION public.slow(bigint) RETURNS void LANGUAGE sql AS \
               'SELECT pg_sleep(CASE WHEN $1 = 1 THEN 3 ELSE 0 END); \
                SELECT message_store.increment_videos_watched($1)'",
        )
        .await
        .unwrap();
    let swallower = Swallower::start(database.cluster);
    let slow = HOME_PAGE.replace("message_store.increment_videos_watched", "public.slow");
    let mut deployment = database.deploy(&slow);
    deployment.url = swallower.url(&database);
    let running = start(&deployment);
    running.wait_for_log("delivering");
    session.write_viewings(1).await;
    let is_at_it = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
         AND query LIKE '%message_store.tick%' AND datname = current_database() \
         AND pid <> pg_backend_pid()";
    session.wait_until(is_at_it).await;
    swallower.swallows.store(true, Ordering::Relaxed);
    session.assert_videos_watched(1).await;
    swallower.swallows.store(false, Ordering::Relaxed);
    session.write_viewings(1).await;
    session.assert_videos_watched(2).await;
    let told = Instant::now();
    running.stop();
    assert!(told.elapsed() < END, "{:?}", told.elapsed());
}

#[tokio::test]
async fn a_tick_that_takes_its_time_is_said_to_and_let_be() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE FUNCTION public.slow(bigint) RETURNS void LANGUAGE sql AS \
               'SELECT pg_sleep(11); SELECT message_store.increment_videos_watched($1)'",
        )
        .await
        .unwrap();
    session.write_viewings(4).await;
    let slow = HOME_PAGE.replace("message_store.increment_videos_watched", "public.slow");
    let running = database.deploy(&slow).start();
    let is_told = "SELECT count(*) = 1 FROM message_store.subscription_status \
         WHERE holder IS NOT NULL AND clock_timestamp() - ticking_since > '2 s'";
    session.wait_until(is_told).await;
    running.wait_for_log("still ticking");
    session.assert_videos_watched(4).await;
    assert!(!running.log().contains("no answer"), "{}", running.log());
    let handled = "SELECT handled FROM message_store.subscription_status";
    assert_eq!(session.bigint(handled).await, 4, "in one tick, once");
    running.stop();
}
