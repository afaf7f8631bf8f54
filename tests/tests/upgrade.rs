//! Promise: `ALTER EXTENSION message_store UPDATE` is all that an update takes. It leaves the data,
//! makes the store what a fresh one is, and is an error to no client; and where library, SQL and
//! programs are of different versions, whoever calls is told what to run.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod catalog;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use catalog::{MEMBERS, STORE, assert_equals, assert_same};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use promises::{
    Cluster, Database, HOME_PAGE, Rows, Running, Session, StopMode, orchestrator, orchestrator_at,
    run_to_end,
};

/// A store as version 0.1 made it.
const STORE_OF_0_1: &str = include_str!("../fixtures/store-0.1.sql");
/// A store as version 0.2 made it.
const STORE_OF_0_2: &str = include_str!("../fixtures/store-0.2.sql");
/// A store as version 0.3 made it.
const STORE_OF_0_3: &str = include_str!("../fixtures/store-0.3.sql");

#[tokio::test]
async fn updating_from_0_1_leaves_the_data_and_equals_a_fresh_install() {
    update_from("0.1.0", STORE_OF_0_1, "category").await;
}

#[tokio::test]
async fn updating_from_0_2_leaves_the_data_and_equals_a_fresh_install() {
    update_from("0.2.0", STORE_OF_0_2, "source").await;
}

#[tokio::test]
async fn updating_from_0_3_leaves_the_data_and_equals_a_fresh_install() {
    update_from("0.3.0", STORE_OF_0_3, "source").await;
}

/// Installs an earlier version, from the first one on: of the ways to a version PostgreSQL takes the
/// shortest, and that from the present one back is refused.
fn install(version: &str) -> String {
    format!(
        "CREATE EXTENSION message_store VERSION '0.1.0'; \
         ALTER EXTENSION message_store UPDATE TO '{version}'"
    )
}

/// `source`: the column that says what a subscription reads.
async fn update_from(version: &str, store: &str, source: &str) {
    let cluster = Cluster::shared();
    let updated = cluster.create_database().await;
    let session = updated.connect().await;
    let run = async |sql: &str| session.run(sql).await.unwrap();
    run(&install(version)).await;
    run(store).await;
    write(&session, "viewings-1", "VideoViewed").await;
    write(&session, "viewings-1", "VideoViewed").await;
    run(&format!(
        "INSERT INTO message_store.subscriptions
           (subscriber_id, owner, {source}, handlers, options, state)
           VALUES ('s', 'postgres', 'viewings',
                   '{{\"VideoViewed\": \"message_store.increment_videos_watched(bigint[])\"}}',
                   '{{\"init\": \"message_store.ensure_home_page\"}}', 'started');
         INSERT INTO message_store.subscription_progress (subscriber_id, position) VALUES ('s', 1)"
    ))
    .await;
    // The new library beside the old extension: nothing is guessed.
    let error = session.error("SELECT message_store.create_store()").await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    // It brings the tables up to date as well.
    run("ALTER EXTENSION message_store UPDATE").await;
    run("SELECT message_store.start('s')").await;
    assert_eq!(
        session
            .bigint("SELECT handled FROM message_store.tick('s')")
            .await,
        1,
        "the position stays"
    );
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.messages")
            .await,
        2
    );

    assert_equals_a_fresh_store(&session).await;
    run("SELECT message_store.create_store()").await;
    assert_equals_a_fresh_store(&session).await;
}

async fn assert_equals_a_fresh_store(updated: &Session) {
    let fresh = Cluster::shared().create_store().await;
    assert_equals(updated, &fresh.connect().await).await;
}

/// Rows for the tables of a store of whatever version: what it has no table or column for is left out.
const ROWS: &str = include_str!("../fixtures/rows.json");
const FILLED: [&str; 5] = [
    "read_model_pages",
    "subscriptions",
    "subscription_progress",
    "parked",
    "history",
];
/// Messages with and without data and metadata; a position is drawn and never used.
const LOG: [&str; 6] = [
    r#"SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', 'VideoViewed',
         '{"videoId": "\u00e9t\u00e9", "n": 1.50}')"#,
    r#"SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', 'VideoViewed', NULL,
         '{"correlationStreamName": "thanks-1"}', 0)"#,
    "BEGIN",
    "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-2', 'VideoViewed', '{}')",
    "ROLLBACK",
    "SELECT message_store.write_message(gen_random_uuid()::varchar, 'thanks-ü+1', 'Thanked',
       (SELECT jsonb_object_agg(n, repeat('x', n)) FROM generate_series(1, 200) n))",
];
/// The tables of a store, and their columns.
const COLUMNS: &str = "
    SELECT c.relname, string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'message_store'::regnamespace AND c.relkind = 'r'
    GROUP BY 1 ORDER BY 1";
/// Where positions go on.
const SEQUENCE: &str =
    "SELECT last_value, is_called FROM message_store.messages_global_position_seq";
/// What is dropped where it is empty: nothing in 0.1 wrote to the one, and the other is the demo's of 0.2.
const DROPPED: [&str; 2] = ["parked_messages", "video_views"];

/// What these columns of a table hold, row by row.
async fn rows_in(session: &Session, table: &str, columns: &str) -> Rows {
    let rows = format!("SELECT {columns} FROM message_store.{table} ORDER BY ROW({columns})::text");
    session.run(&rows).await.unwrap()
}

#[tokio::test]
async fn an_update_leaves_every_row_as_it_was() {
    for (version, store) in RELEASED {
        let database = Cluster::shared().create_database().await;
        let session = database.connect().await;
        create_store_of(&session, version, store).await;
        for statement in LOG {
            session.run(statement).await.unwrap();
        }
        let columns = session.run(COLUMNS).await.unwrap();
        let tables: Vec<_> = columns
            .iter()
            .map(|row| (row[0].as_deref().unwrap(), row[1].as_deref().unwrap()))
            .collect();
        for table in FILLED {
            if tables.iter().any(|(its, _)| *its == table) {
                let fill = format!(
                    "INSERT INTO message_store.{table} SELECT * FROM jsonb_populate_recordset(
                       NULL::message_store.{table}, $${ROWS}$$::jsonb -> '{table}')"
                );
                session.run(&fill).await.unwrap();
            }
        }
        let mut before = Vec::new();
        for (table, columns) in &tables {
            let rows = rows_in(&session, table, columns).await;
            assert_eq!(
                rows.is_empty(),
                DROPPED.contains(table),
                "{version}: {table}"
            );
            before.push(rows);
        }
        let sequence = session.run(SEQUENCE).await.unwrap();

        session.run(UPDATE).await.unwrap();
        for ((table, columns), before) in tables.iter().zip(&before) {
            if !DROPPED.contains(table) {
                // A column of 0.1 has another name since.
                let columns = columns.replace("category", "source");
                assert_same(&rows_in(&session, table, &columns).await, before);
            }
        }
        assert_same(&session.run(SEQUENCE).await.unwrap(), &sequence);
        assert_equals_a_fresh_store(&session).await;
    }
}

#[tokio::test]
async fn a_library_beside_tables_of_0_1_ticks_nothing() {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    session
        .run(&format!(
            "CREATE EXTENSION message_store VERSION '0.1.0'; {STORE_OF_0_1}"
        ))
        .await
        .unwrap();
    let error = session.error("SELECT message_store.tick('s')").await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
}

#[tokio::test]
async fn a_store_of_0_2_keeps_what_it_uses_of_the_demo() {
    const DEMO: &str = "SELECT count(*) FROM pg_proc p WHERE p.oid IN (
        to_regprocedure('message_store.count_views_per_video(message_store.message[])'),
        to_regprocedure('message_store.ensure_most_watched()'),
        to_regprocedure('message_store.register_viewing(message_store.message)'))";
    for (is_used, by) in [
        (false, "SELECT 1"),
        (
            true,
            "INSERT INTO message_store.video_views VALUES ('streams', 3)",
        ),
        (
            true,
            "INSERT INTO message_store.subscriptions (subscriber_id, owner, source, handlers, options)
             VALUES ('s', 'postgres', 'viewings',
                     '{\"A\": \"message_store.register_viewing(message_store.message)\"}', '{}')",
        ),
        (
            true,
            "CREATE VIEW public.most AS SELECT * FROM message_store.video_views",
        ),
    ] {
        let database = Cluster::shared().create_database().await;
        let session = database.connect().await;
        let run = async |sql: &str| session.run(sql).await.unwrap();
        run(&install("0.2.0")).await;
        run(STORE_OF_0_2).await;
        run(by).await;
        run("ALTER EXTENSION message_store UPDATE").await;
        let kept = session.bigint(DEMO).await;
        assert_eq!(kept, if is_used { 3 } else { 0 }, "{by}");
        let table = "SELECT count(*) FROM pg_class WHERE oid = to_regclass('message_store.video_views')";
        assert_eq!(session.bigint(table).await, i64::from(is_used), "{by}");
        // The demo's own script takes over what is there.
        session.install_home_page().await;
        run("SELECT message_store.count_views_per_video('{}')").await;
    }
}

const UPDATE: &str = "ALTER EXTENSION message_store UPDATE";
/// The versions that were released, and a store of each.
const RELEASED: [(&str, &str); 4] = [
    ("0.1.0", STORE_OF_0_1),
    ("0.1.1", STORE_OF_0_1),
    ("0.2.0", STORE_OF_0_2),
    ("0.3.0", STORE_OF_0_3),
];
const WRITERS: usize = 4;
const MESSAGES: i64 = 200;
/// Longer than anybody waits through an update on a machine that is busy with other things, and shorter than
/// one waits for a lock that is held to the end of something else.
const PATIENCE: Duration = Duration::from_secs(10);

async fn create_store_of(session: &Session, version: &str, store: &str) {
    let create = format!("{}; {store}", install(version));
    session.run(&create).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_under_load_is_an_error_to_nobody() {
    for (version, store) in RELEASED {
        let database = Cluster::shared().create_database().await;
        let session = database.connect().await;
        create_store_of(&session, version, store).await;
        // The files are new and the SQL is old: writes go on, and the orchestrator says what to run.
        let mut writers = database.start_writers(WRITERS).await;
        let (end, ended) = tokio::sync::watch::channel(false);
        let reader = database.connect_as("message_store").await;
        let reading = tokio::spawn(async move { read_until(&reader, &ended).await });
        let orchestrator = database.deploy(HOME_PAGE).start();
        orchestrator.wait_for_log(UPDATE);
        writers.write_more(MESSAGES).await;

        session.run("BEGIN").await.unwrap();
        let begun = Instant::now();
        session.run(UPDATE).await.unwrap();
        let locked = session.run(LOCKED).await.unwrap();
        session.run("COMMIT").await.unwrap();
        let took = begun.elapsed();
        let of_messages = [
            "messages",
            "messages_id",
            "messages_stream",
            "messages_category",
        ];
        for row in &locked {
            let relation = row[0].as_deref().unwrap();
            assert!(!of_messages.contains(&relation), "{version}: {locked:?}");
        }

        writers.write_more(MESSAGES).await;
        let seen = writers.stop().await;
        println!(
            "{version}: {took:?} with {} relations locked; {} written, longest wait {:?}, errors {:?}",
            locked.len(),
            seen.written,
            seen.longest_wait,
            seen.errors
        );
        assert!(seen.errors.is_empty(), "{version}: {:?}", seen.errors);
        end.send_replace(true);
        let (read, longest) = reading.await.unwrap();
        println!("{version}: {read} reads, the longest {longest:?}");
        for waited in [took, seen.longest_wait, longest] {
            assert!(
                waited < PATIENCE,
                "{version}: somebody waited for {waited:?}"
            );
        }
        session.assert_videos_watched(seen.written).await;
        orchestrator.stop();
        assert_equals_a_fresh_store(&session).await;
    }
}

/// Reads as applications do, one statement prepared and the others not, until it is said that it is
/// enough; how often, and the longest that it took. An error fails the test.
async fn read_until(
    reader: &Session,
    is_enough: &tokio::sync::watch::Receiver<bool>,
) -> (u64, Duration) {
    let category = reader
        .prepare("SELECT * FROM message_store.get_category_messages('viewings', $1, 100)")
        .await
        .unwrap();
    let (mut count, mut longest) = (0_i64, Duration::ZERO);
    while !*is_enough.borrow() {
        let asked = Instant::now();
        reader.query(&category, &[&count]).await.unwrap();
        for statement in [
            "SELECT * FROM message_store.get_stream_messages('viewings-1', 0, 10)",
            "SELECT message_store.get_last_stream_message('viewings-1')",
            "SELECT message_store.stream_version('viewings-1')",
        ] {
            reader.run(statement).await.unwrap();
        }
        longest = longest.max(asked.elapsed());
        count += 1;
    }
    (u64::try_from(count).unwrap(), longest)
}

/// What nobody else can use until the transaction ends.
const LOCKED: &str = "SELECT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    WHERE pid = pg_backend_pid() AND mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'ShareLock',
      'AccessExclusiveLock') AND relnamespace = 'message_store'::regnamespace";

/// Somebody reads it: the update waits for it in its middle.
const IN_THE_MIDDLE: &str = "BEGIN; LOCK TABLE message_store.subscriptions IN ACCESS SHARE MODE";

#[tokio::test]
async fn an_interrupted_update_changes_nothing_and_is_made_again() {
    let cluster = Cluster::start(&[]);
    for how in ["ended", "killed", "crashed"] {
        for (version, store) in RELEASED {
            let database = cluster.create_database().await;
            let session = database.connect().await;
            create_store_of(&session, version, store).await;
            let members = session.run(MEMBERS).await.unwrap();
            let tables = session.run(STORE).await.unwrap();

            let (reader, updating) = (database.connect().await, database.connect().await);
            reader.run(IN_THE_MIDDLE).await.unwrap();
            let update = updating.simple_query(UPDATE);
            let interrupt = async {
                session.wait_until_blocked(updating.pid).await;
                match how {
                    "ended" => {
                        let end = format!("SELECT pg_terminate_backend({})", updating.pid);
                        session.run(&end).await.unwrap();
                    }
                    "killed" => kill(Pid::from_raw(updating.pid), Signal::SIGKILL).unwrap(),
                    _ => cluster.restart(StopMode::Immediate),
                }
            };
            let (updated, ()) = tokio::join!(update, interrupt);
            assert!(updated.is_err(), "{how} {version}");
            drop((reader, session));
            if how == "killed" {
                // It is starting again by itself, and may not listen to a gentler word meanwhile.
                cluster.restart(StopMode::Immediate);
            }

            let session = database.connect().await;
            assert_same(&session.run(MEMBERS).await.unwrap(), &members);
            assert_same(&session.run(STORE).await.unwrap(), &tables);
            session.run(UPDATE).await.unwrap();
            assert_equals_a_fresh_store(&session).await;
        }
    }
}

/// Somebody makes the last of its relations: `create_store()` waits for that with all the others made.
const NEAR_THE_END: &str =
    "BEGIN; CREATE VIEW message_store.subscription_status AS SELECT 1 AS one";

#[tokio::test]
async fn a_store_whose_making_was_killed_is_not_there_and_is_made_again() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_database().await;
    let session = database.connect().await;
    session.run("CREATE EXTENSION message_store").await.unwrap();
    let (other, making) = (database.connect().await, database.connect().await);
    other.run(NEAR_THE_END).await.unwrap();
    let make = making.simple_query("SELECT message_store.create_store()");
    let interrupt = async {
        session.wait_until_blocked(making.pid).await;
        kill(Pid::from_raw(making.pid), Signal::SIGKILL).unwrap();
    };
    let (made, ()) = tokio::join!(make, interrupt);
    assert!(made.is_err());
    drop((other, session));
    cluster.restart(StopMode::Immediate);

    let session = database.connect().await;
    assert_eq!(session.run(STORE).await.unwrap(), Vec::<Vec<_>>::new());
    let make = "SELECT message_store.create_store()";
    session.run(make).await.unwrap();
    write(&session, "viewings-1", "VideoViewed").await;
    assert_equals_a_fresh_store(&session).await;
}

#[tokio::test]
async fn a_store_of_another_owner_stays_its_own() {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    create_store_of(&session, "0.2.0", STORE_OF_0_2).await;
    session
        .run(
            "CREATE ROLE shopkeeper; GRANT USAGE, CREATE ON SCHEMA message_store TO shopkeeper;
             DO $$ DECLARE relation regclass; BEGIN
               FOR relation IN SELECT oid FROM pg_class
                 WHERE relnamespace = 'message_store'::regnamespace AND relkind IN ('r', 'v')
               LOOP EXECUTE format('ALTER TABLE %s OWNER TO shopkeeper', relation); END LOOP;
             END $$",
        )
        .await
        .unwrap();
    session.run(UPDATE).await.unwrap();
    let owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class
        WHERE relnamespace = 'message_store'::regnamespace AND relkind IN ('r', 'v', 'S', 'i')";
    let owners = session.run(owners).await.unwrap();
    assert_eq!(owners, [[Some("shopkeeper".to_owned())]]);
    assert_eq!(
        session.value("SELECT current_user").await.as_deref(),
        Some("postgres")
    );
}

#[tokio::test]
async fn a_downgrade_is_refused_and_says_how_to_go_back() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for version in ["0.3.0", "0.2.0", "0.1.1", "0.1.0"] {
        let downgrade = format!("ALTER EXTENSION message_store UPDATE TO '{version}'");
        let refused = session.error(&downgrade).await;
        assert_eq!(refused.sqlstate, "0A000", "{version}: {refused:?}");
        assert!(refused.hint.contains("restore a backup"), "{refused:?}");
    }
    assert_equals_a_fresh_store(&session).await;
}

const MEMBERS_OF_KIT: &str = "
    SELECT pg_describe_object(d.classid, d.objid, 0) AS object,
      CASE WHEN d.classid = 'pg_proc'::regclass THEN pg_get_functiondef(d.objid) END
    FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE e.extname = 'message_store_test' AND d.deptype = 'e'
    ORDER BY 1";

#[tokio::test]
async fn the_test_kit_of_an_earlier_version_is_updated_too() {
    const CREATE: &str = "CREATE EXTENSION message_store_test";
    let fresh = Cluster::shared().create_store().await;
    let fresh = fresh.connect().await;
    fresh.run(CREATE).await.unwrap();
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    let run = async |sql: &str| session.run(sql).await.unwrap();
    create_store_of(&session, "0.3.0", STORE_OF_0_3).await;
    run(&format!("{CREATE} VERSION '0.3.0'")).await;
    run(UPDATE).await;
    run("ALTER EXTENSION message_store_test UPDATE").await;
    let version = "SELECT extversion FROM pg_extension WHERE extname = 'message_store_test'";
    let version = session.value(version).await;
    assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let members = fresh.run(MEMBERS_OF_KIT).await.unwrap();
    assert!(members.len() > 8, "{members:?}");
    assert_same(&run(MEMBERS_OF_KIT).await, &members);

    run(
        r#"CREATE TABLE public.wallets (wallet varchar PRIMARY KEY, amount bigint NOT NULL);
           CREATE FUNCTION public.put_in(message message_store.message) RETURNS void
           LANGUAGE sql AS $$
             INSERT INTO wallets
             VALUES (message_store.id(message.stream_name), (message.data::jsonb ->> 'amount')::bigint)
             ON CONFLICT (wallet) DO UPDATE SET amount = wallets.amount + excluded.amount $$;
           SELECT message_store.create_subscription('aggregators:wallets', 'wallet',
             '{"PutIn": "put_in"}', '{"read_model": ["wallets"]}')"#,
    )
    .await;
    // It takes back what it did: the subscription is as if nobody had ticked it.
    run("BEGIN").await;
    for step in [
        r#"given_message('wallet-1', 'PutIn', '{"amount": 3}')"#,
        r#"given_message('wallet-1', 'PutIn', '{"amount": 4}')"#,
        "when_ticked('aggregators:wallets')",
        r#"then_read_model('wallets', '[{"wallet": "1", "amount": 7}]')"#,
    ] {
        run(&format!("SELECT message_store_test.{step}")).await;
    }
    let wrong =
        r#"SELECT message_store_test.then_read_model('wallets', '[{"wallet": "1", "amount": 8}]')"#;
    session.error(wrong).await;
    run("ROLLBACK").await;
}

#[tokio::test]
async fn a_library_beside_sql_of_another_version_says_what_to_run() {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    create_store_of(&session, "0.2.0", STORE_OF_0_2).await;
    session
        .run(
            r#"INSERT INTO message_store.subscriptions
                 (subscriber_id, owner, source, handlers, options, state)
               VALUES ('s', 'postgres', 'viewings',
                 '{"VideoViewed": "message_store.increment_videos_watched(bigint[])"}', '{}', 'started');
               SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1',
                 'VideoViewed', '{}');
               INSERT INTO message_store.subscription_progress (subscriber_id) VALUES ('s')"#,
        )
        .await
        .unwrap();
    for call in ["create_store()", "promote('s')", "tick('s')"] {
        let refused = session.error(&format!("SELECT message_store.{call}")).await;
        assert_eq!(refused.sqlstate, "55000", "{call}: {refused:?}");
        assert!(refused.hint.contains(UPDATE), "{call}: {refused:?}");
    }
    session.run(UPDATE).await.unwrap();
    // A later version, whose functions are declared otherwise.
    pretend(&session, "99.0.0").await;
    session
        .run(
            "CREATE FUNCTION public.promote() RETURNS void LANGUAGE c AS '$libdir/message_store',
               'promote'",
        )
        .await
        .unwrap();
    for call in ["message_store.create_store()", "public.promote()"] {
        let refused = session.error(&format!("SELECT {call}")).await;
        assert_eq!(refused.sqlstate, "55000", "{call}: {refused:?}");
        assert!(
            refused.hint.contains("install the library of 99.0.0"),
            "{call}: {refused:?}"
        );
    }
}

/// Makes the SQL one of another version: by its number, and by a change such as an update's scripts make.
async fn pretend(session: &Session, version: &str) {
    session
        .run(&format!(
            "SET allow_system_table_mods = on;
             UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'message_store';
             CREATE OR REPLACE FUNCTION public.of_an_update() RETURNS void LANGUAGE sql AS ''"
        ))
        .await
        .unwrap();
}

/// After the library's own, although it is before that as text.
const NEWER: &str = "0.100.0";
/// Each function of the library in SQL, called with NULLs. One that fires as a trigger, or asks nothing
/// where it is given NULL, cannot be.
const CALLS: &str = "
    SELECT p.proname, format('%s message_store.%I(%s)', CASE p.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END,
      p.proname, array_to_string(ARRAY(SELECT 'NULL::' || t::regtype FROM unnest(p.proargtypes) t), ', '))
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
    WHERE p.pronamespace = 'message_store'::regnamespace
      AND p.prorettype <> 'trigger'::regtype AND NOT (p.proisstrict AND p.pronargs > 0)
    ORDER BY 1";
/// What asks the store nothing: names alone, and the library about itself.
const ASK_NOTHING: [&str; 4] = [
    "handler_context",
    "is_category",
    "message_store_version",
    "shard_of",
];

#[tokio::test]
async fn an_older_library_goes_no_further_with_newer_sql() {
    let database = Cluster::shared().create_store().await;
    let (administrator, open) = (database.connect().await, database.connect().await);
    let stay = [
        "SELECT message_store.category('viewings-1'), message_store.id('viewings-1'), \
           message_store.is_category('viewings'), message_store.message_store_version(), \
           message_store.handler_context()",
        "REINDEX INDEX message_store.messages_category",
        "BEGIN; DROP EXTENSION message_store CASCADE; ROLLBACK",
    ];
    let use_store = async |session: &Session| {
        write(session, "viewings-1", "VideoViewed").await;
        for call in [
            "get_category_messages('viewings')",
            "get_stream_messages('viewings-1')",
            "tick('s')",
            "fetch('fetched', 10, '1 ms')",
        ] {
            let call = format!("SELECT * FROM message_store.{call}");
            session.run(&call).await.unwrap();
        }
    };
    administrator
        .run(
            r#"SELECT message_store.create_subscription('fetched', 'viewings', '{}');
               SELECT message_store.create_subscription('s', 'viewings',
                 '{"VideoViewed": "message_store.increment_videos_watched"}');
               SELECT message_store.start('s'), message_store.start('fetched')"#,
        )
        .await
        .unwrap();
    use_store(&open).await;
    pretend(&administrator, NEWER).await;

    let calls = administrator.run(CALLS).await.unwrap();
    assert!(calls.len() > 40, "{calls:?}");
    let session = &database.connect().await;
    for call in &calls {
        let (name, call) = (call[0].as_deref().unwrap(), call[1].as_deref().unwrap());
        let said = session.run(call).await.err();
        let is_refused = said.as_ref().is_some_and(|error| {
            error.sqlstate == "55000"
                && error.message.contains(NEWER)
                && error.message.contains(env!("CARGO_PKG_VERSION"))
                && error
                    .hint
                    .contains(&format!("install the library of {NEWER}"))
        });
        assert_eq!(is_refused, !ASK_NOTHING.contains(&name), "{call}: {said:?}");
    }
    let written = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', \
                   'VideoViewed', '{}')";
    assert_eq!(session.error(written).await.sqlstate, "55000");
    for statement in stay {
        session.run(statement).await.unwrap();
    }
    // Who was there before the update is not disturbed by it.
    use_store(&open).await;
    // A dump goes to where library and SQL are of one version.
    let restored = Cluster::shared().create_database().await;
    dump_into(&database, &restored);
    use_store(&restored.connect().await).await;

    // Between the installation of a package and the update of the SQL, all goes on.
    for version in ["0.3.100", env!("CARGO_PKG_VERSION")] {
        pretend(&administrator, version).await;
        use_store(&open).await;
        use_store(&database.connect().await).await;
    }
}

/// `pg_dump FROM | psql INTO`.
fn dump_into(from: &Database<'_>, into: &Database<'_>) {
    let mut dump = from.cluster.client_command("pg_dump");
    let dump = dump.arg(&from.name).output().unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let mut psql = into.cluster.client_command("psql");
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
    psql.stdout(Stdio::null());
    let mut psql = psql
        .args(["--dbname", &into.name])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(&dump.stdout).unwrap();
    assert!(psql.wait().unwrap().success());
}

async fn write(session: &Session, stream: &str, kind: &str) {
    session
        .run(&format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', '{kind}', '{{}}')"
        ))
        .await
        .unwrap();
}

/// The program of the version before this one: PROMISES_OLD_ORCHESTRATOR.
fn old_orchestrator() -> Option<PathBuf> {
    let path = std::env::var_os("PROMISES_OLD_ORCHESTRATOR")?;
    Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orchestrators_of_both_versions_count_each_viewing_once_through_an_update() {
    let Some(old_program) = old_orchestrator() else {
        println!("left out: PROMISES_OLD_ORCHESTRATOR names no orchestrator of the version before");
        return;
    };
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    let told = run_to_end(orchestrator_at(&old_program).arg("--version"));
    let is_its = |(version, _): &&(&str, &str)| told.stdout.trim().ends_with(version);
    let released = RELEASED.iter().find(is_its);
    let (version, store) = released.unwrap_or_else(|| panic!("of no released version: {told:?}"));
    create_store_of(&session, version, store).await;
    let deployment = database.deploy(HOME_PAGE);
    let mut run_old = orchestrator_at(&old_program);
    run_old.arg("run").arg("--config").arg(&deployment.file);
    run_old.args(["--url", &deployment.url]);
    let old = Running::start(&mut run_old);
    let new = deployment.start();
    let mut writers = database.start_writers(WRITERS).await;
    writers.write_more(MESSAGES).await;
    session.run(UPDATE).await.unwrap();
    writers.write_more(MESSAGES).await;
    let seen = writers.stop().await;
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    session.assert_videos_watched(seen.written).await;
    let handled = "SELECT handled FROM message_store.subscription_progress";
    assert_eq!(session.bigint(handled).await, seen.written);
    // The old one alone, on the new store.
    new.stop();
    session.write_viewings(MESSAGES).await;
    session.assert_videos_watched(seen.written + MESSAGES).await;
    println!("the old one said:\n{}", old.log());
    old.stop();
}

/// A released version, a store of it, and a file with every key that it knew.
const CONFIGURATIONS: [(&str, &str, &str); 3] = [
    (
        "0.1.0",
        STORE_OF_0_1,
        include_str!("../fixtures/configuration-0.1.toml"),
    ),
    (
        "0.2.0",
        STORE_OF_0_2,
        include_str!("../fixtures/configuration-0.2.toml"),
    ),
    (
        "0.3.0",
        STORE_OF_0_3,
        include_str!("../fixtures/configuration-0.3.toml"),
    ),
];

#[tokio::test]
async fn a_configuration_of_an_earlier_version_works_as_it_is() {
    for (version, store, configuration) in CONFIGURATIONS {
        let database = Cluster::shared().create_database().await;
        let session = database.connect().await;
        create_store_of(&session, version, store).await;
        session.write_viewings(1).await;
        session.run(UPDATE).await.unwrap();
        let audit =
            "CREATE FUNCTION public.audit(message_store.message) RETURNS void LANGUAGE sql AS ''";
        session.run(audit).await.unwrap();

        let deployment = database.deploy_with_dashboard("").await;
        let secrets = deployment.folder.path();
        for (name, secret) in [
            ("password", "geheim".to_owned()),
            ("dashboard-url", database.url("operator")),
            ("operator-token", "0123456789abcdef".to_owned()),
            ("viewer-token", "fedcba9876543210".to_owned()),
        ] {
            fs::write(secrets.join(name), secret).unwrap();
        }
        let here = configuration.replace("/run/secrets", secrets.to_str().unwrap());
        fs::write(&deployment.file, here).unwrap();
        assert_accepted(&deployment.file, &[]);
        if version != "0.1.0" {
            let file = secrets.join("dashboard-url");
            let others = [
                format!("database.url_file={}", file.display()),
                format!("dashboard.url={}", database.url("operator")),
                format!("dashboard.viewer_url_file={}", file.display()),
            ];
            assert_accepted(&deployment.file, &others);
        }

        let mut run = deployment.run();
        run.args(["--set", "web.listen=127.0.0.1:0"]);
        if version != "0.1.0" {
            run.args(["--set", "dashboard.listen=127.0.0.1:0"]);
            run.args(["--set", "metrics.listen=127.0.0.1:0"]);
        }
        if version == "0.3.0" {
            run.args(["--set", &format!("database.wait_url={}", deployment.url)]);
        }
        let running = Running::start(&mut run);
        session.assert_videos_watched(1).await;
        running.stop();
    }
}

/// `config check` finds nothing wrong with the file.
fn assert_accepted(file: &Path, above: &[String]) {
    let mut check = orchestrator();
    check.args(["config", "check"]).arg(file);
    for value in above {
        check.args(["--set", value]);
    }
    let ended = run_to_end(&mut check);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A symbol of the library, and the types with which it is called and answers.
const SYMBOLS: &str = "
    SELECT p.prosrc, concat_ws(' ', p.proargtypes::regtype[], p.proallargtypes::regtype[],
      p.prorettype::regtype, p.proretset,
      (SELECT string_agg(format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
         FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
         WHERE t.oid = p.prorettype AND a.attnum > 0 AND NOT a.attisdropped))
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
    WHERE p.pronamespace = 'message_store'::regnamespace";

/// Outside a handler there is no row to answer with, and a session with an earlier library ticks none.
const NULL_WITHOUT_A_TICK: &str = "handler_context";

/// A session keeps the library that it has loaded, and that may be an earlier one than the SQL: it must
/// find no symbol that is called or answers in another way than it knows.
#[tokio::test]
async fn what_changed_has_another_symbol() {
    let fresh = Cluster::shared().create_store().await;
    let now = fresh.connect().await.run(SYMBOLS).await.unwrap();
    for (version, store) in RELEASED {
        let database = Cluster::shared().create_database().await;
        let session = database.connect().await;
        create_store_of(&session, version, store).await;
        let before = session.run(SYMBOLS).await.unwrap();
        assert!(before.len() > 20, "{version}: {before:?}");
        let changed: Vec<_> = before
            .iter()
            .filter(|old| now.iter().any(|new| new[0] == old[0] && new[1] != old[1]))
            .filter(|old| old[0].as_deref() != Some(NULL_WITHOUT_A_TICK))
            .collect();
        assert!(changed.is_empty(), "{version}: {changed:#?}");
    }
}
