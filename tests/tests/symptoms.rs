//! Promise: each symptom of docs/symptoms.md looks as the page says, and is mended by what stands there.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod page;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use page::reader::Reader;
use page::shop::{ORDERS, create_shop, name_shop, open_shop, order, wait_for_items};
use page::{Page, read_section};
use promises::{Cluster, Database, Session, SmallDisk, StopMode, get, wait_for};
use uuid::Uuid;

const PAGE: &str = "symptoms";

/// Mends a symptom by what its section says. Whoever reads is returned, with what he started.
async fn mend(section: &str, url: &str, variables: &[(&str, &str)]) -> Reader {
    read_section(PAGE, section, url, variables).await
}

fn superuser(database: &Database<'_>) -> String {
    database.url("postgres")
}

/// The subscription of the page, in the orchestrator's file.
const CONFIG: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:orders"
category = "order"
read_model = ["orders"]
handlers = { Ordered = "count_items" }
"#;

async fn count_orders(session: &Session) -> i64 {
    session.bigint("SELECT count(*) FROM public.orders").await
}

/// A session of another program.
async fn connect_program(database: &Database<'_>, name: &str) -> Session {
    let session = database.connect().await;
    let set = format!("SET application_name = '{name}'");
    session.run(&set).await.unwrap();
    session
}

#[test]
fn every_symptom_is_produced_here() {
    let produced = include_str!("symptoms.rs").replace("\n        ", "");
    for block in Page::open(PAGE).blocks {
        let section = format!("mend(\"{}\"", block.section);
        assert!(produced.contains(&section), "{}: {section}", block.place);
    }
}

#[test]
fn every_alert_leads_to_a_symptom() {
    let read = |path: &str| fs::read_to_string(page::repository().join(path)).unwrap();
    let (alerts, page) = (
        read("monitoring/prometheus/alerts.yml"),
        read("docs/symptoms.md"),
    );
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let lost: Vec<_> = names
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(lost, [""; 0]);
}

#[tokio::test]
async fn the_first_look_needs_nothing() {
    let (database, _session) = open_shop(Cluster::shared(), "").await;
    mend("Begin here", &superuser(&database), &[]).await;
}

#[tokio::test]
async fn where_no_orchestrator_is_connected_any_will_do() {
    let (database, session) = open_shop(Cluster::shared(), "").await;
    order(&session, "1", "2").await;
    let deployment = database.deploy(CONFIG);
    let config = deployment.file.to_str().unwrap();
    let variables = [("CONFIG", config)];
    let _reader = mend(
        "No orchestrator is connected",
        &superuser(&database),
        &variables,
    )
    .await;
    wait_for_items(&session, "1", 2).await;
}

#[tokio::test]
async fn a_file_with_a_mistake_is_mended() {
    let (database, session) = open_shop(Cluster::shared(), "").await;
    order(&session, "1", "2").await;
    let _reader = mend(
        "The orchestrator does not start",
        &superuser(&database),
        &[],
    )
    .await;
    wait_for_items(&session, "1", 2).await;
}

#[tokio::test]
async fn an_orchestrator_that_lacks_a_right_is_ready_once_it_is_granted() {
    let (database, session) = create_shop(Cluster::shared()).await;
    let revoke = "REVOKE EXECUTE ON FUNCTION public.count_items FROM PUBLIC";
    session.run(revoke).await.unwrap();
    order(&session, "1", "2").await;
    let deployment = database.deploy(&format!("{CONFIG}\n[metrics]\nlisten = \"127.0.0.1:0\"\n"));
    let running = deployment.start();
    let metrics = running.metrics();
    let ready = format!("{metrics}/readyz");
    let told = |(_, text): &(u16, String)| text.contains("aggregators:orders is not started");
    wait_for(|| get(&ready), told);
    let variables = [
        ("METRICS", metrics.as_str()),
        ("CONFIG", deployment.file.to_str().unwrap()),
        ("SERVICE_URL", &deployment.url),
    ];
    mend(
        "The orchestrator is not ready",
        &superuser(&database),
        &variables,
    )
    .await;
    wait_for_items(&session, "1", 2).await;
    wait_for(|| get(&ready), |(status, _)| *status == 200);
    running.stop();
}

#[tokio::test]
async fn where_connections_run_out_idle_ones_are_ended() {
    let cluster = Cluster::start(&[("max_connections", "12")]);
    let (database, session) = open_shop(&cluster, "").await;
    order(&session, "1", "2").await;
    let mut idle = Vec::new();
    session
        .wait_until(
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'",
        )
        .await;
    // Three are kept for superusers, and one is ours.
    for _ in 0..8 {
        let one = database.connect_as("message_store").await;
        one.run("SET application_name = 'shop-web'").await.unwrap();
        idle.push(one);
    }
    let running = database.deploy("").start();
    running.wait_for_log("connection slots");
    mend("Connections run out", &superuser(&database), &[]).await;
    wait_for_items(&session, "1", 2).await;
    running.stop();
}

#[tokio::test]
async fn a_standby_and_a_database_that_only_reads_take_writes_again() {
    let cluster = Cluster::start(&[]);
    let (database, session) = open_shop(&cluster, "").await;
    order(&session, "1", "2").await;
    let read_only = format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        database.name
    );
    session.run(&read_only).await.unwrap();
    make_standby(&cluster);
    let running = database.deploy("").start();
    running.wait_for_log("until the database takes writes");
    mend("The database takes no writes", &superuser(&database), &[]).await;
    let session = database.connect().await;
    wait_for_items(&session, "1", 2).await;
    running.stop();
}

/// Of a primary that is gone.
fn make_standby(cluster: &Cluster) {
    cluster.stop(StopMode::Fast);
    fs::write(cluster.data_dir().join("standby.signal"), "").unwrap();
    cluster.start_again();
}

#[tokio::test]
async fn an_address_of_two_servers_leads_to_the_one_that_takes_writes() {
    const WRITES: &str = "target_session_attrs=read-write";
    let page = fs::read_to_string(page::folder().join("symptoms.md")).unwrap();
    assert!(page.contains(WRITES), "the page says how");
    let (old, new) = (Cluster::start(&[]), Cluster::start(&[]));
    let (old_shop, _) = create_shop(&old).await;
    name_shop(old_shop).await;
    make_standby(&old);
    let (shop, _) = open_shop(&new, "").await;
    let shop = name_shop(shop).await;
    let mut deployment = shop.deploy("");
    let [old, new] = [&old, &new].map(|cluster| {
        let folder = cluster.socket_dir().display().to_string();
        folder.replace('/', "%2F")
    });
    deployment.url = format!("postgresql://message_store@{old},{new}/shop?{WRITES}");
    let running = deployment.start();
    let session = shop.connect().await;
    order(&session, "1", "2").await;
    wait_for_items(&session, "1", 2).await;
    running.stop();
}

#[tokio::test]
async fn a_subscription_that_a_person_paused_is_started() {
    let (database, session) = open_shop(Cluster::shared(), "").await;
    order(&session, "1", "2").await;
    let pause = "SELECT message_store.pause('aggregators:orders', 'a new version comes')";
    session.run(pause).await.unwrap();
    let running = database.deploy("").start();
    running.wait_for_log("connected to");
    assert_eq!(count_orders(&session).await, 0);
    mend("A subscription is not started", &superuser(&database), &[]).await;
    wait_for_items(&session, "1", 2).await;
    running.stop();
}

#[tokio::test]
async fn a_subscription_that_a_message_stopped_goes_on_without_it() {
    let (database, session) = open_shop(Cluster::shared(), r#", "retries": 0"#).await;
    let running = database.deploy("").start();
    order(&session, "bad", r#""two""#).await;
    order(&session, "1", "2").await;
    let stopped = "SELECT state = 'stopped' FROM message_store.subscription_status";
    session.wait_until(stopped).await;
    mend("A handler fails", &superuser(&database), &[]).await;
    wait_for_items(&session, "1", 2).await;
    let parked = "SELECT stream_name FROM message_store.parked_messages";
    assert_eq!(session.value(parked).await.as_deref(), Some("order-bad"));
    running.stop();
}

#[tokio::test]
async fn parked_messages_are_handled_by_a_handler_that_was_repaired() {
    let options = r#", "on_failure": "park", "retries": 0"#;
    let (database, session) = open_shop(Cluster::shared(), options).await;
    let running = database.deploy("").start();
    order(&session, "bad", r#""two""#).await;
    order(&session, "bad", "1").await;
    let parked = "SELECT count(*) = 2 FROM message_store.parked_messages";
    session.wait_until(parked).await;
    mend("Messages are parked", &superuser(&database), &[]).await;
    wait_for_items(&session, "bad", 3).await;
    running.stop();
}

/// Handles fewer messages a second than [one writer](keep_ordering) writes, and takes no processor.
const SLOW: &str = "CREATE OR REPLACE FUNCTION public.count_items(message message_store.message)
    RETURNS void LANGUAGE sql AS $$
      INSERT INTO orders SELECT message_store.id(message.stream_name), 1 FROM pg_sleep(0.01)
      ON CONFLICT (number) DO UPDATE SET items = orders.items + 1
    $$";

/// Writes at most 200 messages a second until it is told that this is enough, ten at a time: it is not slower
/// than the handler where the machine has other work.
async fn keep_ordering(session: Session, is_enough: Arc<AtomicBool>) {
    let write = "SELECT message_store.write_message(gen_random_uuid()::varchar, \
         'order-' || (random() * 100)::int, 'Ordered', '{}') \
         FROM pg_sleep(0.05), generate_series(1, 10)";
    while !is_enough.load(Ordering::Relaxed) {
        session.run(write).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_too_slow_catches_up_with_more_members() {
    let (database, session) = open_shop(Cluster::shared(), r#", "batch_size": 50"#).await;
    session.run(SLOW).await.unwrap();
    let is_enough = Arc::new(AtomicBool::new(false));
    let writer = database.connect().await;
    let writer = tokio::spawn(keep_ordering(writer, Arc::clone(&is_enough)));
    let running = database.deploy("").start();
    let status = "FROM message_store.subscription_status";
    session
        .wait_until(&format!(
            "SELECT bool_and(position > 0 AND lag > 100) {status}"
        ))
        .await;
    mend("A subscription is too slow", &superuser(&database), &[]).await;
    // It is still being written to.
    session
        .wait_until(&format!("SELECT count(*) = 4 AND sum(lag) < 50 {status}"))
        .await;
    is_enough.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    running.stop();
}

#[tokio::test]
async fn a_tick_that_waits_for_a_lock_goes_on_without_who_holds_it() {
    let (database, session) = open_shop(Cluster::shared(), "").await;
    let report = connect_program(&database, "shop-report").await;
    let lock = "BEGIN; LOCK TABLE public.orders IN SHARE MODE";
    report.run(lock).await.unwrap();
    let running = database.deploy("").start();
    order(&session, "1", "2").await;
    let waits = "SELECT coalesce(bool_or(cardinality(pg_blocking_pids(holder)) > 0), false) \
                 FROM message_store.subscription_status";
    session.wait_until(waits).await;
    mend("A tick does not end", &superuser(&database), &[]).await;
    wait_for_items(&session, "1", 2).await;
    running.stop();
}

#[tokio::test]
async fn readers_go_on_when_an_open_transaction_is_ended() {
    let (database, session) = open_shop(Cluster::shared(), "").await;
    let import = connect_program(&database, "shop-import").await;
    import.run("BEGIN").await.unwrap();
    order(&import, "imported", "1").await;
    let running = database.deploy("").start();
    order(&session, "1", "2").await;
    running.wait_for_log("connected to");
    let lag = "SELECT lag FROM message_store.subscription_status";
    assert_eq!(session.bigint(lag).await, 0);
    mend(
        "An open transaction holds readers back",
        &superuser(&database),
        &[],
    )
    .await;
    wait_for_items(&session, "1", 2).await;
    assert_eq!(count_orders(&session).await, 1);
    running.stop();
}

#[tokio::test]
async fn readers_go_on_when_a_prepared_transaction_is_ended() {
    let (database, session) = open_shop(Cluster::shared(), "").await;
    let import = database.connect().await;
    import.run("BEGIN").await.unwrap();
    order(&import, "imported", "1").await;
    import.run("PREPARE TRANSACTION 'half way'").await.unwrap();
    let running = database.deploy("").start();
    order(&session, "1", "2").await;
    running.wait_for_log("connected to");
    assert_eq!(count_orders(&session).await, 0);
    mend(
        "A prepared transaction holds readers back",
        &superuser(&database),
        &[],
    )
    .await;
    wait_for_items(&session, "1", 2).await;
    running.stop();
}

#[tokio::test]
async fn a_lease_of_an_application_that_is_gone_is_ended() {
    const FETCH: &str = "SELECT count(*) FROM message_store.fetch('services:mailer', 10, '1 hour')";
    let (database, session) = create_shop(Cluster::shared()).await;
    order(&session, "1", "2").await;
    session
        .run("SELECT message_store.create_subscription('services:mailer', 'order', '{}')")
        .await
        .unwrap();
    let gone = database.connect().await;
    assert_eq!(gone.bigint(FETCH).await, 1);
    drop(gone);
    assert_eq!(session.bigint(FETCH).await, 0);
    mend("A lease is held", &superuser(&database), &[]).await;
    assert_eq!(session.bigint(FETCH).await, 1);
}

#[tokio::test]
async fn a_sequence_that_was_set_back_is_brought_behind_the_log() {
    let (database, session) = create_shop(Cluster::shared()).await;
    for _ in 0..3 {
        order(&session, "1", "2").await;
    }
    let set_back = "SELECT setval('message_store.messages_global_position_seq', 1)";
    session.run(set_back).await.unwrap();
    let write =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'order-1', 'A', '{}')";
    let refused = session.error(write).await;
    assert_eq!(refused.sqlstate, "55000", "{refused:?}");
    assert!(refused.message.contains("was set back"), "{refused:?}");
    mend("The sequence is behind the log", &superuser(&database), &[]).await;
    session.run(write).await.unwrap();
}

/// A store as version 0.2 made it.
const STORE_OF_0_2: &str = include_str!("../fixtures/store-0.2.sql");

#[tokio::test]
async fn sql_of_an_older_version_ticks_once_it_is_updated() {
    const TICK: &str = "SELECT outcome FROM message_store.tick('aggregators:orders')";
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    // Not by VERSION '0.2.0': PostgreSQL's shortest way there is back from the present version.
    let create = "CREATE EXTENSION message_store VERSION '0.1.0'; \
                  ALTER EXTENSION message_store UPDATE TO '0.2.0'";
    session.run(create).await.unwrap();
    session.run(STORE_OF_0_2).await.unwrap();
    order(&session, "1", "2").await;
    let refused = session.error(TICK).await;
    assert_eq!(refused.sqlstate, "55000", "{refused:?}");
    mend(
        "Library and SQL have different versions",
        &superuser(&database),
        &[],
    )
    .await;
    session.run(ORDERS).await.unwrap();
    let create = r#"SELECT message_store.create_subscription('aggregators:orders', 'order',
                      '{"Ordered": "count_items"}')"#;
    session.run(create).await.unwrap();
    assert_eq!(session.value(TICK).await.as_deref(), Some("progressed"));
}

#[tokio::test]
async fn who_knows_that_nothing_was_lost_says_so() {
    let (database, session) = open_shop(Cluster::shared(), "").await;
    let before = session.value("SELECT message_store.epoch()").await.unwrap();
    order(&session, "1", "2").await;
    let begin = "SELECT message_store.begin_epoch('the server was promoted')";
    for _ in 0..2 {
        session.run(begin).await.unwrap();
    }
    let kept = format!("SELECT message_store.check_position('{before}', 1)");
    assert_eq!(session.error(&kept).await.sqlstate, "55000");
    mend("Messages may have been lost", &superuser(&database), &[]).await;
    assert_eq!(session.bigint(&kept).await, 1);
}

#[tokio::test]
async fn a_full_disk_takes_writes_again_without_its_ballast() {
    let small = SmallDisk::start();
    let disk = small.disk();
    let disk = disk.to_str().unwrap();
    let url = format!("postgresql://postgres@/postgres?host={disk}/socket");
    let variables = [("DISK", disk)];
    read_section("production", "Room on the disk", &url, &variables).await;
    small.fill();
    let write = || small.say(&["write", "noise-1", "Noise", &noise()]);
    while write().code == Some(0) {}
    let refused = write();
    assert!(refused.stderr.contains("No space left"), "{refused:?}");
    mend("The disk is full", &url, &variables).await;
    let written = write();
    assert_eq!(written.code, Some(0), "{written:?}");
    small.up.stop();
}

/// Data of little use to compression, more than what is left of a page.
fn noise() -> String {
    let ids: Vec<_> = (0..1_500).map(|_| Uuid::new_v4().to_string()).collect();
    format!("{{\"noise\": \"{}\"}}", ids.concat())
}

/// The oldest file that the server keeps.
const OLDEST: &str = "SELECT min(name) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'";

#[tokio::test]
async fn a_slot_that_nobody_reads_is_dropped_and_its_wal_goes() {
    let cluster = Cluster::start(&[("wal_level", "logical")]);
    let (database, session) = create_shop(&cluster).await;
    let slot = "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')";
    session.run(slot).await.unwrap();
    for _ in 0..3 {
        order(&session, "1", "2").await;
        session.run("SELECT pg_switch_wal()").await.unwrap();
    }
    session.run("CHECKPOINT").await.unwrap();
    let kept = session.value(OLDEST).await;
    mend("A replication slot keeps WAL", &superuser(&database), &[]).await;
    assert!(session.value(OLDEST).await > kept);
}
