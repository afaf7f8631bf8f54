//! Promise: the data is the user's. The store is made of ordinary tables that a dump carries
//! whole, that the extension never takes away, and on which everything works that works on a
//! table: triggers, constraints, generated columns, publications.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::path::Path;
use std::process::Command;

use promises::{Cluster, Database, MessageDb, Rows, Session};

/// What a user may add to a store, and a subscription on its way.
const FURNITURE: &str = "
    ALTER TABLE message_store.messages ADD COLUMN region text NOT NULL DEFAULT 'eu';
    CREATE INDEX messages_region ON message_store.messages (region, global_position);
    CREATE TABLE public.audited (global_position bigint PRIMARY KEY);
    CREATE FUNCTION public.audit() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.audited VALUES (NEW.global_position); RETURN NULL; END $$;
    CREATE TRIGGER audit AFTER INSERT ON message_store.messages
      FOR EACH ROW EXECUTE FUNCTION public.audit();
    CREATE PUBLICATION feed FOR TABLE message_store.messages;
    GRANT SELECT ON message_store.messages TO analyst;
    CREATE VIEW public.recent AS
      SELECT * FROM message_store.get_category_messages('viewings', 1, 10);
    SELECT message_store.create_subscription('aggregators:home-page', 'viewings',
      '{\"VideoViewed\": \"message_store.increment_videos_watched\"}',
      '{\"init\": \"message_store.ensure_home_page\"}');
    SELECT message_store.start('aggregators:home-page')";

const VIEWINGS: i64 = 30;
/// How many of them the subscription has counted when the dump is made.
const COUNTED: i64 = 10;
/// Drawn and rolled back: the sequence stands above the last message.
const ROLLED_BACK: i64 = 5;
/// How far positions go on behind the last one that is known, where the database is another.
const BEYOND: i64 = 1_000_000;

/// Everything that must be found again, as text.
const INVENTORY: &str = "
    SELECT 'message', m::text FROM message_store.messages m
    UNION ALL SELECT 'audited', a::text FROM public.audited a
    UNION ALL SELECT 'subscription', s::text FROM message_store.subscriptions s
    UNION ALL SELECT 'progress', p::text FROM message_store.subscription_progress p
    UNION ALL SELECT 'page', p::text FROM message_store.read_model_pages p
    UNION ALL SELECT 'sequence', concat_ws(' ', last_value, is_called)
      FROM message_store.messages_global_position_seq
    UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'message_store'
    UNION ALL SELECT 'trigger', pg_get_triggerdef(t.oid) FROM pg_trigger t
      JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = 'message_store'::regnamespace
      AND NOT tgisinternal
    UNION ALL SELECT 'publication', pt::text FROM pg_publication_tables pt
    UNION ALL SELECT 'constraint', conrelid::regclass || ' ' || conname || ' '
      || pg_get_constraintdef(oid) FROM pg_constraint
      WHERE connamespace = 'message_store'::regnamespace
    UNION ALL SELECT 'column', concat_ws(' ', attrelid::regclass, attname,
      format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid),
      col_description(attrelid, attnum))
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      WHERE relnamespace = 'message_store'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT 'relation', concat_ws(' ', oid::regclass, relkind, relowner::regrole,
      array_to_string(ARRAY(SELECT unnest(relacl)::text ORDER BY 1), ','), reloptions,
      obj_description(oid, 'pg_class'))
      FROM pg_class WHERE relnamespace = 'message_store'::regnamespace
    UNION ALL SELECT 'view', viewname || ' ' || definition FROM pg_views
      WHERE schemaname IN ('message_store', 'public')
    UNION ALL SELECT 'schema', nspacl::text FROM pg_namespace WHERE nspname = 'message_store'
    UNION ALL SELECT 'extension', extname || ' ' || extversion FROM pg_extension
    ORDER BY 1, 2";

#[tokio::test]
async fn dump_and_restore_carries_everything() {
    let cluster = Cluster::shared();
    let elsewhere = Cluster::start(&[]);
    create_role(cluster, "analyst").await;
    create_role(&elsewhere, "analyst").await;
    let database = furnished_store(cluster).await;
    let session = database.connect().await;
    let inventory = session.run(INVENTORY).await.unwrap();
    let kinds = "message audited subscription progress page trigger publication";
    for kind in kinds.split(' ') {
        let found = |row: &&Vec<Option<String>>| row[0].as_deref() == Some(kind);
        assert!(inventory.iter().any(|row| found(&row)), "{kind}");
    }

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for format in ["plain", "custom"] {
        let file = folder.path().join(format);
        let mut dump = cluster.client_command("pg_dump");
        dump.args(["--format", format, "--file"]).arg(&file);
        succeed(dump.arg(&database.name));
        for target in [cluster, &elsewhere] {
            let restored = target.create_database().await;
            restore(&restored, format, &file);
            let session = restored.connect().await;
            assert_same(&session.run(INVENTORY).await.unwrap(), &inventory);
            session
                .run("SELECT message_store.create_store()")
                .await
                .unwrap();
            assert_same(&session.run(INVENTORY).await.unwrap(), &inventory);
            // The older the newest message, the further behind it the positions go on.
            session
                .run(
                    "UPDATE message_store.messages SET time = clock_timestamp() AT TIME ZONE 'utc'",
                )
                .await
                .unwrap();
            goes_on(&session, BEYOND).await;
        }
    }
}

/// The store ticks on where it stood; its positions go on `beyond` the last.
async fn goes_on(session: &Session, beyond: i64) {
    write(session, "viewings-1", "VideoViewed").await;
    assert_eq!(
        session
            .run("SELECT position, global_position, region FROM message_store.messages ORDER BY global_position DESC LIMIT 1")
            .await
            .unwrap(),
        [[
            Some(VIEWINGS.to_string()),
            Some((VIEWINGS + ROLLED_BACK + beyond + 1).to_string()),
            Some("eu".to_owned())
        ]]
    );
    let audited = "SELECT count(*) FROM public.audited";
    assert_eq!(session.bigint(audited).await, VIEWINGS + 1);
    let readable = "SELECT count(*) FROM message_store.get_category_messages('viewings')";
    assert_eq!(session.bigint(readable).await, VIEWINGS + 1);
    assert_eq!(videos_watched(session).await, COUNTED);
    assert_eq!(tick(session).await, "progressed");
    assert_eq!(tick(session).await, "idle");
    assert_eq!(videos_watched(session).await, VIEWINGS + 1);
}

#[tokio::test]
async fn dropping_the_extension_is_refused_while_a_store_exists() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    write(&session, "viewings-1", "VideoViewed").await;
    let refused = session.error("DROP EXTENSION message_store").await;
    assert_eq!(refused.sqlstate, "2BP01");
    write(&session, "viewings-1", "VideoViewed").await;
    // And goes where there is none.
    let without_store = Cluster::shared().create_database().await;
    let session = without_store.connect().await;
    session
        .run("CREATE EXTENSION message_store; DROP EXTENSION message_store")
        .await
        .unwrap();
}

#[tokio::test]
async fn dropping_the_extension_with_cascade_deletes_no_message_and_is_repaired() {
    create_role(Cluster::shared(), "analyst").await;
    let database = furnished_store(Cluster::shared()).await;
    let session = database.connect().await;
    // The user's view of our function goes with the function: that is what CASCADE says.
    session.run("DROP VIEW public.recent").await.unwrap();
    let before = session.run(INVENTORY).await.unwrap();
    session
        .run("DROP EXTENSION message_store CASCADE")
        .await
        .unwrap();
    let left = "SELECT count(*) FROM message_store.messages";
    assert_eq!(session.bigint(left).await, VIEWINGS);
    session
        .run("CREATE EXTENSION message_store; SELECT message_store.create_store()")
        .await
        .unwrap();
    assert_same(&session.run(INVENTORY).await.unwrap(), &before);
    goes_on(&session, 0).await;
}

#[tokio::test]
async fn creating_the_store_twice_changes_nothing() {
    create_role(Cluster::shared(), "analyst").await;
    let database = furnished_store(Cluster::shared()).await;
    let session = database.connect().await;
    let before = dumped(&database);
    assert!(before.contains("CREATE TRIGGER audit"));
    session
        .run("SELECT message_store.create_store(), message_store.create_store()")
        .await
        .unwrap();
    assert_same_text(&before, &dumped(&database));
}

/// A name that PostgreSQL makes up avoids those of transactions that are still running.
#[tokio::test]
async fn a_store_that_is_created_beside_one_that_is_given_up_is_whole() {
    let database = Cluster::shared().create_database().await;
    let (first, second) = (database.connect().await, database.connect().await);
    let create = "SELECT message_store.create_store()";
    first.run("CREATE EXTENSION message_store").await.unwrap();
    first.run("BEGIN").await.unwrap();
    first.run(create).await.unwrap();
    let created = second.run(create);
    let given_up = async {
        first.wait_until_blocked(second.pid).await;
        first.run("ROLLBACK").await.unwrap();
    };
    tokio::join!(created, given_up).0.unwrap();
    write(&second, "a-1", "A").await;
}

#[tokio::test]
async fn stores_and_a_message_db_of_one_cluster_share_the_role() {
    // Ours first, then Message DB; and the other way round.
    for message_db_first in [false, true] {
        let cluster = Cluster::start(&[]);
        if message_db_first {
            MessageDb::install(&cluster, "peer");
        }
        let first = cluster.create_store().await;
        let second = cluster.create_store().await;
        if !message_db_first {
            MessageDb::install(&cluster, "peer");
        }
        // Made where absent, never altered.
        let postgres = cluster.connect("postgres", "postgres").await;
        let role = "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls,
                    rolpassword IS NULL, rolvaliduntil FROM pg_authid WHERE rolname = 'message_store'";
        let flags = [
            Some("t"),
            Some("f"),
            Some("f"),
            Some("f"),
            Some("f"),
            Some("t"),
            None,
        ];
        let flags = flags.map(|flag| flag.map(str::to_owned));
        assert_eq!(postgres.run(role).await.unwrap(), [flags]);
        for database in [first.name.as_str(), second.name.as_str(), "peer"] {
            let session = cluster.connect(database, "message_store").await;
            session
                .run("SET search_path = message_store, public")
                .await
                .unwrap();
            write(&session, "viewings-1", "VideoViewed").await;
            let read = "SELECT count(*) FROM message_store.get_category_messages('viewings')";
            assert_eq!(session.bigint(read).await, 1, "{database}");
        }
        // One store gone, the role stays for the others.
        let session = first.connect().await;
        session
            .run("DROP EXTENSION message_store CASCADE")
            .await
            .unwrap();
        let session = second.connect_as("message_store").await;
        write(&session, "viewings-1", "VideoViewed").await;
    }
}

/// What fires, in order, on `messages` and on its twin.
const OBSERVERS: &str = "
    CREATE TABLE public.tenants (id int PRIMARY KEY);
    INSERT INTO public.tenants VALUES (1);
    ALTER TABLE message_store.messages
      ADD COLUMN tenant int DEFAULT 1,
      ADD COLUMN note text,
      ADD COLUMN loud text GENERATED ALWAYS AS (upper(type)) STORED,
      ADD CONSTRAINT no_bad CHECK (type <> 'Bad'),
      ADD CONSTRAINT size_limit CHECK (pg_column_size(data) < 1000);
    CREATE TABLE public.twin (LIKE message_store.messages INCLUDING ALL);
    CREATE TABLE public.seen (number bigserial, event text);
    CREATE FUNCTION public.observe() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO public.seen (event) VALUES (concat_ws(' ', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP,
          CASE WHEN TG_LEVEL = 'ROW' THEN concat_ws(' ', NEW.stream_name, NEW.position, NEW.type,
            NEW.data, NEW.note, NEW.loud, NEW.tenant) END));
        IF TG_LEVEL = 'ROW' AND TG_WHEN = 'BEFORE' THEN
          NEW.note := 'noted'; NEW.data := NEW.data || '{\"seen\": true}';
        END IF;
        RETURN NEW;
      END $$;
    CREATE FUNCTION public.observe_batch() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO public.seen (event)
          SELECT concat_ws(' ', TG_NAME, count(*), string_agg(type || loud || note, ','))
          FROM written;
        RETURN NULL;
      END $$;
    CREATE FUNCTION public.refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF NEW.type = 'TooLate' THEN RAISE 'too late' USING ERRCODE = 'P0099'; END IF;
        INSERT INTO public.seen (event) VALUES ('deferred ' || NEW.type);
        RETURN NULL;
      END $$;
    DO $$
      DECLARE target text;
      BEGIN
        FOREACH target IN ARRAY ARRAY['message_store.messages', 'public.twin'] LOOP
          EXECUTE format('
            CREATE TRIGGER a BEFORE INSERT ON %1$s
              FOR EACH STATEMENT EXECUTE FUNCTION observe();
            CREATE TRIGGER b BEFORE INSERT ON %1$s FOR EACH ROW EXECUTE FUNCTION observe();
            CREATE TRIGGER c AFTER INSERT ON %1$s FOR EACH ROW EXECUTE FUNCTION observe();
            CREATE TRIGGER d AFTER INSERT ON %1$s FOR EACH ROW
              WHEN (NEW.type = ''Chosen'') EXECUTE FUNCTION observe();
            CREATE TRIGGER e AFTER INSERT ON %1$s
              FOR EACH STATEMENT EXECUTE FUNCTION observe();
            CREATE TRIGGER f AFTER INSERT ON %1$s REFERENCING NEW TABLE AS written
              FOR EACH STATEMENT EXECUTE FUNCTION observe_batch();
            CREATE TRIGGER g AFTER INSERT ON %1$s REFERENCING NEW TABLE AS written
              FOR EACH ROW EXECUTE FUNCTION observe_batch();
            CREATE CONSTRAINT TRIGGER h AFTER INSERT ON %1$s DEFERRABLE INITIALLY DEFERRED
              FOR EACH ROW EXECUTE FUNCTION refuse_late();
            ALTER TABLE %1$s ADD FOREIGN KEY (tenant) REFERENCES public.tenants;
          ', target);
        END LOOP;
      END $$";

#[tokio::test]
async fn triggers_constraints_and_columns_work_as_with_insert() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(OBSERVERS).await.unwrap();
    let seen = "WITH gone AS (DELETE FROM public.seen RETURNING number, event)
                SELECT event FROM gone ORDER BY number";
    for (position, kind) in ["Plain", "Chosen", "Plain"].into_iter().enumerate() {
        session
            .run(&format!(
                "SELECT message_store.write_message(
                   gen_random_uuid()::varchar, 's-1', '{kind}', '{{\"a\": 1}}')"
            ))
            .await
            .unwrap();
        let with_write_message = session.run(seen).await.unwrap();
        session
            .run(&format!(
                "INSERT INTO public.twin (position, stream_name, type, data)
                 VALUES ({position}, 's-1', '{kind}', '{{\"a\": 1}}')"
            ))
            .await
            .unwrap();
        assert!(with_write_message.len() >= 7);
        assert_same(&with_write_message, &session.run(seen).await.unwrap());
    }
    let warned = session.take_notices();
    assert!(warned.is_empty(), "{warned:?}");
    let rows = "SELECT position, stream_name, type, data, metadata, tenant, note, loud";
    let ours = format!("{rows} FROM message_store.messages ORDER BY position");
    let twin = format!("{rows} FROM public.twin ORDER BY position");
    assert_same(
        &session.run(&ours).await.unwrap(),
        &session.run(&twin).await.unwrap(),
    );
    // Readers get what the BEFORE trigger made of it.
    let data = "SELECT data FROM message_store.get_last_stream_message('s-1')";
    let data = session.value(data).await;
    assert_eq!(data.as_deref(), Some("{\"a\": 1, \"seen\": true}"));

    // What is refused is refused alike, and leaves nothing.
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(2_000));
    for (kind, data, tenant, sqlstate) in [
        ("Bad", "{}", 1, "23514"),
        ("Long", long.as_str(), 1, "23514"),
        ("Orphan", "{}", 2, "23503"),
        ("TooLate", "{}", 1, "P0099"),
    ] {
        let set_default = format!(
            "ALTER TABLE message_store.messages ALTER tenant SET DEFAULT {tenant};
             ALTER TABLE public.twin ALTER tenant SET DEFAULT {tenant}"
        );
        session.run(&set_default).await.unwrap();
        let ours = session
            .error(&format!(
                "SELECT message_store.write_message(
                   gen_random_uuid()::varchar, 's-1', '{kind}', '{data}')"
            ))
            .await;
        let twin = session
            .error(&format!(
                "INSERT INTO public.twin (position, stream_name, type, data)
                 VALUES (3, 's-1', '{kind}', '{data}')"
            ))
            .await;
        assert_eq!(
            (ours.sqlstate.as_str(), twin.sqlstate.as_str()),
            (sqlstate, sqlstate)
        );
    }
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.messages")
            .await,
        3
    );
    assert!(session.run(seen).await.unwrap().is_empty());

    // A deferred trigger waits for the commit.
    session
        .run("ALTER TABLE message_store.messages ALTER tenant SET DEFAULT 1; BEGIN")
        .await
        .unwrap();
    write(&session, "s-1", "Late").await;
    let fired = "SELECT count(*) FROM public.seen WHERE event = 'deferred Late'";
    assert_eq!(session.bigint(fired).await, 0);
    session.run("COMMIT").await.unwrap();
    assert_eq!(session.bigint(fired).await, 1);
}

#[tokio::test]
async fn trigger_may_write_messages_of_its_own() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE FUNCTION public.echo() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN
                 PERFORM message_store.write_message(
                   gen_random_uuid()::varchar, TG_ARGV[0], 'Echo', '{}');
                 RETURN NULL;
               END $$;
             CREATE TRIGGER same_stream AFTER INSERT ON message_store.messages FOR EACH ROW
               WHEN (NEW.type = 'Called') EXECUTE FUNCTION public.echo('valley-1');
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON message_store.messages
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
               WHEN (NEW.type = 'Called') EXECUTE FUNCTION public.echo('mountain-1')",
        )
        .await
        .unwrap();
    write(&session, "valley-1", "Called").await;
    write(&session, "valley-1", "Called").await;
    let all = "SELECT stream_name || ' ' || position || ' ' || type
               FROM message_store.get_all_messages()";
    let lines: Vec<String> = session
        .run(all)
        .await
        .unwrap()
        .into_iter()
        .map(|mut row| row.remove(0).unwrap())
        .collect();
    let expected = [
        "valley-1 0 Called",
        "valley-1 1 Echo",
        "mountain-1 0 Echo",
        "valley-1 2 Called",
        "valley-1 3 Echo",
        "mountain-1 1 Echo",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn trigger_that_moves_or_swallows_a_message_is_an_error() {
    for (body, named) in [
        ("NEW.stream_name := 'other-1'; RETURN NEW;", "stream_name"),
        ("NEW.position := 7; RETURN NEW;", "position"),
        ("NEW.global_position := 7; RETURN NEW;", "global_position"),
        ("RETURN NULL;", "trigger"),
    ] {
        let database = Cluster::shared().create_store().await;
        let session = database.connect().await;
        session
            .run(&format!(
                "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN {body} END $$;
                 CREATE TRIGGER meddle BEFORE INSERT ON message_store.messages
                   FOR EACH ROW EXECUTE FUNCTION public.meddle()"
            ))
            .await
            .unwrap();
        let refused = session
            .error(
                "SELECT message_store.write_message(gen_random_uuid()::varchar, 's-1', 'T', '{}')",
            )
            .await;
        assert_eq!(refused.sqlstate, "39P01", "{refused:?}");
        assert!(refused.message.contains(named), "{refused:?}");
        assert_eq!(
            session
                .bigint("SELECT count(*) FROM message_store.messages")
                .await,
            0
        );
    }
}

async fn create_role(cluster: &Cluster, name: &str) {
    let session = cluster.connect("postgres", "postgres").await;
    // Tests that run at the same time share the cluster's roles.
    session
        .run(&format!(
            "DO $$ BEGIN CREATE ROLE {name};
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        ))
        .await
        .unwrap();
}

async fn furnished_store(cluster: &Cluster) -> Database<'_> {
    let database = cluster.create_database().await;
    let session = database.connect().await;
    session.run("CREATE EXTENSION message_store").await.unwrap();
    furnish(&session).await;
    database
}

async fn furnish(session: &Session) {
    session
        .run("SELECT message_store.create_store()")
        .await
        .unwrap();
    session.run(FURNITURE).await.unwrap();
    for _ in 0..VIEWINGS {
        write(session, "viewings-1", "VideoViewed").await;
    }
    for _ in 0..ROLLED_BACK {
        session.run("BEGIN").await.unwrap();
        write(session, "viewings-2", "VideoViewed").await;
        session.run("ROLLBACK").await.unwrap();
    }
    let tick = format!("SELECT message_store.tick('aggregators:home-page', {COUNTED})");
    session.run(&tick).await.unwrap();
    assert_eq!(videos_watched(session).await, COUNTED);
}

async fn write(session: &Session, stream: &str, kind: &str) {
    session
        .run(&format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', '{kind}', '{{}}')"
        ))
        .await
        .unwrap();
}

async fn tick(session: &Session) -> String {
    session
        .value("SELECT outcome FROM message_store.tick('aggregators:home-page')")
        .await
        .unwrap()
}

async fn videos_watched(session: &Session) -> i64 {
    session
        .bigint(
            "SELECT page_data->>'videosWatched' FROM message_store.read_model_pages
             WHERE page_name = 'home'",
        )
        .await
}

/// The whole database as text.
fn dumped(database: &Database<'_>) -> String {
    let mut dump = database.cluster.client_command("pg_dump");
    let text = succeed(dump.arg(&database.name));
    // A random key that newer versions print.
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.collect::<Vec<_>>().join("\n")
}

fn restore(database: &Database<'_>, format: &str, file: &Path) {
    let mut restore = if format == "plain" {
        let mut psql = database.cluster.client_command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"]);
        psql.arg(file);
        psql
    } else {
        let mut pg_restore = database.cluster.client_command("pg_restore");
        pg_restore.arg("--exit-on-error").arg(file);
        pg_restore
    };
    succeed(restore.args(["--dbname", &database.name]));
}

/// Runs a program to its end and returns what it printed.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn assert_same(found: &Rows, expected: &Rows) {
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
    let new: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
    assert!(found == expected, "missing: {missing:#?}\nnew: {new:#?}");
}

fn assert_same_text(before: &str, after: &str) {
    let different = before
        .lines()
        .zip(after.lines())
        .find(|(before, after)| before != after);
    assert!(before == after, "{different:?}");
}

#[tokio::test]
async fn names_are_compared_by_bytes_whatever_the_language_of_the_database() {
    let cluster = Cluster::shared();
    let admin = cluster.connect("postgres", "postgres").await;
    admin
        .run(
            "CREATE DATABASE with_a_language TEMPLATE template0
               LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'",
        )
        .await
        .unwrap();
    let session = cluster.connect("with_a_language", "postgres").await;
    session
        .run(
            "CREATE EXTENSION message_store;
             SELECT message_store.create_store();
             CREATE TABLE public.streams (name text);
             INSERT INTO public.streams VALUES ('viewings-ä'), ('viewings-b');
             SELECT message_store.write_message(gen_random_uuid()::varchar, name, 'A', '{}')
             FROM public.streams",
        )
        .await
        .unwrap();
    let collations = "SELECT string_agg(DISTINCT attcollation::regcollation::text, ' ')
        FROM pg_attribute WHERE attname IN ('stream_name', 'type')
        AND attrelid IN ('message_store.messages'::regclass,
                         'message_store.messages_stream'::regclass)";
    assert_eq!(session.value(collations).await.as_deref(), Some("\"C\""));
    let joined = "SELECT count(*) FROM message_store.messages JOIN public.streams
        ON stream_name = name AND stream_name >= name";
    assert_eq!(session.bigint(joined).await, 2);
    let read = "SELECT count(*) FROM message_store.get_category_messages('viewings')";
    assert_eq!(session.bigint(read).await, 2);
    let last = "SELECT type FROM message_store.get_last_stream_message('viewings-ä')";
    assert_eq!(session.value(last).await.as_deref(), Some("A"));
}

#[tokio::test]
async fn a_table_of_subscriptions_that_was_made_into_another_is_refused() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            r#"SELECT message_store.create_subscription('home', 'viewings',
                 '{"VideoViewed": "message_store.increment_videos_watched"}');
               SELECT message_store.start('home');
               DROP VIEW message_store.shard_status, message_store.parked_messages, message_store.subscription_status;
               ALTER TABLE message_store.parked DROP CONSTRAINT parked_subscriber_id_fkey,
                 ALTER COLUMN subscriber_id TYPE bytea USING ''"#,
        )
        .await
        .unwrap();
    let error = session.error("SELECT message_store.tick('home')").await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(error.message.contains("parked"), "{error:?}");
}
