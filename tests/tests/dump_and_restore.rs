//! Promise: a dump that is made while applications write and orchestrators tick restores into a
//! store that goes on from there: above every position that was, each message counted once.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use promises::{Cluster, DECLARED_HOME_PAGE, Database, Session, other_pg_config};
use tempfile::TempDir;

/// Beside the home page, a group of three that counts the viewings of each stream and parks what
/// it cannot count.
const VIEWS: &str = r#"
    CREATE TABLE public.views (stream_name text PRIMARY KEY, views bigint NOT NULL);
    CREATE FUNCTION public.count_view(message message_store.message) RETURNS void
    LANGUAGE sql AS $$
      INSERT INTO public.views
      VALUES (message.stream_name, 1 / (message.stream_name <> 'viewings-bad')::int)
      ON CONFLICT (stream_name) DO UPDATE SET views = views.views + 1
    $$;
    SELECT message_store.create_subscription('aggregators:views', 'viewings',
      '{"VideoViewed": "public.count_view"}',
      '{"group_size": 3, "on_failure": "park", "retries": 0}');
    SELECT message_store.start('aggregators:views');
    SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-bad', 'VideoViewed',
      '{}')"#;
const IS_PARKED: &str = "SELECT count(*) = 1 FROM message_store.parked WHERE status = 'failed'";
/// Several jobs fill the tables in any order, and foreign keys are triggers. A plain dump says it by
/// itself.
const WITHOUT_TRIGGERS: [&str; 1] = ["--disable-triggers"];
const WRITERS: usize = 4;
/// How many messages are written before each dump.
const MESSAGES: i64 = 100;

/// A format of pg_dump, and by how many processes it is written and read.
#[derive(Clone, Copy, Debug)]
struct Format {
    name: &'static str,
    jobs: Option<&'static str>,
}

const PLAIN: Format = Format::of("plain", None);
const CUSTOM: Format = Format::of("custom", None);
const ALL_FORMATS: [Format; 5] = [
    PLAIN,
    CUSTOM,
    Format::of("tar", None),
    Format::of("directory", None),
    Format::of("directory", Some("4")),
];

impl Format {
    const fn of(name: &'static str, jobs: Option<&'static str>) -> Self {
        Self { name, jobs }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_in_any_format_goes_on_where_it_was_made() {
    let dumps = Dumps::make(&ALL_FORMATS, &[], Cluster::shared().bin_dir()).await;
    for (format, file) in &dumps.files {
        let restored = Cluster::shared().create_database().await;
        restore(&restored, *format, file, &[]);
        let session = restored.connect().await;
        all_goes_on(&session, *format).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_restored_without_the_rest_of_the_database() {
    let ours = ["--schema=message_store", "--extension=message_store"];
    let formats = [PLAIN, CUSTOM];
    let dumps = Dumps::make(&formats, &ours, Cluster::shared().bin_dir()).await;
    for (format, file) in &dumps.files {
        let restored = Cluster::shared().create_database().await;
        restore(&restored, *format, file, &[]);
        let session = restored.connect().await;
        let absent = session.error("SELECT FROM public.views").await;
        assert_eq!(absent.sqlstate, "42P01", "{absent:?}");
        home_page_goes_on(&session, *format).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_alone_is_restored_into_a_fresh_store() {
    let data = ["--data-only", "--schema=message_store", WITHOUT_TRIGGERS[0]];
    let dumps = Dumps::make(&ALL_FORMATS, &data, Cluster::shared().bin_dir()).await;
    for (format, file) in &dumps.files {
        let fresh = Cluster::shared().create_store().await;
        restore(&fresh, *format, file, &WITHOUT_TRIGGERS);
        home_page_goes_on(&fresh.connect().await, *format).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_goes_on_in_another_major_version() {
    let Some(pg_config) = other_pg_config() else {
        println!("left out: PROMISES_OTHER_PG_CONFIG names no PostgreSQL of another version");
        return;
    };
    let other = Cluster::start_of(pg_config, &[]);
    // The newer programs make the dump: older ones know nothing of a newer server.
    let dumps = Dumps::make(&ALL_FORMATS, &[], other.bin_dir()).await;
    for (format, file) in &dumps.files {
        let restored = other.create_database().await;
        restore(&restored, *format, file, &[]);
        all_goes_on(&restored.connect().await, *format).await;
    }
}

/// The orchestrator is at work on the home page.
const IS_COUNTED: &str = "SELECT EXISTS (SELECT FROM message_store.read_model_pages
     WHERE (page_data ->> 'videosWatched')::bigint > 0)";

/// Dumps of one store that was busy while each was made.
struct Dumps {
    files: Vec<(Format, PathBuf)>,
    _folder: TempDir,
}

impl Dumps {
    async fn make(formats: &[Format], options: &[&str], programs: &Path) -> Self {
        let database = Cluster::shared().create_store().await;
        let session = database.connect().await;
        session.run(VIEWS).await.unwrap();
        let running = database.deploy(DECLARED_HOME_PAGE).start();
        session.wait_until(IS_PARKED).await;
        let mut writers = database.start_writers(WRITERS).await;
        session.wait_until(IS_COUNTED).await;

        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut files = Vec::new();
        for (number, format) in formats.iter().enumerate() {
            writers.write_more(MESSAGES).await;
            let file = folder.path().join(number.to_string());
            dump(&database, *format, options, programs, &file);
            files.push((*format, file));
        }
        writers.write_more(MESSAGES).await;
        let seen = writers.stop().await;
        assert!(seen.errors.is_empty(), "{:?}", seen.errors);
        running.stop();
        Self {
            files,
            _folder: folder,
        }
    }
}

/// An aggregator and a service, each with an effect for each message.
const ORDERS: &str = r#"
    CREATE TABLE public.orders (number text PRIMARY KEY, handled bigint NOT NULL);
    CREATE TABLE public.mails (order_of text);
    CREATE FUNCTION public.count_order(message message_store.message) RETURNS void LANGUAGE sql AS $$
      INSERT INTO orders VALUES (message_store.id(message.stream_name), 1)
      ON CONFLICT (number) DO UPDATE SET handled = orders.handled + 1 $$;
    CREATE FUNCTION public.confirm(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.mails VALUES (message.stream_name);
      PERFORM message_store.write_messages(
        'confirmation-' || message_store.id(message.stream_name), '[{"type": "Confirmed"}]'::jsonb);
    END $$;
    SELECT message_store.create_subscription('aggregators:orders', 'order', '{"Placed": "count_order"}',
      '{"read_model": ["orders"]}');
    SELECT message_store.create_subscription('services:orders', 'order', '{"Placed": "confirm"}')"#;

async fn place_orders(session: &Session, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let place = format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'order-{number}', 'Placed', '{{}}')"
        );
        session.run(&place).await.unwrap();
    }
    for subscriber_id in ["aggregators:orders", "services:orders"] {
        tick_to_the_end(session, subscriber_id).await;
    }
}

/// The steps of docs/versions.md, "Go back", by the version that is here.
#[tokio::test]
async fn what_was_written_since_a_backup_goes_back_with_it() {
    const CONFIRMED: &str = "SELECT count(*) FROM message_store.messages WHERE type = 'Confirmed'";
    const LAST: &str = "SELECT max(global_position) FROM message_store.messages";
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(ORDERS).await.unwrap();
    place_orders(&session, 0..10).await;
    let folder = tempfile::tempdir().unwrap();
    let (backup, since) = (
        folder.path().join("backup"),
        folder.path().join("since.jsonl"),
    );
    dump(&database, CUSTOM, &[], Cluster::shared().bin_dir(), &backup);
    let highest = session.bigint(LAST).await;
    place_orders(&session, 5..20).await;

    let position = (highest + 1).to_string();
    let file = since.to_str().unwrap();
    let exported = database.command(&["export", "$all", "--position", &position, "--output", file]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let restored = Cluster::shared().create_database().await;
    restore(&restored, CUSTOM, &backup, &[]);
    let imported = restored.command(&["import", file]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let session = restored.connect().await;
    let last = session.bigint(LAST).await;
    session
        .run(&format!(
            "SELECT message_store.skip('services:orders', {last}, 'back to the version before')"
        ))
        .await
        .unwrap();
    place_orders(&session, 20..21).await;
    assert_eq!(session.bigint(CONFIRMED).await, 26, "each order once");
    let mails = "SELECT count(*) FROM public.mails";
    assert_eq!(
        session.bigint(mails).await,
        11,
        "those of the backup, and the new one"
    );
    let handled = "SELECT sum(handled) FROM public.orders";
    assert_eq!(session.bigint(handled).await, 26);
    let verify = "SELECT * FROM message_store.verify('aggregators:orders')";
    assert!(session.run(verify).await.unwrap().is_empty());
}

fn dump(database: &Database<'_>, format: Format, options: &[&str], programs: &Path, file: &Path) {
    let mut dump = Command::new(programs.join("pg_dump"));
    database.cluster.set_client_environment(&mut dump);
    dump.args(["--format", format.name, "--file"]).arg(file);
    dump.args(format.jobs.map(|jobs| format!("--jobs={jobs}")));
    succeed(dump.args(options).arg(&database.name));
}

fn restore(database: &Database<'_>, format: Format, file: &Path, options: &[&str]) {
    let mut restore = if format.name == "plain" {
        let mut psql = database.cluster.client_command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"]);
        psql.arg(file);
        psql
    } else {
        let mut pg_restore = database.cluster.client_command("pg_restore");
        pg_restore.arg("--exit-on-error").arg(file);
        pg_restore.args(format.jobs.map(|jobs| format!("--jobs={jobs}")));
        pg_restore.args(options);
        pg_restore
    };
    succeed(restore.args(["--dbname", &database.name]));
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
}

/// Every subscription, with what its handlers and read models need.
async fn all_goes_on(session: &Session, format: Format) {
    const DIFFERENT: &str = "
        WITH written AS (
          SELECT stream_name, count(*) AS views FROM message_store.messages
          WHERE stream_name <> 'viewings-bad' GROUP BY stream_name)
        SELECT * FROM written FULL JOIN public.views USING (stream_name, views)
        WHERE written IS NULL OR views IS NULL";
    home_page_goes_on(session, format).await;
    tick_to_the_end(session, "aggregators:views").await;
    let different = session.run(DIFFERENT).await.unwrap();
    assert!(different.is_empty(), "{format:?}: {different:?}");
    assert_eq!(session.value(IS_PARKED).await.as_deref(), Some("t"));
}

async fn home_page_goes_on(session: &Session, format: Format) {
    const HIGHEST: &str = "SELECT greatest(
        (SELECT max(global_position) FROM message_store.messages),
        (SELECT max(position) FROM message_store.subscription_progress))";
    const VIEWINGS: &str = "SELECT count(*) FROM message_store.messages";
    const HANDLED: &str = "SELECT handled FROM message_store.subscription_progress
        WHERE subscriber_id = 'aggregators:home-page'";
    let (highest, before) = (
        session.bigint(HIGHEST).await,
        session.bigint(VIEWINGS).await,
    );
    assert!(before >= MESSAGES, "{format:?}: {before}");
    assert!(session.videos_watched().await > 0, "{format:?}");
    session.write_viewings(1).await;
    let lowest =
        format!("SELECT count(*) FROM message_store.messages WHERE global_position > {highest}");
    assert_eq!(session.bigint(&lowest).await, 1, "{format:?}");

    tick_to_the_end(session, "aggregators:home-page").await;
    assert_eq!(session.videos_watched().await, before + 1, "{format:?}");
    assert_eq!(session.bigint(HANDLED).await, before + 1, "{format:?}");
    let verify = "SELECT * FROM message_store.verify('aggregators:home-page')";
    let different = session.run(verify).await.unwrap();
    assert!(different.is_empty(), "{format:?}: {different:?}");
}

async fn tick_to_the_end(session: &Session, subscriber_id: &str) {
    let tick = format!("SELECT outcome FROM message_store.tick('{subscriber_id}')");
    loop {
        match session.value(&tick).await.as_deref() {
            Some("progressed") => {}
            Some("idle") => return,
            other => panic!("{subscriber_id}: {other:?}"),
        }
    }
}
