//! Promise: what a session keeps between statements costs it no more memory the longer it writes,
//! and is never older than the catalogs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Session};

/// Bytes of memory that the session has for what lasts longer than a statement.
const MEMORY: &str = "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts
    WHERE name IN ('ExecutorState', 'ExprContext', 'TopMemoryContext')";
/// What may come and go without being a leak.
const SLACK: i64 = 512 << 10;

async fn session() -> Session {
    Cluster::shared().create_store().await.connect().await
}

/// Runs SQL once to warm up and often after that; returns by how many bytes memory has grown.
async fn growth(session: &Session, sql: &str) -> i64 {
    session.run(sql).await.unwrap();
    let before = session.bigint(MEMORY).await;
    for _ in 0..10 {
        session.run(sql).await.unwrap();
    }
    session.bigint(MEMORY).await - before
}

#[tokio::test]
async fn writing_for_long_takes_no_more_memory() {
    let session = session().await;
    let write = "DO $$ BEGIN FOR n IN 1..2000 LOOP
        PERFORM message_store.write_message(gen_random_uuid()::varchar, 'a-' || n, 'A', '{}',
          '{\"correlationStreamName\": \"b-1\", \"padding\": \"some more bytes of metadata\"}');
      END LOOP; END $$";
    let grown = growth(&session, write).await;
    assert!(grown < SLACK, "{grown} bytes");
}

#[tokio::test]
async fn failing_for_long_takes_no_more_memory() {
    let session = session().await;
    session
        .run(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER swallow BEFORE INSERT ON message_store.messages FOR EACH ROW
               WHEN (NEW.type = 'Swallowed') EXECUTE FUNCTION swallow()",
        )
        .await
        .unwrap();
    let swallowed = "DO $$ BEGIN FOR n IN 1..100 LOOP BEGIN
        PERFORM message_store.write_message(
          gen_random_uuid()::varchar, 'a-1', 'Swallowed', '{}');
        RAISE 'written';
      EXCEPTION WHEN sqlstate '39P01' THEN NULL; END; END LOOP; END $$";
    let grown = growth(&session, swallowed).await;
    assert!(grown < SLACK, "{grown} bytes");

    session
        .run("DROP TRIGGER swallow ON message_store.messages")
        .await
        .unwrap();
    let unexpected = "DO $$ BEGIN FOR n IN 1..20 LOOP BEGIN
        PERFORM message_store.write_messages(ARRAY(
          SELECT ROW('b-' || lpad(s::text, 3, '0'), 'A', '{}', NULL, NULL,
                     CASE WHEN s = 100 THEN 7 END)::message_store.new_message
          FROM generate_series(1, 100) s));
        RAISE 'written';
      EXCEPTION WHEN raise_exception THEN
        IF SQLERRM NOT LIKE 'Wrong expected version%' THEN RAISE; END IF;
      END; END LOOP; END $$";
    let grown = growth(&session, unexpected).await;
    assert!(grown < SLACK, "{grown} bytes");
}

#[tokio::test]
async fn changes_by_others_count_at_the_next_write() {
    let database = Cluster::shared().create_store().await;
    let (writer, owner) = (database.connect().await, database.connect().await);
    let write = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'A', '{}')";
    owner
        .run(
            "CREATE DOMAIN public.region AS text;
             ALTER TABLE message_store.messages ADD COLUMN region public.region DEFAULT 'x'",
        )
        .await
        .unwrap();
    writer.run(write).await.unwrap();
    let change = async |sql: &str| owner.run(sql).await.unwrap();

    change("ALTER DOMAIN public.region ADD CONSTRAINT known CHECK (VALUE <> 'x') NOT VALID").await;
    assert_eq!(writer.error(write).await.sqlstate, "23514", "a domain");
    change("ALTER DOMAIN public.region DROP CONSTRAINT known").await;
    writer.run(write).await.unwrap();

    change("ALTER TABLE message_store.messages ALTER region SET DEFAULT 'y'").await;
    writer.run(write).await.unwrap();
    let last = "SELECT region FROM message_store.messages ORDER BY global_position DESC LIMIT 1";
    assert_eq!(writer.value(last).await.as_deref(), Some("y"), "a default");

    change("CREATE UNIQUE INDEX once ON message_store.messages (region) WHERE region = 'z'").await;
    change("ALTER TABLE message_store.messages ALTER region SET DEFAULT 'z'").await;
    writer.run(write).await.unwrap();
    assert_eq!(writer.error(write).await.sqlstate, "23505", "an index");
    change("DROP INDEX message_store.once").await;
    writer.run(write).await.unwrap();

    change("ALTER SEQUENCE message_store.messages_global_position_seq CACHE 20").await;
    assert_eq!(writer.error(write).await.sqlstate, "55000", "a sequence");
    change("ALTER SEQUENCE message_store.messages_global_position_seq CACHE 1").await;
    writer.run(write).await.unwrap();

    change("ALTER TABLE message_store.messages ENABLE ROW LEVEL SECURITY").await;
    assert_eq!(writer.error(write).await.sqlstate, "0A000", "row security");
    change("ALTER TABLE message_store.messages DISABLE ROW LEVEL SECURITY").await;
    writer.run(write).await.unwrap();

    change("ALTER TABLE message_store.messages RENAME TO put_away").await;
    assert_eq!(writer.error(write).await.sqlstate, "55000", "a name");
    change("ALTER TABLE message_store.put_away RENAME TO messages").await;
    writer.run(write).await.unwrap();
}

/// An expression of the table's is made ready once for many writes; whoever may not execute it may
/// not write, also after somebody who may.
#[tokio::test]
async fn a_plan_kept_for_one_role_is_not_used_for_another() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let [may, may_not] = ["may", "may_not"].map(|name| format!("{name}_{}", database.name));
    session
        .run(&format!(
            "CREATE ROLE {may}; GRANT message_store TO {may};
             CREATE ROLE {may_not}; GRANT message_store TO {may_not};
             CREATE FUNCTION public.mark(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
               'BEGIN RETURN $1; END';
             REVOKE EXECUTE ON FUNCTION public.mark(text) FROM PUBLIC;
             GRANT EXECUTE ON FUNCTION public.mark(text) TO {may}"
        ))
        .await
        .unwrap();
    let write = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'A', '{}')";
    for (add, remove) in [
        (
            "ALTER TABLE message_store.messages ADD marked text DEFAULT public.mark('x')",
            "ALTER TABLE message_store.messages DROP marked",
        ),
        (
            "CREATE INDEX marked ON message_store.messages (public.mark(type))",
            "DROP INDEX message_store.marked",
        ),
    ] {
        session.run(add).await.unwrap();
        for _ in 0..2 {
            session.run(&format!("SET ROLE {may}")).await.unwrap();
            session.run(write).await.unwrap();
            session.run(&format!("SET ROLE {may_not}")).await.unwrap();
            assert_eq!(session.error(write).await.sqlstate, "42501", "{add}");
        }
        session.run(&format!("RESET ROLE; {remove}")).await.unwrap();
    }
}

#[tokio::test]
async fn readers_go_on_while_somebody_alters_the_sequence() {
    let database = Cluster::shared().create_store().await;
    let (admin, one, other) =
        tokio::join!(database.connect(), database.connect(), database.connect());
    let read_often = "DO $$ BEGIN FOR n IN 1..20000 LOOP
        PERFORM message_store.get_all_messages();
      END LOOP; END $$";
    // Each alteration gives the sequence another file, and empties the one before.
    let alterations = async {
        for _ in 0..1_000 {
            admin
                .run("ALTER SEQUENCE message_store.messages_global_position_seq CACHE 1")
                .await
                .unwrap();
        }
    };
    let (_, one, other) = tokio::join!(alterations, one.run(read_often), other.run(read_often));
    one.unwrap();
    other.unwrap();
}
