//! Promise: a Message DB database is taken over where it is. Its clients go on, what depends on its
//! functions, type and table goes on, nothing is rewritten, and readers skip nothing, whatever of
//! Message DB's own code is still running.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use promises::{
    Cluster, Database, MessageDb, Random, Session, StopMode, orchestrator, run_to_end, seed,
};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};
use subscriber::{bigints, texts};

/// What takes a Message DB database over.
const ADOPT: &str = "BEGIN;
    CREATE EXTENSION message_store VERSION 'message_db';
    ALTER EXTENSION message_store UPDATE;
    COMMIT";

/// A database as Message DB's own script makes it, whose sessions find its functions.
async fn install(version: &str, name: &str) -> Database<'static> {
    let cluster = Cluster::shared();
    let installed = match version {
        "1.3.1" => MessageDb::install(cluster, name),
        earlier => MessageDb::install_version(cluster, earlier, name),
    };
    let session = installed.connect().await;
    session
        .run(&format!(
            "ALTER DATABASE {name} SET search_path = message_store, public"
        ))
        .await
        .unwrap();
    installed.database()
}

async fn write(session: &Session, stream: &str) -> i64 {
    session
        .bigint(&format!(
            "SELECT write_message(gen_random_uuid()::varchar, '{stream}', 'A', '{{}}')"
        ))
        .await
}

/// Those that a reader of everything gets.
const ALL: &str = "SELECT global_position FROM message_store.get_all_messages(0, -1)";

/// Oids of what others may depend on, and where the table's and the indexes' bytes are.
const IDENTITIES: &str = "
    SELECT p.proname, p.oid, has_function_privilege('message_store', p.oid, 'EXECUTE') FROM pg_proc p
      WHERE p.pronamespace = 'message_store'::regnamespace AND p.proname = ANY (ARRAY['write_message',
        'get_stream_messages', 'get_category_messages', 'stream_version', 'category', 'id',
        'cardinal_id', 'is_category', 'hash_64', 'acquire_lock', 'message_store_version'])
        AND p.pronargs <> 3 AND p.prorettype <> 'record'::regtype
    UNION ALL SELECT t.typname, t.oid, NULL FROM pg_type t WHERE t.oid = 'message_store.message'::regtype
    UNION ALL SELECT c.relname, c.relfilenode, NULL FROM pg_class c
      WHERE c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'message_store.messages'::regclass)
        OR c.oid = 'message_store.messages'::regclass
    ORDER BY 1, 2";

async fn is_taken_over(version: &str, name: &str) {
    let database = install(version, name).await;
    let client = database.connect_as("message_store").await;
    let app = database.connect().await;
    // A role of the application that Message DB knows nothing of.
    let role = format!("writer_of_{name}");
    app.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA message_store TO {role};
         GRANT SELECT, INSERT ON messages TO {role};
         GRANT USAGE ON SEQUENCE messages_global_position_seq TO {role}"
    ))
    .await
    .unwrap();
    let writer = database.connect_as(&role).await;
    write(&writer, "writer-1").await;
    app.run(
        "CREATE VIEW public.accounts AS SELECT * FROM messages WHERE category(stream_name) = 'account';
         CREATE FUNCTION public.last_of(stream varchar) RETURNS SETOF message LANGUAGE sql AS
           'SELECT * FROM get_last_stream_message(stream)'",
    )
    .await
    .unwrap();
    let statements = [
        "SELECT write_message(gen_random_uuid()::varchar, 'account-1', 'Opened', '{\"n\": 1}', NULL, -1)",
        "SELECT write_message(gen_random_uuid()::varchar, 'account-2', 'Opened', '{\"n\": 2}')",
        "SELECT * FROM get_category_messages('account')",
        "SELECT * FROM get_stream_messages('account-1')",
        "SELECT get_last_stream_message('account-1')",
        "SELECT stream_version('account-1')",
    ];
    for (number, statement) in statements.iter().enumerate() {
        client
            .run(&format!("PREPARE s{number} AS {statement}"))
            .await
            .unwrap();
    }
    let read = async |numbers: std::ops::Range<usize>| {
        let mut all = Vec::new();
        for number in numbers {
            all.push(client.run(&format!("EXECUTE s{number}")).await.unwrap());
        }
        all
    };
    read(0..2).await;
    let (before, identities) = (read(2..6).await, app.run(IDENTITIES).await.unwrap());
    app.run(ADOPT).await.unwrap();
    assert_eq!(app.run(IDENTITIES).await.unwrap(), identities);
    // Prepared before, by a session that is still there.
    assert_eq!(read(2..6).await, before);
    let error = client.error("EXECUTE s0").await;
    assert_eq!(
        error.message,
        "Wrong expected version: -1 (Stream: account-1, Stream Version: 0)"
    );
    assert_eq!(
        app.value("SELECT finish_adoption()").await.as_deref(),
        Some("t")
    );
    read(1..2).await;
    assert_eq!(app.bigint("SELECT count(*) FROM public.accounts").await, 3);
    let last = "SELECT position FROM public.last_of('account-2')";
    assert_eq!(app.bigint(last).await, 1);
    assert_eq!(write(&writer, "writer-1").await, 1);
    for session in [&client, &writer] {
        let past_us =
            "INSERT INTO messages (position, stream_name, type) VALUES (7, 'account-7', 'Past us')";
        assert_eq!(session.error(past_us).await.sqlstate, "42501");
    }
    // What Message DB has not: a subscription of everything that was there before.
    app.run(
        "CREATE TABLE public.opened (stream varchar);
         CREATE FUNCTION public.note(m message_store.message) RETURNS void LANGUAGE sql AS
           'INSERT INTO public.opened VALUES (m.stream_name)';
         SELECT create_subscription('s', 'account', '{\"Opened\": \"public.note\"}');
         SELECT tick('s')",
    )
    .await
    .unwrap();
    let opened = "SELECT stream FROM public.opened ORDER BY 1";
    assert_eq!(
        texts(&app, opened).await,
        ["account-1", "account-2", "account-2"]
    );
    // The tables are the user's: the extension takes none of them along.
    let members = "SELECT count(*) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'message_store'
        WHERE d.deptype = 'e' AND c.relkind <> 'c'";
    assert_eq!(app.bigint(members).await, 0);
}

#[tokio::test]
async fn message_db_1_1_is_taken_over_and_its_clients_go_on() {
    is_taken_over("1.1.6", "adopted_1_1_6").await;
}

#[tokio::test]
async fn message_db_1_2_3_is_taken_over_and_its_clients_go_on() {
    is_taken_over("1.2.3", "adopted_1_2_3").await;
}

#[tokio::test]
async fn message_db_1_2_is_taken_over_and_its_clients_go_on() {
    is_taken_over("1.2.6", "adopted_1_2_6").await;
}

#[tokio::test]
async fn message_db_1_3_is_taken_over_and_its_clients_go_on() {
    is_taken_over("1.3.1", "adopted_1_3").await;
}

#[tokio::test]
async fn what_message_dbs_own_code_writes_across_the_switch_is_not_skipped() {
    let database = install("1.3.1", "adopted_in_flight").await;
    let (app, late, blocker) = (
        database.connect().await,
        database.connect().await,
        database.connect().await,
    );
    write(&app, "a-1").await;
    // A call of Message DB's write_message that has begun, and has not touched the table.
    blocker
        .run("BEGIN; SELECT acquire_lock('a-1')")
        .await
        .unwrap();
    late.run("BEGIN").await.unwrap();
    let old_call = tokio::spawn(async move {
        write(&late, "a-2").await;
        late
    });
    blocker.run("SELECT 1").await.unwrap();
    app.wait_until(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)",
    )
    .await;
    app.run(ADOPT).await.unwrap();
    let unfinished = app.error("SELECT finish_adoption('10 ms')").await;
    assert_eq!(unfinished.sqlstate, "55006", "{unfinished:?}");
    blocker.run("COMMIT").await.unwrap();
    let late = old_call.await.unwrap();
    write(&app, "b-1").await;
    assert_eq!(bigints(&app, ALL).await, [1], "2 is not committed yet");
    late.run("COMMIT").await.unwrap();
    assert_eq!(bigints(&app, ALL).await, [1, 2, 3]);
    assert_eq!(
        app.value("SELECT finish_adoption()").await.as_deref(),
        Some("t")
    );
    assert_eq!(
        app.value("SELECT finish_adoption()").await.as_deref(),
        Some("f")
    );
}

#[tokio::test]
async fn until_it_is_finished_writers_of_a_category_follow_each_other_as_message_dbs_readers_need()
{
    let database = install("1.3.1", "adopted_protocol").await;
    let (app, first, second) = (
        database.connect().await,
        database.connect().await,
        database.connect().await,
    );
    app.run(ADOPT).await.unwrap();
    for finished in [false, true] {
        first.run("BEGIN").await.unwrap();
        write(&first, "a-1").await;
        let patience = if finished { "1 min" } else { "50 ms" };
        second
            .run(&format!("SET lock_timeout = '{patience}'"))
            .await
            .unwrap();
        let batch = "SELECT * FROM write_messages('a-2', '[{\"type\": \"A\"}]')";
        for write in [
            "SELECT write_message(gen_random_uuid()::varchar, 'a-2', 'A', '{}')",
            batch,
        ] {
            let written = second.run(write).await;
            assert_eq!(written.is_ok(), finished, "{written:?}");
        }
        first.run("COMMIT").await.unwrap();
        app.run("SELECT finish_adoption()").await.unwrap();
    }
}

/// Clients that write, and one that follows their category as Message DB's clients do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adoption_under_load_is_an_error_to_nobody_and_nothing_is_lost_or_skipped() {
    let database = install("1.3.1", "adopted_under_load").await;
    let app = database.connect().await;
    let before = std::env::var("ADOPTION_MESSAGES").unwrap_or_else(|_| "1000".to_owned());
    app.run(&format!(
        "INSERT INTO messages (stream_name, position, type, data) \
         SELECT 'past-' || n % 100000, n / 100000, 'A', '{{\"n\": 1}}' FROM generate_series(1, {before}) n; \
         ANALYZE messages"
    ))
    .await
    .unwrap();
    let mut writers = database.start_writers(8).await;
    let follower = database.connect_as("message_store").await;
    let (say_end, end) = tokio::sync::watch::channel(None::<i64>);
    let following = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let is_last = *end.borrow();
            let next = seen.last().map_or(1, |last| last + 1);
            let poll = format!(
                "SELECT global_position FROM get_category_messages('viewings', {next}, 1000)"
            );
            let got = bigints(&follower, &poll).await;
            let is_idle = got.is_empty();
            seen.extend(got);
            match is_last {
                Some(_) if is_idle => return seen,
                _ => {}
            }
        }
    });
    writers.write_more(500).await;
    app.run("SET lock_timeout = '100 ms'").await.unwrap();
    let mut tries = 0;
    loop {
        tries += 1;
        match app.run(ADOPT).await {
            Ok(_) => break,
            Err(error) if error.sqlstate == "55P03" => app.run("ROLLBACK").await.unwrap(),
            Err(error) => panic!("{error:?}"),
        };
    }
    writers.write_more(500).await;
    app.run("RESET lock_timeout").await.unwrap();
    assert_eq!(
        app.value("SELECT finish_adoption()").await.as_deref(),
        Some("t")
    );
    writers.write_more(500).await;
    let seen = writers.stop().await;
    println!(
        "{tries} tries, {} written meanwhile, longest wait of a writer {:?}",
        seen.written, seen.longest_wait
    );
    assert_eq!(seen.errors.len(), 0, "{:?}", seen.errors);
    let stored =
        "SELECT global_position FROM messages WHERE category(stream_name) = 'viewings' ORDER BY 1";
    let stored = bigints(&app, stored).await;
    assert_eq!(stored.len() as i64, seen.written);
    say_end.send_replace(Some(seen.written));
    assert_eq!(following.await.unwrap(), stored);
}

#[tokio::test]
async fn what_differs_from_message_db_is_refused_with_what_repairs_it() {
    let database = install("1.3.1", "adopted_repaired").await;
    let app = database.connect().await;
    let id = "SELECT pg_get_functiondef('id(varchar)'::regprocedure)";
    let id = app.value(id).await.unwrap();
    let category = "CREATE INDEX messages_category ON messages (category(stream_name), \
        global_position, category(metadata ->> 'correlationStreamName'))";
    for (change, said, back) in [
        (
            "DROP INDEX messages_category",
            "CREATE INDEX CONCURRENTLY messages_category",
            category,
        ),
        (
            "DROP INDEX messages_id; CREATE INDEX messages_id ON messages (id)",
            "CREATE UNIQUE INDEX CONCURRENTLY messages_id",
            "DROP INDEX messages_id; CREATE UNIQUE INDEX messages_id ON messages (id)",
        ),
        (
            "ALTER SEQUENCE messages_global_position_seq CACHE 20",
            "CACHE 1",
            "ALTER SEQUENCE messages_global_position_seq CACHE 1",
        ),
        (
            "ALTER TABLE messages ENABLE ROW LEVEL SECURITY",
            "DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
        ),
        (
            "CREATE RULE again AS ON INSERT TO messages DO ALSO NOTHING",
            "DROP RULE",
            "DROP RULE again ON messages",
        ),
        (
            "CREATE ROLE keeper; ALTER TABLE messages OWNER TO keeper",
            "OWNER TO CURRENT_USER",
            "ALTER TABLE messages OWNER TO CURRENT_USER",
        ),
        (
            "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER message_store_adoption BEFORE TRUNCATE ON messages
               FOR EACH STATEMENT EXECUTE FUNCTION public.nothing()",
            "DROP TRIGGER",
            "DROP TRIGGER message_store_adoption ON messages",
        ),
        (
            "CREATE ROLE maker; GRANT CREATE ON SCHEMA message_store TO maker",
            "REVOKE CREATE",
            "REVOKE CREATE ON SCHEMA message_store FROM maker",
        ),
        (
            "CREATE TABLE message_store.read_model_pages (page_name varchar)",
            "another schema",
            "DROP TABLE message_store.read_model_pages",
        ),
        (
            "GRANT INSERT (id) ON messages TO maker",
            "on the whole table",
            "REVOKE INSERT (id) ON messages FROM maker",
        ),
        (
            "GRANT SELECT ON messages TO maker WITH GRANT OPTION; CREATE ROLE other;
             GRANT USAGE ON SCHEMA message_store TO maker; SET ROLE maker;
             GRANT SELECT ON message_store.messages TO other; RESET ROLE",
            "on the whole table",
            "REVOKE ALL ON messages FROM maker CASCADE",
        ),
        (
            "CREATE OR REPLACE FUNCTION id(stream_name varchar) RETURNS varchar LANGUAGE sql \
             IMMUTABLE AS 'SELECT $1'",
            "install-functions.sh",
            &id,
        ),
        (
            "CREATE VIEW last AS SELECT * FROM get_last_stream_message('a-1'); \
             CREATE FUNCTION tick(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1'",
            "",
            "",
        ),
    ] {
        app.run(change).await.unwrap();
        if said.is_empty() {
            break;
        }
        let error = app.error(ADOPT).await;
        assert!(error.hint.contains(said), "{change}: {error:?}");
        app.run("ROLLBACK").await.unwrap();
        write(&app, "a-1").await;
        app.run(back).await.unwrap();
    }
    // More columns, triggers, views and functions of others stay.
    app.run(
        "ALTER TABLE messages ADD COLUMN note text;
         CREATE TABLE public.written (position bigint);
         CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN INSERT INTO public.written VALUES (NEW.global_position); RETURN NULL; END';
         CREATE TRIGGER noted AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION public.note()",
    )
    .await
    .unwrap();
    app.run(ADOPT).await.unwrap();
    write(&app, "a-1").await;
    app.run("SELECT finish_adoption()").await.unwrap();
    write(&app, "a-1").await;
    assert_eq!(app.bigint("SELECT count(*) FROM public.written").await, 2);
    let last = "SELECT position FROM message_store.last";
    assert_eq!(app.bigint(last).await, 13);
}

#[tokio::test]
async fn a_dump_of_an_adopted_store_is_restored_with_all_that_is_granted() {
    let database = install("1.3.1", "adopted_dumped").await;
    let app = database.connect().await;
    app.run(
        "CREATE ROLE writer LOGIN; GRANT USAGE ON SCHEMA message_store TO writer;
         GRANT SELECT, INSERT ON messages TO writer",
    )
    .await
    .unwrap();
    write(&app, "a-1").await;
    app.run(ADOPT).await.unwrap();
    app.run("SELECT finish_adoption()").await.unwrap();
    let privileges = "
        SELECT 'schema', array_agg(a ORDER BY a::text) FROM pg_namespace, unnest(nspacl) a
          WHERE nspname = 'message_store'
        UNION ALL SELECT relname, array_agg(a ORDER BY a::text) FROM pg_class, unnest(relacl) a
          WHERE relnamespace = 'message_store'::regnamespace GROUP BY relname HAVING count(*) > 1
        UNION ALL SELECT p.oid::regprocedure::text, array_agg(a ORDER BY a::text)
          FROM pg_proc p, unnest(proacl) a
          WHERE pronamespace = 'message_store'::regnamespace
            AND NOT has_function_privilege('public', p.oid, 'EXECUTE') GROUP BY p.oid
        ORDER BY 1";
    let granted: BTreeSet<String> = texts(&app, privileges).await.into_iter().collect();
    let restored = database.cluster.create_database().await;
    let file = database.cluster.data_dir().join("adopted_dumped.sql");
    for (program, arguments) in [("pg_dump", ["--file"]), ("psql", ["--file"])] {
        let mut run = database.cluster.client_command(program);
        let name = if program == "psql" {
            &restored.name
        } else {
            &database.name
        };
        run.args(arguments).arg(&file).args(["--dbname", name]);
        let ran = run.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }
    let session = restored.connect().await;
    session
        .run("SET search_path = message_store, public")
        .await
        .unwrap();
    let granted_again: BTreeSet<String> = texts(&session, privileges).await.into_iter().collect();
    let differing: Vec<_> = granted.symmetric_difference(&granted_again).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    let writer = restored.connect_as("writer").await;
    writer
        .run("SET search_path = message_store, public")
        .await
        .unwrap();
    assert_eq!(write(&writer, "a-1").await, 1);
}

/// What `pg_dump` says of everything but rows, a part an object.
fn schema(database: &Database<'_>) -> BTreeSet<String> {
    let mut dump = database.cluster.client_command("pg_dump");
    dump.args(["--schema-only", "--dbname", &database.name]);
    let dumped = dump.output().unwrap();
    assert!(dumped.status.success(), "{dumped:?}");
    let dumped = String::from_utf8(dumped.stdout).unwrap();
    dumped
        .split("\n--\n-- ")
        .filter(|part| !part.contains("restrict "))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_database_goes_back_to_what_it_was_and_is_adopted_again() {
    for version in ["1.1.6", "1.2.6", "1.3.1"] {
        let name = format!("reverted_{}", version.replace('.', "_"));
        let database = install(version, &name).await;
        let app = database.connect().await;
        let before = schema(&database);
        let mut writers = database.start_writers(4).await;
        for _ in 0..2 {
            writers.write_more(100).await;
            app.run(ADOPT).await.unwrap();
            app.run("SELECT finish_adoption()").await.unwrap();
            let subscribe = "SELECT message_store.create_subscription('s', 'viewings', '{}')";
            app.run(subscribe).await.unwrap();
            writers.write_more(100).await;
            let refused = app.error("SELECT revert_adoption()").await;
            assert_eq!(
                (refused.sqlstate.as_str(), refused.detail.as_str()),
                ("55000", "s")
            );
            app.run("SELECT drop_subscription('s')").await.unwrap();
            app.run("SELECT revert_adoption()").await.unwrap();
            writers.write_more(100).await;
            app.run("SELECT finish_adoption()").await.unwrap();
            app.run("DROP EXTENSION message_store").await.unwrap();
            writers.write_more(100).await;
            let after = schema(&database);
            let differing: Vec<_> = after.symmetric_difference(&before).collect();
            assert!(differing.is_empty(), "{differing:#?}");
        }
        let seen = writers.stop().await;
        assert_eq!(seen.errors.len(), 0, "{:?}", seen.errors);
        let stored = "SELECT count(*) FROM messages";
        assert_eq!(app.bigint(stored).await, seen.written);
        let version_now = "SELECT message_store_version()";
        assert_ne!(app.value(version_now).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_rehearses_adopts_goes_on_where_it_was_stopped_and_goes_back() {
    let database = install("1.3.1", "adopted_by_command").await;
    let app = database.connect().await;
    let adopt = |arguments: &[&str]| {
        let mut command = orchestrator();
        command.args(["adopt", "--url", &database.url("postgres")]);
        run_to_end(command.args(arguments))
    };
    let mut writers = database.start_writers(4).await;
    writers.write_more(200).await;
    let rehearsed = adopt(&["--dry-run"]);
    assert_eq!(rehearsed.code, Some(0), "{rehearsed:?}");
    for word in ["Rehearsed and rolled back", " 0 bytes", "Writers waited"] {
        assert!(rehearsed.stdout.contains(word), "{word}: {rehearsed:?}");
    }
    let code = "SELECT prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') \
                FROM pg_proc WHERE oid = 'write_message'::regproc";
    assert_eq!(app.value(code).await.as_deref(), Some("f"));

    // Somebody is in a transaction that has written nothing, and may be in Message DB's code.
    let old = database.connect().await;
    old.run("BEGIN; SELECT stream_version('viewings-1')")
        .await
        .unwrap();
    let stopped = adopt(&["--wait", "0"]);
    assert_eq!(stopped.code, Some(1), "{stopped:?}");
    assert!(stopped.stderr.contains("Process ids: "), "{stopped:?}");
    assert_eq!(app.value(code).await.as_deref(), Some("t"));
    assert_eq!(
        adopt(&["--revert"]).code,
        Some(1),
        "not before it is finished"
    );
    old.run("COMMIT").await.unwrap();
    let finished = adopt(&[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("Adopted"), "{finished:?}");
    let again = adopt(&[]);
    assert!(
        again.stderr.contains("holds a message_store already"),
        "{again:?}"
    );
    writers.write_more(200).await;

    // One that has written, and does not end.
    let long = database.connect().await;
    long.run("BEGIN").await.unwrap();
    write(&long, "long-1").await;
    let refused = adopt(&["--revert", "--tries", "2", "--lock-timeout-ms", "20"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("nothing has happened"),
        "{refused:?}"
    );
    long.run("COMMIT").await.unwrap();
    let back = adopt(&["--revert"]);
    assert_eq!(back.code, Some(0), "{back:?}");
    assert_eq!(app.value(code).await.as_deref(), Some("f"));
    writers.write_more(200).await;
    let seen = writers.stop().await;
    assert_eq!(seen.errors.len(), 0, "{:?}", seen.errors);
    let viewings = "SELECT count(*) FROM messages WHERE type = 'VideoViewed'";
    assert_eq!(app.bigint(viewings).await, seen.written);

    // Stopped when all is done but the last step.
    assert_eq!(adopt(&[]).code, Some(0));
    app.run("SELECT revert_adoption()").await.unwrap();
    app.run("SELECT finish_adoption()").await.unwrap();
    assert_eq!(adopt(&[]).code, Some(1), "it is on its way back");
    assert_eq!(adopt(&["--revert"]).code, Some(0));
    let extension = "SELECT count(*) FROM pg_extension WHERE extname = 'message_store'";
    assert_eq!(app.bigint(extension).await, 0);
}

#[tokio::test]
async fn what_is_kept_for_the_way_back_is_trusted_no_more_than_whoever_could_write_it() {
    let database = install("1.3.1", "adopted_tampered").await;
    let app = database.connect().await;
    app.run(
        "CREATE ROLE wd LOGIN IN ROLE pg_write_all_data;
         ALTER DEFAULT PRIVILEGES IN SCHEMA message_store GRANT ALL ON TABLES TO wd;
         CREATE ROLE reads LOGIN; GRANT USAGE ON SCHEMA message_store TO reads, wd;
         GRANT SELECT ON messages TO reads; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA message_store TO reads",
    )
    .await
    .unwrap();
    let reads = database.connect_as("reads").await;
    let write_one = "SELECT write_message(gen_random_uuid()::varchar, 'a-1', 'A', '{}')";
    assert_eq!(reads.error(write_one).await.sqlstate, "42501");
    app.run(ADOPT).await.unwrap();
    app.run("SELECT finish_adoption()").await.unwrap();
    assert_eq!(reads.error(write_one).await.sqlstate, "42501");
    let attacker = database.connect_as("wd").await;
    let superuser = "ALTER ROLE wd SUPERUSER";
    for tampering in [
        format!("UPDATE message_store.message_db_before SET definition = '{superuser}' WHERE name LIKE '%.id(%'"),
        format!(
            "UPDATE message_store.message_db_before SET definition = definition || '; {superuser}' WHERE name LIKE '%.id(%'"
        ),
        format!(
            "INSERT INTO message_store.message_db_before VALUES ('FUNCTION', 'pg_catalog.now()', '{superuser}', '[]', NULL)"
        ),
        format!(
            "UPDATE message_store.message_db_before SET name = 'x; {superuser}; --' WHERE name LIKE '%.type_summary'"
        ),
        format!(
            "UPDATE message_store.message_db_before SET privileges = jsonb_build_array(jsonb_build_object(
               'to', NULL, 'privilege', 'SELECT ON pg_class TO wd; {superuser}; --', 'grantable', false))
             WHERE kind = 'TABLE'"
        ),
        "DELETE FROM message_store.message_db_before WHERE name LIKE '%.id(%'".to_owned(),
    ] {
        app.run("BEGIN").await.unwrap();
        let tampered = app.run(&format!("SET LOCAL ROLE wd; {tampering}; RESET ROLE")).await;
        // Some need a SELECT that the adoption has taken away from that role.
        if let Err(error) = tampered {
            assert_eq!(error.sqlstate, "42501", "{tampering}");
            app.run("ROLLBACK; BEGIN").await.unwrap();
            app.run(&tampering).await.unwrap();
        }
        let error = app.error("SELECT revert_adoption()").await;
        assert_eq!(error.sqlstate, "55000", "{tampering}: {error:?}");
        app.run("ROLLBACK").await.unwrap();
    }
    let is_superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = 'wd'";
    assert_eq!(attacker.value(is_superuser).await.as_deref(), Some("f"));
    app.run("SELECT revert_adoption()").await.unwrap();
}

#[tokio::test]
async fn what_would_pass_a_message_or_lose_something_of_a_users_is_refused() {
    let database = install("1.3.1", "adopted_carefully").await;
    let app = database.connect().await;
    write(&app, "a-1").await;
    app.run("BEGIN").await.unwrap();
    app.run(&ADOPT.replace("BEGIN;", "").replace("COMMIT", "SELECT 1"))
        .await
        .unwrap();
    let error = app.error("SELECT finish_adoption()").await;
    assert_eq!(error.sqlstate, "25001");
    app.run("ROLLBACK").await.unwrap();
    // Stopped between its two statements.
    app.run("CREATE EXTENSION message_store VERSION 'message_db'")
        .await
        .unwrap();
    let mut adopt = orchestrator();
    let adopted = run_to_end(adopt.args(["adopt", "--url", &database.url("postgres")]));
    assert_eq!(adopted.code, Some(0), "{adopted:?}");

    app.run("CREATE VIEW public.everything AS SELECT * FROM get_all_messages(0, 10)")
        .await
        .unwrap();
    let error = app.error("SELECT revert_adoption()").await;
    assert_eq!(error.sqlstate, "2BP01");
    assert!(error.detail.contains("view public.everything"), "{error:?}");
    app.run("DROP VIEW public.everything").await.unwrap();
    app.run("SELECT revert_adoption()").await.unwrap();

    // One that only reads, and does not end: nobody else waits for it.
    let (old, reads, client) = (
        database.connect().await,
        database.connect().await,
        database.connect_as("message_store").await,
    );
    old.run("BEGIN; SELECT 1").await.unwrap();
    let finishing = tokio::spawn({
        let session = database.connect().await;
        async move { session.error("SELECT finish_adoption('3 s')").await }
    });
    app.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT finish_adoption%' AND state = 'active')",
    )
    .await;
    reads
        .run("BEGIN; SELECT count(*) FROM messages")
        .await
        .unwrap();
    old.run("COMMIT").await.unwrap();
    client.run("SET statement_timeout = '2 s'").await.unwrap();
    let mut written = 0;
    while !finishing.is_finished() {
        write(&client, "a-1").await;
        written += 1;
    }
    assert_eq!(finishing.await.unwrap().sqlstate, "55006");
    assert!(written > 0);
    reads.run("COMMIT").await.unwrap();
    app.run("SELECT finish_adoption()").await.unwrap();
    app.run("DROP EXTENSION message_store").await.unwrap();
}

/// How often it is killed; ADOPTION_KILLS says otherwise.
const KILLS: u32 = 8;
/// The program alone, or the server with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_is_the_one_or_the_other_and_goes_on() {
    let cluster = Box::leak(Box::new(Cluster::start(&[])));
    let database = MessageDb::install(cluster, "adopted_killed").database();
    let (mut random, mut expected) = (Random(seed()), 0);
    let adopt = |arguments: &[&str]| {
        let mut command = orchestrator();
        command.args(["adopt", "--url", &database.url("postgres")]);
        command.args(arguments);
        command
    };
    let kills = std::env::var("ADOPTION_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut found = BTreeMap::new();
    // How long each way took: kills come before that, and a little after.
    let mut took = [Duration::ZERO; 2];
    let ways: [&[&str]; 2] = [&[], &["--revert"]];
    for (way, took) in ways.iter().zip(&mut took) {
        let begun = Instant::now();
        assert_eq!(run_to_end(&mut adopt(way)).code, Some(0));
        *took = begun.elapsed();
    }
    for kill in 0..kills {
        let way = ways[kill as usize % 2];
        let latest = took[kill as usize % 2].mul_f64(1.2).as_micros();
        let mut program = adopt(way)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = u64::try_from(random.below(i64::try_from(latest).unwrap())).unwrap();
        tokio::time::sleep(Duration::from_micros(moment)).await;
        program.kill().unwrap();
        program.wait().unwrap();
        if random.below(2) == 0 {
            cluster.restart(StopMode::Immediate);
        }
        let session = database.connect().await;
        session
            .run("SET search_path = message_store, public")
            .await
            .unwrap();
        // What the killed program has begun in the server may still be committed.
        session
            .wait_until(
                "SELECT NOT EXISTS (SELECT FROM pg_stat_activity
                 WHERE application_name = 'orchestrator' AND pid <> pg_backend_pid())",
            )
            .await;
        expected += 1;
        assert_eq!(write(&session, "a-1").await, expected - 1, "kill {kill}");
        let all = "SELECT count(*) FROM get_category_messages('a', 0, -1)";
        assert_eq!(session.bigint(all).await, expected, "kill {kill}");
        let state = "SELECT concat_ws(' ', (SELECT extversion FROM pg_extension WHERE extname = 'message_store'),
            (SELECT lanname FROM pg_proc JOIN pg_language l ON l.oid = prolang
             WHERE pg_proc.oid = 'message_store.write_message'::regproc),
            (SELECT tgname FROM pg_trigger WHERE tgname = 'message_store_adoption'))";
        *found
            .entry(session.value(state).await.unwrap())
            .or_insert(0) += 1;
        drop(session);
        let ended = run_to_end(&mut adopt(way));
        let is_done = ended.stderr.contains("already") || ended.code == Some(0);
        assert!(is_done, "kill {kill}, {moment} us: {ended:?}");
    }
    println!("PROMISES_SEED={}, {kills} kills found {found:#?}", seed());
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_left_as_it_is_with_the_reason() {
    let database = install("1.3.1", "adopted_not").await;
    let app = database.connect().await;
    app.run("ALTER TABLE messages ALTER COLUMN type TYPE varchar(50)")
        .await
        .unwrap_err();
    app.run(
        "DROP VIEW stream_type_summary, category_type_summary, type_category_summary, \
           type_stream_summary, type_summary;
         ALTER TABLE messages ALTER COLUMN type TYPE varchar(50)",
    )
    .await
    .unwrap();
    write(&app, "a-1").await;
    let error = app.error(ADOPT).await;
    assert_eq!(error.sqlstate, "55000");
    assert!(
        error.detail.contains("type character varying(50)"),
        "{error:?}"
    );
    app.run("ROLLBACK").await.unwrap();
    assert_eq!(write(&app, "a-1").await, 1);
    let language = "SELECT lanname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang \
                    WHERE p.oid = 'write_message'::regproc";
    assert_eq!(app.value(language).await.as_deref(), Some("plpgsql"));
    let empty = Cluster::shared().create_database().await;
    let error = empty.connect().await.error(ADOPT).await;
    assert_eq!(error.message, "there is no Message DB in this database");
}
