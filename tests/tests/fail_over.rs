//! Promise: a fail-over loses nothing that was acknowledged, uses no position twice, and everything goes
//! on by itself: writers, readers, subscriptions, a service. Where replication is asynchronous, what is lost
//! is noticed.
//!
//! Two servers under Patroni, in networks of their own. PROMISES_FAIL_OVERS is how often they change places (3)
//! with synchronous replication.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use message_store_client::connection::Target;
use message_store_client::database::{Database, Source};
use nix::sys::signal::Signal;
use promises::{DECLARED_HOME_PAGE, Deployment, PatroniCluster, Replication, Session};
use tempfile::tempdir;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const PAGE: &str = include_str!("../../docs/scale-out.md");
const WRITERS: usize = 8;
/// One cluster at a time.
static ONE: Mutex<()> = Mutex::const_new(());
/// For how long a writer waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take after a fail-over until messages are handled again.
const LONGEST: Duration = Duration::from_secs(90);

/// A service beside the home page, which thanks for each viewing once.
const STORE: &str = r#"
    CREATE EXTENSION message_store;
    SELECT message_store.create_store();
    GRANT CREATE ON SCHEMA public TO message_store;
    CREATE FUNCTION public.thank(message message_store.message) RETURNS void
    LANGUAGE sql BEGIN ATOMIC
      SELECT FROM message_store.write_messages(ARRAY[
        ROW('thanks-' || (message).position % 10, 'Thanked', '{}', NULL, NULL, NULL)::message_store.new_message]);
    END"#;
const THANKS: &str = r#"
[[services]]
subscriber_id = "services:thanks"
category = "viewings"
handlers = { VideoViewed = "public.thank" }
"#;

/// What is done to the primary.
#[derive(Clone, Copy, Debug)]
enum Disaster {
    /// Every process of it is killed.
    Kill,
    /// Its network is gone, for everybody.
    Cut,
    /// Every process of it stands still.
    Freeze,
}

const DISASTERS: [Disaster; 3] = [Disaster::Kill, Disaster::Cut, Disaster::Freeze];

/// The script of the page, for the database of the test.
fn confirm_script(socket_folder: &Path) -> String {
    let (_, script) = PAGE
        .split_once("```sh\n#!/bin/sh\n# on_role_change")
        .unwrap();
    let (script, _) = script.split_once("```").unwrap();
    assert!(script.contains("'dbname=shop "));
    let database = format!("'host={} dbname=store ", socket_folder.display());
    format!(
        "#!/bin/sh\n# on_role_change{}",
        script.replace("'dbname=shop ", &database)
    )
}

/// What everybody knows of each other.
#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Nothing is written any more, by the service either.
    is_complete: AtomicBool,
    acknowledged: AtomicI64,
}

fn database(url: &str, connections: usize) -> Database {
    let target = Target::parse(url, "of the test").unwrap();
    Database::open(&target, connections).unwrap()
}

/// Writes one message after the other, each until it is acknowledged; returns them with their positions.
async fn write(database: Database, number: usize, shared: Arc<Shared>) -> Vec<(String, i64)> {
    const WRITE: &str = "SELECT global_position FROM message_store.write_messages(
         ARRAY[ROW($1, 'VideoViewed', '{}', NULL, $2, NULL)::message_store.new_message], 'ignore')";
    let stream = format!("viewings-{number}");
    let mut written = Vec::new();
    while !shared.is_over.load(Ordering::SeqCst) {
        let id = uuid::Uuid::new_v4().to_string();
        let position = loop {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&stream, &id];
            let asked = database.query("write", WRITE, &parameters);
            match timeout(PATIENCE, asked).await {
                Ok(Ok(rows)) => break rows[0].get(0),
                Ok(Err(error)) if error.is_connection_loss() => {
                    sleep(Duration::from_millis(50)).await
                }
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => {}
            }
        };
        shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        written.push((id, position));
        sleep(Duration::from_millis(5)).await;
    }
    written
}

/// Reads everything, each message once and in order; returns ids by position.
async fn read(database: Database, shared: Arc<Shared>) -> HashMap<i64, String> {
    let mut seen = HashMap::new();
    let mut next = 1;
    loop {
        let is_complete = shared.is_complete.load(Ordering::SeqCst);
        let asked = database.read_messages(&Source::All, next, 500);
        let batch = match timeout(PATIENCE, asked).await {
            Ok(Ok(batch)) => batch,
            Ok(Err(error)) if error.is_connection_loss() => Vec::new(),
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => Vec::new(),
        };
        if batch.is_empty() {
            if is_complete {
                return seen;
            }
            sleep(Duration::from_millis(10)).await;
        }
        for message in batch {
            assert!(message.global_position >= next);
            next = message.global_position + 1;
            seen.insert(message.global_position, message.id);
        }
    }
}

/// Looks until the page counts at least so many viewings.
async fn wait_for_count(database: &Database, count: i64) {
    const COUNTED: &str = "SELECT coalesce((SELECT (page_data ->> 'videosWatched')::bigint
         FROM message_store.read_model_pages WHERE page_name = 'home'), 0)";
    let started = Instant::now();
    loop {
        let asked = database.query("look at the page", COUNTED, &[]);
        if let Ok(Ok(rows)) = timeout(PATIENCE, asked).await
            && rows[0].get::<_, i64>(0) >= count
        {
            return;
        }
        assert!(started.elapsed() < LONGEST, "nothing is handled any more");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Looks until so many epochs have begun and were confirmed: each fail-over begins one.
async fn wait_for_epochs(database: &Database, count: i64) {
    const CONFIRMED: &str =
        "SELECT count(*) FROM message_store.epochs WHERE number = 1 OR confirmed_at IS NOT NULL";
    let started = Instant::now();
    loop {
        let asked = database.query("count the epochs", CONFIRMED, &[]);
        if let Ok(Ok(rows)) = timeout(PATIENCE, asked).await
            && rows[0].get::<_, i64>(0) >= count
        {
            return;
        }
        assert!(started.elapsed() < LONGEST, "no epoch was confirmed");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Looks until so many more are acknowledged; returns how long that took.
async fn wait_for_writes(shared: &Shared, more: i64) -> Duration {
    let started = Instant::now();
    let enough = shared.acknowledged.load(Ordering::SeqCst) + more;
    while shared.acknowledged.load(Ordering::SeqCst) < enough {
        assert!(
            started.elapsed() < LONGEST,
            "nothing is acknowledged any more"
        );
        sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

/// A session of a superuser, with whichever takes writes.
async fn admin(cluster: &PatroniCluster, database: &str) -> Session {
    Session::open(&cluster.url("postgres", database).parse().unwrap()).await
}

async fn create_store(cluster: &PatroniCluster) {
    let maintenance = admin(cluster, "postgres").await;
    maintenance.run("CREATE DATABASE store").await.unwrap();
    admin(cluster, "store").await.run(STORE).await.unwrap();
}

/// The home page and the service.
fn deployment(url: &str) -> Deployment {
    let folder = tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let web = "[web]\nlisten = '127.0.0.1:0'\n";
    std::fs::write(&file, format!("{DECLARED_HOME_PAGE}{THANKS}{web}")).unwrap();
    Deployment {
        folder: Arc::new(folder),
        file,
        url: url.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_loses_nothing_that_was_acknowledged_and_everything_goes_on() {
    let fail_overs = std::env::var("PROMISES_FAIL_OVERS").map_or(3, |count| count.parse().unwrap());
    let _one = ONE.lock().await;
    let cluster = PatroniCluster::start(Replication::Synchronous, confirm_script);
    create_store(&cluster).await;
    let url = cluster.url("message_store", "store");
    let running = deployment(&url).start();
    let looker = database(&url, 1);
    let epoch = looker.epoch().await.unwrap().unwrap();

    let shared = Arc::new(Shared::default());
    let pool = database(&url, WRITERS);
    let writers: Vec<JoinHandle<_>> = (0..WRITERS)
        .map(|number| tokio::spawn(write(pool.clone(), number, Arc::clone(&shared))))
        .collect();
    let reader = tokio::spawn(read(database(&url, 1), Arc::clone(&shared)));

    for number in 0..fail_overs {
        let disaster = DISASTERS[number % DISASTERS.len()];
        let primary = tokio::task::block_in_place(|| cluster.wait_until_whole());
        wait_for_writes(&shared, 100).await;
        match disaster {
            Disaster::Kill => cluster.signal(primary, Signal::SIGKILL),
            Disaster::Cut => cluster.cut(primary),
            Disaster::Freeze => cluster.signal(primary, Signal::SIGSTOP),
        }
        let happened = Instant::now();
        let before = shared.acknowledged.load(Ordering::SeqCst);
        // Each writer has at most one that was on its way.
        wait_for_writes(&shared, WRITERS as i64 + 1).await;
        let written = happened.elapsed();
        wait_for_count(&looker, before + 1).await;
        let handled = happened.elapsed();
        wait_for_epochs(&looker, number as i64 + 2).await;
        println!(
            "{number}: {disaster:?} of {primary}: written again after {written:.1?}, handled after {handled:.1?}"
        );
        match disaster {
            Disaster::Kill => {}
            Disaster::Cut => cluster.join(primary),
            Disaster::Freeze => cluster.signal(primary, Signal::SIGCONT),
        }
    }
    tokio::task::block_in_place(|| cluster.wait_until_whole());
    shared.is_over.store(true, Ordering::SeqCst);
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    let viewings = written.len() as i64;
    wait_for_count(&looker, viewings).await;
    let admin = admin(&cluster, "store").await;
    let thanked =
        format!("SELECT count(*) >= {viewings} FROM message_store.messages WHERE type = 'Thanked'");
    admin.wait_until(&thanked).await;
    shared.is_complete.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();

    let rows = admin
        .run("SELECT global_position, id, type FROM message_store.messages ORDER BY 1")
        .await
        .unwrap();
    let text = |value: &Option<String>| value.clone().unwrap();
    let log: HashMap<i64, String> = rows
        .iter()
        .map(|row| (text(&row[0]).parse().unwrap(), text(&row[1])))
        .collect();
    println!(
        "{} messages, {viewings} of them acknowledged to {WRITERS} writers, {} seen by a reader",
        log.len(),
        seen.len()
    );
    // Each acknowledged message is where it was said to be, and each that was seen still is.
    for (id, position) in &written {
        assert_eq!(log.get(position), Some(id), "acknowledged at {position}");
    }
    for (position, id) in &seen {
        assert_eq!(log.get(position), Some(id), "seen at {position}");
    }
    assert_eq!(
        log.len() as i64,
        2 * viewings,
        "each was written once and thanked for once"
    );
    assert_eq!(seen.len(), log.len(), "the reader skipped some");
    // The server cannot know that nothing was lost; Patroni does, and has said so each time.
    let unconfirmed =
        "SELECT count(*) FROM message_store.epochs WHERE confirmed_at IS NULL AND number > 1";
    assert_eq!(admin.bigint(unconfirmed).await, 0);
    let last = *log.keys().max().unwrap();
    let first = written.iter().map(|(_, position)| *position).min().unwrap();
    for position in [first, last] {
        assert_eq!(
            looker.check_position(&epoch, position).await.unwrap(),
            position
        );
    }
    let differs = "SELECT count(*) FROM message_store.verify('aggregators:home-page')";
    assert_eq!(admin.bigint(differs).await, 0);
    admin.assert_videos_watched(viewings).await;
    running.stop();
}

/// Viewings of one stream; returns their positions.
async fn view(session: &Session, count: i64) -> Vec<i64> {
    let mut written = Vec::new();
    for _ in 0..count {
        let position = session
            .bigint(
                "SELECT global_position FROM message_store.write_messages(ARRAY[
                   ROW('viewings-1', 'VideoViewed', '{}', NULL, NULL, NULL)::message_store.new_message])",
            )
            .await;
        written.push(position);
    }
    written
}

async fn positions(session: &Session) -> HashSet<i64> {
    let rows = session
        .run("SELECT global_position FROM message_store.messages")
        .await
        .unwrap();
    rows.iter()
        .map(|row| row[0].as_deref().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_asynchronous_standby_lacks_is_lost_and_noticed() {
    let _one = ONE.lock().await;
    // Nobody knows that nothing was lost, so nobody confirms it.
    let cluster = PatroniCluster::start(Replication::Asynchronous, |_| "#!/bin/sh\n".to_owned());
    create_store(&cluster).await;
    let url = cluster.url("message_store", "store");
    let running = deployment(&url).start();
    let looker = database(&url, 1);
    let primary = tokio::task::block_in_place(|| cluster.wait_until_whole());
    let standby = PatroniCluster::other(primary);
    let before = admin(&cluster, "store").await;
    let epoch = looker.epoch().await.unwrap().unwrap();
    view(&before, 20).await;
    wait_for_count(&looker, 20).await;
    // Everything is handled, recorded as settled, and on the standby.
    before
        .wait_until("SELECT count(*) = 40 FROM message_store.messages")
        .await;
    before
        .wait_until(
            "SELECT EXISTS (SELECT FROM message_store.horizons WHERE source = '$all'
               AND position >= (SELECT max(global_position) FROM message_store.messages))",
        )
        .await;
    let arrived = before
        .value("SELECT pg_current_wal_insert_lsn()")
        .await
        .unwrap();
    before
        .wait_until(&format!(
            "SELECT count(*) = 1 FROM pg_stat_replication WHERE replay_lsn >= '{arrived}'"
        ))
        .await;
    let kept = positions(&before).await;
    let settled = before
        .bigint("SELECT position FROM message_store.horizons WHERE source = '$all'")
        .await;

    cluster.cut(standby);
    let lost = view(&before, 30).await;
    wait_for_count(&looker, 50).await;
    drop(before);
    cluster.cut(primary);
    cluster.join(standby);
    // The one that lacks them takes over, and everything goes on.
    let (after, started) = (database(&url, 1), Instant::now());
    while after
        .epoch()
        .await
        .ok()
        .flatten()
        .is_none_or(|now| now == epoch)
    {
        assert!(started.elapsed() < LONGEST, "nobody took over");
        sleep(Duration::from_millis(50)).await;
    }
    println!("another epoch after {:.1?}", started.elapsed());
    let promoted = admin(&cluster, "store").await;
    let new = view(&promoted, 10).await;
    wait_for_count(&after, 30).await;
    promoted
        .wait_until("SELECT count(*) = 60 FROM message_store.messages")
        .await;
    let now = positions(&promoted).await;
    assert!(kept.is_subset(&now), "what had arrived is lost");
    assert!(
        lost.iter().all(|position| !now.contains(position)),
        "a position came again"
    );
    assert!(new.iter().min() > lost.iter().max());
    assert_eq!(
        after.check_position(&epoch, settled).await.unwrap(),
        settled
    );
    let refused = after.check_position(&epoch, lost[29]).await.unwrap_err();
    assert!(
        format!("{refused:?}").contains(&format!("Begin again after {settled}")),
        "{refused:?}"
    );
    let differs = "SELECT count(*) FROM message_store.verify('aggregators:home-page')";
    assert_eq!(promoted.bigint(differs).await, 0);

    // The old primary comes back as a standby, without what it alone had.
    cluster.join(primary);
    let is_led_by = tokio::task::block_in_place(|| cluster.wait_until_whole());
    assert_eq!(is_led_by, standby);
    promoted
        .wait_until("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
        .await;
    running.stop();
}
