//! Promise: logical replication carries the store. It moves to another server, where it goes on
//! after the switch-over that docs/backup.md shows, and not before; and others follow the log.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::process::{Command, Stdio};

use promises::{Cluster, DECLARED_HOME_PAGE, Database, Session};
use prost::Message;

/// What is said to be typed in the switch-over is what is done here.
const PAGE: &str = include_str!("../../docs/backup.md");

/// The page indents it.
fn shown(sql: &str) -> &str {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_shown = words(PAGE).contains(&words(sql));
    assert!(is_shown, "docs/backup.md does not show {sql}");
    sql
}

#[tokio::test]
async fn logical_subscriber_gets_what_write_message_writes() {
    let publisher_cluster = Cluster::start(&[("wal_level", "logical")]);
    let publisher = publisher_cluster.create_store().await;
    let subscriber = Cluster::shared().create_store().await;
    let (source, target) = (publisher.connect().await, subscriber.connect().await);
    source
        .run("CREATE PUBLICATION feed FOR TABLE message_store.messages")
        .await
        .unwrap();
    write(&source, "viewings-1", "BeforeSubscription").await;
    target
        .run(&format!(
            "CREATE SUBSCRIPTION feed CONNECTION 'host={} dbname={} user=postgres' PUBLICATION feed",
            publisher_cluster.socket_dir().display(),
            publisher.name
        ))
        .await
        .unwrap();
    // What there was is copied; from here on, changes are streamed.
    let streaming = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel";
    target.wait_until(streaming).await;
    write(&source, "viewings-1", "AfterSubscription").await;
    source.run("BEGIN").await.unwrap();
    write(&source, "viewings-2", "InTransaction").await;
    source.run("SAVEPOINT s").await.unwrap();
    write(&source, "viewings-2", "RolledBack").await;
    source.run("ROLLBACK TO s").await.unwrap();
    write(&source, "viewings-2", "InTransaction").await;
    source.run("COMMIT").await.unwrap();

    target
        .wait_until("SELECT count(*) = 4 FROM message_store.messages")
        .await;
    let rows = "SELECT m::text FROM message_store.messages m ORDER BY global_position";
    assert_same(
        &target.run(rows).await.unwrap(),
        &source.run(rows).await.unwrap(),
    );
    // The subscription must let go of the publisher before that one stops.
    target.run("DROP SUBSCRIPTION feed").await.unwrap();
}

const PUBLISH: &str = "CREATE PUBLICATION moving FOR ALL TABLES";
const WITHOUT_IDENTITY: &str = "SELECT c.oid::regclass FROM pg_class c
WHERE c.relkind = 'r' AND c.relreplident = 'd' AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)";
const IS_COPIED: &str = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel";
const CLOSE: &str = "ALTER TABLE message_store.messages
  ADD CONSTRAINT this_store_has_moved CHECK (false) NOT VALID";
const LAST_WRITTEN: &str = "SELECT pg_current_wal_lsn()";
const SEQUENCES: &str =
    "SELECT format('SELECT setval(%L, %s);', format('%I.%I', schemaname, sequencename), last_value)
FROM pg_sequences WHERE last_value IS NOT NULL";

/// A service and a group beside the home page: what they write may exist only once.
const FURNITURE: &str = r#"
    CREATE TABLE public.views (number bigserial PRIMARY KEY, global_position bigint NOT NULL);
    CREATE FUNCTION public.note_view(message message_store.message) RETURNS void
    LANGUAGE sql AS $$
      INSERT INTO public.views (global_position)
      VALUES (message.global_position / (message.stream_name <> 'viewings-bad')::int)
    $$;
    CREATE FUNCTION public.thank(message message_store.message) RETURNS void
    LANGUAGE sql AS $$
      SELECT FROM message_store.write_messages(ARRAY[
        ROW('thanks-1', 'Thanked', '{}', NULL, NULL, NULL)::message_store.new_message])
    $$;
    SELECT message_store.create_subscription('aggregators:views', 'viewings',
      '{"VideoViewed": "public.note_view"}',
      '{"group_size": 3, "on_failure": "park", "retries": 0}');
    SELECT message_store.create_subscription('services:thanks', 'viewings',
      '{"VideoViewed": "public.thank"}');
    SELECT message_store.start('aggregators:views'), message_store.start('services:thanks');
    SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-bad', 'VideoViewed',
      '{}')"#;
/// Each viewing is noted once and thanked for once, but for the bad one, which is parked.
const COUNTS: &str = "SELECT
      (SELECT count(*) FROM message_store.messages WHERE category(stream_name) = 'viewings'),
      1 + (SELECT count(DISTINCT global_position) FROM public.views),
      1 + (SELECT count(*) FROM public.views),
      (SELECT count(*) FROM message_store.messages WHERE category(stream_name) = 'thanks'),
      (SELECT page_data ->> 'videosWatched' FROM message_store.read_model_pages)";
/// What a store is made of.
const TABLES: &str = "SELECT c.oid::regclass FROM pg_class c
    WHERE c.relnamespace = 'message_store'::regnamespace AND c.relkind = 'r'";
/// All that is replicated, as text.
const EVERYTHING: &str = "
    SELECT 'messages', m::text FROM message_store.messages m
    UNION ALL SELECT 'subscriptions', s::text FROM message_store.subscriptions s
    UNION ALL SELECT 'progress', p::text FROM message_store.subscription_progress p
    UNION ALL SELECT 'parked', p::text FROM message_store.parked p
    UNION ALL SELECT 'history', h::text FROM message_store.history h
    UNION ALL SELECT 'pages', p::text FROM message_store.read_model_pages p
    UNION ALL SELECT 'deletions', d::text FROM message_store.deletions d
    UNION ALL SELECT 'tombstones', t::text FROM message_store.tombstones t
    UNION ALL SELECT 'retention', r::text FROM message_store.retention r
    UNION ALL SELECT 'erasures', e::text FROM message_store.erasures e
    UNION ALL SELECT 'horizons', h::text FROM message_store.horizons h
    UNION ALL SELECT 'epochs', e::text FROM message_store.epochs e
    UNION ALL SELECT 'shard', s::text FROM message_store.shard s
    UNION ALL SELECT 'shard progress', p::text FROM message_store.shard_progress p
    UNION ALL SELECT 'views', v::text FROM public.views v
    ORDER BY 1, 2";
const WRITE: &str = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-9', 'VideoViewed', '{}')";
const WRITERS: usize = 4;
const MESSAGES: i64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_a_second_server_under_load_and_goes_on_there() {
    let old_cluster = Cluster::start(&[("wal_level", "logical")]);
    let old_database = old_cluster.create_store().await;
    let new_cluster = Cluster::start(&[]);
    let new_database = new_cluster.create_database().await;
    let (old, new) = (old_database.connect().await, new_database.connect().await);
    for row in old.run(TABLES).await.unwrap() {
        let table = row[0].as_deref().unwrap();
        let is_compared = EVERYTHING.contains(&format!(" FROM {table} "));
        assert!(is_compared, "EVERYTHING lacks {table}");
    }
    old.run(FURNITURE).await.unwrap();
    let orchestrator = old_database.deploy(DECLARED_HOME_PAGE).start();
    let mut writers = old_database.start_writers(WRITERS).await;
    writers.write_more(MESSAGES).await;

    // The new server gets the definitions, then the rows, and follows.
    copy_definitions(&old_database, &new_database);
    let without = old.run(shown(WITHOUT_IDENTITY)).await.unwrap();
    assert_eq!(without, [[Some("message_store.history".to_owned())]]);
    old.run(shown(PUBLISH)).await.unwrap();
    let address = format!(
        "host={} dbname={} user=postgres",
        old_cluster.socket_dir().display(),
        old_database.name
    );
    let subscribe = shown("CREATE SUBSCRIPTION moving CONNECTION '").to_owned();
    let publication = shown("' PUBLICATION moving");
    new.run(&format!("{subscribe}{address}{publication}"))
        .await
        .unwrap();
    new.wait_until(shown(IS_COPIED)).await;
    writers.write_more(MESSAGES).await;

    // Nothing goes on there before its time.
    let refused = new.error(WRITE).await;
    assert_eq!(refused.sqlstate, "55000", "{refused:?}");
    assert!(refused.hint.contains("replication"), "{refused:?}");
    for subscriber_id in ["aggregators:home-page", "services:thanks"] {
        let tick = format!("SELECT message_store.tick('{subscriber_id}')");
        let refused = new.error(&tick).await;
        assert_eq!(refused.sqlstate, "55000", "{refused:?}");
        assert!(refused.hint.contains("replication"), "{refused:?}");
    }

    // The old one is closed.
    orchestrator.stop();
    // A position that is drawn and never used: the sequence is above every message.
    old.run("BEGIN").await.unwrap();
    old.write_viewings(5).await;
    old.run("ROLLBACK").await.unwrap();
    old.run(shown(CLOSE)).await.unwrap();
    let seen = writers.stop().await;
    let refused = old.error(WRITE).await;
    for error in seen.errors.iter().chain([&refused]) {
        assert_eq!(error.sqlstate, "23514", "{error:?}");
        assert!(error.message.contains("this_store_has_moved"), "{error:?}");
    }
    let last_written = old.value(shown(LAST_WRITTEN)).await.unwrap();
    let has_followed = shown("SELECT confirmed_flush_lsn >= '").to_owned();
    let of_slot = shown("' FROM pg_replication_slots WHERE slot_name = 'moving'");
    old.wait_until(&format!("{has_followed}{last_written}{of_slot}"))
        .await;
    new.run(shown("DROP SUBSCRIPTION moving")).await.unwrap();
    let (before, after) = (
        old.run(EVERYTHING).await.unwrap(),
        new.run(EVERYTHING).await.unwrap(),
    );
    assert_same(&after, &before);

    // The sequences follow, and it goes on.
    for row in old.run(shown(SEQUENCES)).await.unwrap() {
        new.run(row[0].as_deref().unwrap()).await.unwrap();
    }
    let last_drawn = "SELECT last_value FROM message_store.messages_global_position_seq";
    let last_drawn = old.bigint(last_drawn).await;
    let mut writers = new_database.start_writers(WRITERS).await;
    writers.write_more(MESSAGES).await;
    let written_there = writers.stop().await;
    assert!(written_there.errors.is_empty(), "{written_there:?}");
    let above =
        format!("SELECT count(*) FROM message_store.messages WHERE global_position > {last_drawn}");
    assert_eq!(new.bigint(&above).await, written_there.written);
    let orchestrator = new_database.deploy(DECLARED_HOME_PAGE).start();
    let viewings = 1 + seen.written + written_there.written;
    new.assert_videos_watched(viewings).await;
    let is_at_the_end = format!(
        "SELECT message_store.wait_for(subscriber_id, {}, '60 s') \
         FROM message_store.subscriptions",
        new.bigint(
            "SELECT max(global_position) FROM message_store.messages WHERE type = 'VideoViewed'"
        )
        .await
    );
    new.run(&is_at_the_end).await.unwrap();
    orchestrator.stop();
    new.run("SET search_path = message_store").await.unwrap();
    let counts = new.run(COUNTS).await.unwrap();
    assert_eq!(counts, [vec![Some(viewings.to_string()); 5]]);
    let verify = "SELECT * FROM message_store.verify('aggregators:home-page')";
    let different = new.run(verify).await.unwrap();
    assert!(different.is_empty(), "{different:?}");
}

/// `pg_dump --schema-only OLD | psql NEW`.
fn copy_definitions(old: &Database<'_>, new: &Database<'_>) {
    let mut dump = old.cluster.client_command("pg_dump");
    dump.args(shown("--schema-only --no-publications").split(' '));
    let mut dump = dump.arg(&old.name).stdout(Stdio::piped()).spawn().unwrap();
    let mut psql = new.cluster.client_command("psql");
    psql.args([
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--dbname",
    ]);
    psql.arg(&new.name).stdin(dump.stdout.take().unwrap());
    succeed(&mut psql);
    assert!(dump.wait().unwrap().success());
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
}

/// A change, as Debezium's decoderbufs describes it.
#[derive(Message)]
struct Change {
    #[prost(string, optional, tag = "3")]
    table: Option<String>,
    #[prost(int32, optional, tag = "4")]
    operation: Option<i32>,
    #[prost(message, repeated, tag = "5")]
    columns: Vec<Column>,
}

/// One value of it, of the kinds that are read here.
#[derive(Message)]
struct Column {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(int64, optional, tag = "4")]
    number: Option<i64>,
    #[prost(string, optional, tag = "8")]
    text: Option<String>,
}

impl Change {
    fn column(&self, name: &str) -> &Column {
        let mut columns = self.columns.iter();
        columns.find(|column| column.name() == name).unwrap()
    }
}

/// Of a change.
const INSERT: i32 = 0;
/// The package postgresql-N-decoderbufs is not there.
const NO_SUCH_FILE: &str = "58P01";

#[tokio::test]
async fn debezium_gets_each_message_once_in_the_order_of_commits() {
    let cluster = Cluster::start(&[("wal_level", "logical")]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    // Where the server asks which plugins may be used, it says so by this setting.
    let asks = "SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'";
    if session.bigint(asks).await == 1 {
        let allow = shown("ALTER SYSTEM SET output_plugin_libraries = 'decoderbufs'");
        session.run(allow).await.unwrap();
        session.run("SELECT pg_reload_conf()").await.unwrap();
        session
            .wait_until("SELECT current_setting('output_plugin_libraries') = 'decoderbufs'")
            .await;
    }
    let slot = "SELECT pg_create_logical_replication_slot('debezium', 'decoderbufs')";
    match session.run(slot).await {
        Err(error) if error.sqlstate == NO_SUCH_FILE => {
            println!("left out: this PostgreSQL has no decoderbufs");
            return;
        }
        created => created.unwrap(),
    };
    let expected = write_out_of_order(&database, &session).await;

    let peek = "SELECT data FROM pg_logical_slot_peek_binary_changes('debezium', NULL, NULL)";
    let mut found = Vec::new();
    for row in session.query(peek, &[]).await.unwrap() {
        let change = Change::decode(row.get::<_, &[u8]>(0)).unwrap();
        if !change.columns.is_empty() && change.table().contains("message_store.messages") {
            assert_eq!(change.operation(), INSERT, "{change:?}");
            let column = |name| change.column(name);
            found.push((
                column("global_position").number(),
                column("stream_name").text().to_owned(),
                column("id").text().to_owned(),
            ));
        }
    }
    assert_eq!(found, expected);
}

/// Writes from two sessions, rolls some of it back, and ticks; returns position, stream and id of
/// what is committed, in the order in which it was.
async fn write_out_of_order(
    database: &Database<'_>,
    first: &Session,
) -> Vec<(i64, String, String)> {
    let second = database.connect().await;
    first
        .run(
            r#"SELECT message_store.create_subscription('home', 'viewings',
                 '{"VideoViewed": "message_store.increment_videos_watched"}',
                 '{"init": "message_store.ensure_home_page"}');
               SELECT message_store.start('home')"#,
        )
        .await
        .unwrap();
    first.run("BEGIN").await.unwrap();
    write(first, "viewings-1", "VideoViewed").await;
    write(&second, "viewings-2", "VideoViewed").await;
    first.run("SAVEPOINT s").await.unwrap();
    write(first, "viewings-1", "RolledBack").await;
    first.run("ROLLBACK TO s").await.unwrap();
    write(first, "viewings-3", "VideoViewed").await;
    second.run("BEGIN").await.unwrap();
    write(&second, "viewings-2", "RolledBack").await;
    second.run("ROLLBACK").await.unwrap();
    first.run("COMMIT").await.unwrap();
    first
        .run("SELECT message_store.tick('home')")
        .await
        .unwrap();
    let committed = "SELECT global_position, stream_name, id::text FROM message_store.messages
        ORDER BY stream_name <> 'viewings-2', global_position";
    let committed = first.query(committed, &[]).await.unwrap();
    let committed: Vec<_> = committed
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let positions: Vec<i64> = committed.iter().map(|(position, ..)| *position).collect();
    assert_eq!(positions, [2, 1, 4], "the test writes out of order");
    committed
}

async fn write(session: &Session, stream: &str, kind: &str) {
    session
        .run(&format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', '{kind}', '{{}}')"
        ))
        .await
        .unwrap();
}

fn assert_same(found: &[Vec<Option<String>>], expected: &[Vec<Option<String>>]) {
    if found != expected {
        let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        let new: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
        panic!("missing: {missing:#?}\nnew: {new:#?}");
    }
}
