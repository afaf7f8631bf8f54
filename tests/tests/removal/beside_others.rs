//! Deletions beside writers, readers and rebuilds: nobody waits for long, and no version comes twice.

use promises::Cluster;

use crate::subscriber::{bigints, create_with, tick_to_the_end, with_recorders, write};

/// Writes to one of three streams, and keeps what it was told.
const WRITE_OFTEN: &str = "DO $$ DECLARE told bigint; stream text; BEGIN
      FOR n IN 1..400 LOOP
        stream := 'a-' || n % 3;
        told := message_store.write_message(gen_random_uuid()::varchar, stream, 'A', '{}');
        INSERT INTO public.told VALUES (stream, told);
        COMMIT;
      END LOOP;
    END $$";

#[tokio::test]
async fn versions_go_on_while_streams_are_written_and_deleted() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run("CREATE TABLE public.told (stream text, position bigint)")
        .await
        .unwrap();
    let (one, other, remover) =
        tokio::join!(database.connect(), database.connect(), database.connect());
    let removals = async {
        let mut deleted = 0;
        // Until the writers have begun, there is nothing.
        for round in 0.. {
            let call = match round % 3 {
                0 => {
                    "delete_category_before('a', 'old', before_position => 1000000, max_messages => 50)"
                }
                1 => "delete_stream('a-1', 'old')",
                _ => "delete_stream('a-2', 'old', max_messages => 7)",
            };
            deleted += remover
                .bigint(&format!("SELECT message_store.{call}"))
                .await;
            if round >= 60 && deleted > 0 {
                break;
            }
        }
        deleted
    };
    let (one, other, deleted) =
        tokio::join!(one.run(WRITE_OFTEN), other.run(WRITE_OFTEN), removals);
    one.unwrap();
    other.unwrap();
    let told = "SELECT position FROM public.told WHERE stream = 'a-1' ORDER BY position";
    let told = bigints(&session, told).await;
    let all: Vec<i64> = (0..i64::try_from(told.len()).unwrap()).collect();
    assert_eq!(
        told, all,
        "each version was given once, and none was left out"
    );
    let left = session
        .bigint("SELECT count(*) FROM message_store.messages")
        .await;
    assert_eq!(left + deleted, 800);
}

#[tokio::test]
async fn a_rebuild_that_begins_meanwhile_hears_of_the_deletion() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    let options = "{\"read_model\": [\"public.seen\"]}";
    create_with(&session, "s", "a", "{\"$any\": \"public.record\"}", options).await;
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    let other = database.connect().await;
    session
        .run("BEGIN; SELECT message_store.delete_stream('a-1', 'old')")
        .await
        .unwrap();
    let commit = async {
        session.wait_until_blocked(other.pid).await;
        session.run("COMMIT").await.unwrap();
    };
    let (error, ()) = tokio::join!(other.error("SELECT message_store.rebuild('s')"), commit);
    assert_eq!(error.sqlstate, "55000", "{error:?}");
}

#[tokio::test]
async fn a_deletion_that_begins_meanwhile_hears_of_the_rebuild() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    let options = "{\"read_model\": [\"public.seen\"]}";
    create_with(&session, "s", "a", "{\"$any\": \"public.record\"}", options).await;
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    let other = database.connect().await;
    session
        .run("BEGIN; SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    let commit = async {
        session.wait_until_blocked(other.pid).await;
        session.run("COMMIT").await.unwrap();
    };
    let delete = "SELECT message_store.delete_stream('a-1', 'old')";
    let (error, ()) = tokio::join!(other.error(delete), commit);
    assert_eq!(error.sqlstate, "55000", "{error:?}");
}

#[tokio::test]
async fn a_deletion_waits_for_no_verification_which_hears_of_it() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.heard (n bigint);
             CREATE FUNCTION public.hear(message_store.message) RETURNS void LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); INSERT INTO heard VALUES (1); END $$",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"public.heard\"]}";
    create_with(&session, "s", "a", "{\"$any\": \"public.hear\"}", options).await;
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    let (other, remover) = (database.connect().await, database.connect().await);
    remover
        .run("SET lock_timeout = '30s'; SELECT pg_advisory_lock(7)")
        .await
        .unwrap();
    let deletion = async {
        session.wait_until_blocked(other.pid).await;
        remover
            .run("SELECT message_store.delete_stream('a-1', 'old')")
            .await
            .unwrap();
        remover.run("SELECT pg_advisory_unlock(7)").await.unwrap();
    };
    let verify = other.error("SELECT * FROM message_store.verify('s')");
    let (error, ()) = tokio::join!(verify, deletion);
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(error.message.contains("would miss messages"), "{error:?}");
}

#[tokio::test]
async fn writers_and_readers_wait_for_no_deletion() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    write(&session, "a-1", "A").await;
    let other = database.connect().await;
    session
        .run("BEGIN; SELECT message_store.delete_category_before('a', 'old', before_position => 9)")
        .await
        .unwrap();
    other.run("SET lock_timeout = '30s'").await.unwrap();
    assert_eq!(write(&other, "a-1", "A").await, 2);
    let read = "SELECT position FROM message_store.get_category_messages('a')";
    assert_eq!(bigints(&other, read).await, [0, 1]);
    session.run("COMMIT").await.unwrap();
    assert_eq!(bigints(&other, read).await, [1]);
}
