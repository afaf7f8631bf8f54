//! Promise: `pg_upgrade --link` takes a store to a newer major version of PostgreSQL, where it is
//! what a fresh one is and goes on from where it was: above every position, each message counted
//! once. Each version has a library of its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod catalog;

use promises::{Cluster, DECLARED_HOME_PAGE, Database, Session, StopMode, other_pg_config};

/// Beside the home page, a group of three that counts the viewings of each stream and parks those
/// of a stream that it cannot count.
const VIEWS: &str = r#"
    CREATE TABLE public.uncountable (stream_name text);
    INSERT INTO public.uncountable VALUES ('viewings-bad');
    CREATE TABLE public.views (stream_name text PRIMARY KEY, views bigint NOT NULL);
    CREATE FUNCTION public.count_view(message message_store.message) RETURNS void
    LANGUAGE sql AS $$
      INSERT INTO public.views
      VALUES (message.stream_name,
        1 / (message.stream_name NOT IN (SELECT stream_name FROM public.uncountable))::int)
      ON CONFLICT (stream_name) DO UPDATE SET views = views.views + 1
    $$;
    SELECT message_store.create_subscription('aggregators:views', 'viewings',
      '{"VideoViewed": "public.count_view"}',
      '{"group_size": 3, "on_failure": "park", "retries": 0}');
    SELECT message_store.start('aggregators:views')"#;
const WRITE_BAD: &str = "SELECT message_store.write_message(gen_random_uuid()::varchar,
    'viewings-bad', 'VideoViewed', '{}')";
/// The first of its stream, and the one that waits for it.
const ARE_PARKED: &str = "SELECT array_agg(status ORDER BY global_position) = '{failed,waiting}'
    FROM message_store.parked_messages";
const RETRY: &str = "SELECT message_store.retry_parked('aggregators:views')";
const LAST_DRAWN: &str = "SELECT last_value FROM message_store.messages_global_position_seq";
const MESSAGES: &str = "SELECT count(*) FROM message_store.messages";
/// Of the home page, and of each member of the group.
const POSITIONS: &str = "SELECT subscriber_id, member, position, handled
    FROM message_store.subscription_progress ORDER BY 1, 2";
const MISCOUNTED: &str = "
    WITH written AS (
      SELECT stream_name, count(*) AS views FROM message_store.messages GROUP BY stream_name)
    SELECT * FROM written FULL JOIN public.views USING (stream_name, views)
    WHERE written IS NULL OR views IS NULL";
/// Of a subscription: its members share it.
const SMALLEST_LAG: &str = "SELECT min(lag) FROM (
    SELECT sum(lag)::bigint AS lag FROM message_store.subscription_status GROUP BY subscriber_id) s";
const ALL_ARE_HANDLED: &str = "SELECT every(lag = 0) FROM message_store.subscription_status";
/// What the epoch of another server leaves out.
const LEFT_OUT: i64 = 1_000_000;
const WRITERS: usize = 4;
const BETWEEN_STEPS: i64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_by_links_goes_on_in_another_major_version() {
    let Some(pg_config) = other_pg_config() else {
        println!("left out: PROMISES_OTHER_PG_CONFIG names no PostgreSQL of another version");
        return;
    };
    let old = Cluster::start(&[]);
    let database = old.create_store().await;
    let session = database.connect().await;
    session.run(VIEWS).await.unwrap();
    stop_in_the_middle(&database, &session).await;
    let (drawn, written) = (
        session.bigint(LAST_DRAWN).await,
        session.bigint(MESSAGES).await,
    );
    let positions = session.run(POSITIONS).await.unwrap();
    let epoch = session.value("SELECT message_store.epoch()").await.unwrap();
    drop(session);

    let new = Cluster::start_of(pg_config, &[("fsync", "on"), ("autovacuum", "on")]);
    upgrade(&old, &new);
    let database = Database {
        cluster: &new,
        name: database.name.clone(),
    };
    let session = database.connect().await;
    assert_eq!(session.bigint(MESSAGES).await, written);
    assert_eq!(session.run(POSITIONS).await.unwrap(), positions);
    let fresh = new.create_store().await;
    catalog::assert_equals(&session, &fresh.connect().await).await;

    session.write_viewings(1).await;
    let position = "SELECT max(global_position) FROM message_store.messages";
    assert!(session.bigint(position).await > drawn + LEFT_OUT);
    // As the page says.
    session
        .run("SELECT message_store.confirm_epoch(message_store.epoch(), 'pg_upgrade')")
        .await
        .unwrap();
    let kept = format!("SELECT message_store.check_position('{epoch}', {drawn})");
    assert_eq!(session.bigint(&kept).await, drawn);
    go_on(&database, &session).await;
}

/// Functions of the server come and go from version to version, so the loader may miss one before the
/// server compares versions.
#[tokio::test]
async fn a_library_of_another_major_version_is_named_and_not_loaded() {
    let Some(other) = other_pg_config() else {
        println!("left out: PROMISES_OTHER_PG_CONFIG names no PostgreSQL of another version");
        return;
    };
    let clusters = [Cluster::start(&[]), Cluster::start_of(other, &[])];
    let [one, another] = &clusters;
    for (cluster, stranger) in [(one, another), (another, one)] {
        let session = cluster.connect("postgres", "postgres").await;
        let library = stranger.pg_config_value("--pkglibdir") + "/message_store.so";
        let refused = session.error(&format!("LOAD '{library}'")).await;
        assert!(refused.message.contains(&library), "{refused:?}");
        let why = ["undefined symbol", "version mismatch"];
        let is_told = why.iter().any(|words| refused.message.contains(words));
        assert!(is_told, "{refused:?}");
        println!("{refused:?}");
        session.run("CREATE EXTENSION message_store").await.unwrap();
    }
}

/// Leaves messages that are handled, that are parked, that are not handled yet, and a position that
/// is drawn and rolled back.
async fn stop_in_the_middle(database: &Database<'_>, session: &Session) {
    let running = database.deploy(DECLARED_HOME_PAGE).start();
    let mut writers = database.start_writers(WRITERS).await;
    for _ in 0..2 {
        session.run(WRITE_BAD).await.unwrap();
    }
    writers.write_more(BETWEEN_STEPS).await;
    session.wait_until(ARE_PARKED).await;
    session.wait_for_videos_watched(BETWEEN_STEPS).await;
    running.stop();
    writers.write_more(BETWEEN_STEPS).await;
    let seen = writers.stop().await;
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    let undone = format!("BEGIN; {WRITE_BAD}; ROLLBACK");
    session.run(&undone).await.unwrap();
    assert!(session.bigint(SMALLEST_LAG).await >= BETWEEN_STEPS);
}

/// Nothing of the old cluster can be used any more: the new one has its files.
fn upgrade(old: &Cluster, new: &Cluster) {
    old.stop(StopMode::Fast);
    new.stop(StopMode::Fast);
    let mut upgrade = new.server_command("pg_upgrade");
    upgrade.args(["--link", "--username", "postgres"]);
    upgrade.arg("--socketdir").arg(new.socket_dir());
    for (cluster, data_dir, bin_dir) in [
        (old, "--old-datadir", "--old-bindir"),
        (new, "--new-datadir", "--new-bindir"),
    ] {
        upgrade.arg(data_dir).arg(cluster.data_dir());
        upgrade.arg(bin_dir).arg(cluster.bin_dir());
    }
    let output = upgrade.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    new.start_again();
}

async fn go_on(database: &Database<'_>, session: &Session) {
    session.run("DELETE FROM public.uncountable").await.unwrap();
    assert_eq!(session.bigint(RETRY).await, 1);
    let running = database.deploy(DECLARED_HOME_PAGE).start();
    let written = session.bigint(MESSAGES).await;
    session.assert_videos_watched(written).await;
    session.wait_until(ALL_ARE_HANDLED).await;
    session
        .wait_until("SELECT count(*) = 0 FROM message_store.parked")
        .await;
    let handled = "SELECT handled FROM message_store.subscription_progress
        WHERE subscriber_id = 'aggregators:home-page'";
    assert_eq!(session.bigint(handled).await, written);
    let miscounted = session.run(MISCOUNTED).await.unwrap();
    assert!(miscounted.is_empty(), "{miscounted:?}");
    let different = session
        .run("SELECT * FROM message_store.verify('aggregators:home-page')")
        .await
        .unwrap();
    assert!(different.is_empty(), "{different:?}");
    session.run("ANALYZE").await.unwrap();
    let examined = database.command(&["doctor"]);
    assert_eq!(examined.code, Some(0), "{examined:?}");
    running.stop();
}
