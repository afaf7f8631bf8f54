//! Streams and the beginnings of categories are deleted; versions go on, and who needs a message says so.

use promises::{Cluster, Session};

use crate::subscriber::{
    bigints, create, create_with, texts, tick, tick_to_the_end, tick_with, with_recorders, write,
};

const ANY: &str = "{\"$any\": \"public.record\"}";

async fn store() -> Session {
    Cluster::shared().create_store().await.connect().await
}

async fn write_many(session: &Session, stream: &str, count: i64) {
    for _ in 0..count {
        write(session, stream, "A").await;
    }
}

async fn positions(session: &Session, stream: &str) -> Vec<i64> {
    let sql = format!("SELECT position FROM message_store.get_stream_messages('{stream}', 0, -1)");
    bigints(session, &sql).await
}

async fn version(session: &Session, stream: &str) -> Option<String> {
    let sql = format!("SELECT message_store.stream_version('{stream}')");
    session.value(&sql).await
}

#[tokio::test]
async fn a_deleted_stream_goes_on_behind_its_last_version() {
    let session = store().await;
    write_many(&session, "a-1", 3).await;
    write_many(&session, "a-2", 1).await;
    let deleted = "SELECT message_store.delete_stream('a-1', 'asked for')";
    assert_eq!(session.bigint(deleted).await, 3);
    assert_eq!(positions(&session, "a-1").await, [0_i64; 0]);
    assert_eq!(positions(&session, "a-2").await, [0]);
    assert_eq!(version(&session, "a-1").await.as_deref(), Some("2"));

    let expecting = |version: &str| {
        format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'A', '{{}}', NULL, {version})"
        )
    };
    let error = session.error(&expecting("-1")).await;
    assert_eq!(
        error.message,
        "Wrong expected version: -1 (Stream: a-1, Stream Version: 2)"
    );
    assert_eq!(session.bigint(&expecting("2")).await, 3);
    // Deleted again, a batch goes on as well.
    assert_eq!(session.bigint(deleted).await, 1);
    let batch = "SELECT max(position) FROM message_store.write_messages('a-1',
        '[{\"type\": \"A\"}, {\"type\": \"B\"}]'::jsonb)";
    assert_eq!(session.bigint(batch).await, 5);
    assert_eq!(positions(&session, "a-1").await, [4, 5]);
}

#[tokio::test]
async fn a_stream_begins_at_0_again_only_where_that_is_asked() {
    let session = store().await;
    write_many(&session, "a-1", 3).await;
    let restart = "SELECT message_store.delete_stream('a-1', 'asked for', restart => true)";
    assert_eq!(session.bigint(restart).await, 3);
    assert_eq!(version(&session, "a-1").await, None);
    write_many(&session, "a-1", 2).await;
    assert_eq!(positions(&session, "a-1").await, [0, 1]);
    session
        .run("SELECT message_store.delete_stream('a-1', 'asked for')")
        .await
        .unwrap();
    // Nothing is left to delete, and the version is let go of.
    assert_eq!(session.bigint(restart).await, 0);
    assert_eq!(version(&session, "a-1").await, None);
}

#[tokio::test]
async fn a_stream_loses_its_beginning_in_bounded_calls() {
    let session = store().await;
    write_many(&session, "a-1", 10).await;
    let delete = "SELECT message_store.delete_stream('a-1', 'old', before => 7, max_messages => 3)";
    for expected in [3, 3, 1, 0] {
        assert_eq!(session.bigint(delete).await, expected);
    }
    assert_eq!(positions(&session, "a-1").await, [7, 8, 9]);
    assert_eq!(version(&session, "a-1").await.as_deref(), Some("9"));
    let entries = "SELECT category, stream_name, up_to, messages, role, actor, reason \
                   FROM message_store.deletions";
    assert_eq!(
        texts(&session, entries).await,
        ["a a-1 7 7 postgres - old"],
        "calls that follow each other are one deletion"
    );
}

#[tokio::test]
async fn who_deleted_and_for_whom_is_kept() {
    let session = store().await;
    write_many(&session, "a-1", 3).await;
    let delete = |reason: &str| {
        format!("SELECT message_store.delete_stream('a-1', '{reason}', max_messages => 1)")
    };
    session.run(&delete("one")).await.unwrap();
    session
        .run("SET message_store.actor = 'Ada'")
        .await
        .unwrap();
    session.run(&delete("one")).await.unwrap();
    session.run(&delete("other")).await.unwrap();
    let entries = "SELECT messages, actor, reason FROM message_store.deletions ORDER BY deletion";
    assert_eq!(
        texts(&session, entries).await,
        ["1 - one", "1 Ada one", "1 Ada other"]
    );
}

#[tokio::test]
async fn a_category_loses_what_is_before_a_position() {
    let session = store().await;
    for _ in 0..3 {
        write_many(&session, "a-1", 1).await;
        write_many(&session, "b-1", 1).await;
        write_many(&session, "a-2", 1).await;
    }
    let delete = "SELECT message_store.delete_category_before('a', 'old', before_position => 7)";
    assert_eq!(session.bigint(delete).await, 4);
    let left = "SELECT global_position FROM message_store.messages ORDER BY global_position";
    assert_eq!(bigints(&session, left).await, [2, 5, 7, 8, 9]);
    assert_eq!(positions(&session, "a-1").await, [2]);
    let rest = "SELECT message_store.delete_category_before('a', 'old', before_position => 1000)";
    assert_eq!(session.bigint(rest).await, 2);
    assert_eq!(version(&session, "a-1").await.as_deref(), Some("2"));
    assert_eq!(version(&session, "a-2").await.as_deref(), Some("2"));
    write_many(&session, "a-2", 1).await;
    assert_eq!(positions(&session, "a-2").await, [3]);
    let up_to = "SELECT message_store.deleted_up_to('a'), message_store.deleted_up_to('b'), \
        message_store.deleted_up_to('$all'), message_store.deleted_up_to('a-1')";
    assert_eq!(texts(&session, up_to).await, ["9 0 9 9"]);
}

#[tokio::test]
async fn a_category_loses_what_was_written_before_a_time() {
    let session = store().await;
    write_many(&session, "a-1", 4).await;
    // Times are those of transactions, and need not rise: what is behind a younger one stays.
    session
        .run(
            "UPDATE message_store.messages SET time = '2026-01-01 00:00' \
             WHERE global_position IN (1, 2, 4)",
        )
        .await
        .unwrap();
    let delete = |time: &str| {
        format!("SELECT message_store.delete_category_before('a', 'old', before_time => '{time}')")
    };
    assert_eq!(session.bigint(&delete("2026-01-01 00:00Z")).await, 0);
    session.run("SET timezone = 'Asia/Tokyo'").await.unwrap();
    assert_eq!(session.bigint(&delete("2026-01-01 09:00")).await, 0);
    assert_eq!(session.bigint(&delete("2026-01-01 09:01")).await, 2);
    assert_eq!(positions(&session, "a-1").await, [2, 3]);
}

#[tokio::test]
async fn what_a_subscription_has_still_to_handle_is_not_deleted() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    for (id, source) in [
        ("category", "a"),
        ("stream", "a-1"),
        ("all", "$all"),
        ("other", "b"),
    ] {
        create(&session, id, source, ANY).await;
    }
    create_with(&session, "group", "a", ANY, "{\"group_size\": 2}").await;
    write_many(&session, "a-1", 1).await;
    write_many(&session, "a-2", 1).await;
    let category = "SELECT message_store.delete_category_before('a', 'old', before_position => 10)";
    let stream = |name: &str| format!("SELECT message_store.delete_stream('{name}', 'old')");

    let error = session.error(category).await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert_eq!(
        error.detail,
        "all has still to handle messages from 1 on.\n\
         category has still to handle messages from 1 on.\n\
         group has still to handle messages from 1 on.\n\
         stream has still to handle messages from 1 on."
    );
    let error = session.error(&stream("a-2")).await;
    assert!(!error.detail.contains("stream has"), "{error:?}");
    assert!(error.detail.contains("category has"), "{error:?}");

    for id in ["category", "all"] {
        tick_to_the_end(&session, id).await;
    }
    for member in 0..2 {
        tick_with(&session, &format!("'group', 10, {member}")).await;
    }
    // Who reads the one stream is in nobody else's way.
    assert_eq!(session.bigint(&stream("a-2")).await, 1);
    let error = session.error(category).await;
    assert_eq!(
        error.detail,
        "stream has still to handle messages from 1 on."
    );
    tick_to_the_end(&session, "stream").await;
    assert_eq!(session.bigint(category).await, 1);
}

#[tokio::test]
async fn what_a_subscription_has_parked_is_deleted_only_where_it_may_be_skipped() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.fail(message_store.message) RETURNS void LANGUAGE plpgsql AS
             $$ BEGIN RAISE 'no'; END $$",
        )
        .await
        .unwrap();
    let parks = "{\"on_failure\": \"park\", \"retries\": 0}";
    create_with(&session, "s", "a", "{\"$any\": \"public.fail\"}", parks).await;
    write_many(&session, "a-1", 2).await;
    write_many(&session, "a-2", 1).await;
    tick(&session, "s", 10).await;
    let delete = |more: &str| format!("SELECT message_store.delete_stream('a-1', 'old'{more})");
    let error = session.error(&delete("")).await;
    assert_eq!(error.sqlstate, "55000");
    assert_eq!(error.detail, "s has parked the message at 1.");
    assert_eq!(session.bigint(&delete(", may_skip => true")).await, 2);
    let parked = "SELECT global_position, status, reason FROM message_store.parked ORDER BY 1";
    assert_eq!(
        texts(&session, parked).await,
        ["1 discarded old", "2 discarded old", "3 failed -"]
    );
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let session = store().await;
    write_many(&session, "a-1", 1).await;
    let delete = |call: &str| format!("SELECT message_store.{call}");
    for (call, argument) in [
        ("delete_stream(NULL, 'x')", "stream_name"),
        ("delete_stream('a-1', '')", "reason"),
        ("delete_stream('a-1', NULL)", "reason"),
        ("delete_stream('a-1', 'x', before => -1)", "before"),
        (
            "delete_stream('a-1', 'x', before => 1, restart => true)",
            "restart",
        ),
        (
            "delete_stream('a-1', 'x', max_messages => 0)",
            "max_messages",
        ),
        (
            "delete_stream('a-1', 'x', max_messages => 1000001)",
            "max_messages",
        ),
        (
            "delete_stream('a-1', 'x', max_messages => NULL)",
            "max_messages",
        ),
        (
            "delete_category_before('a-1', 'x', before_position => 1)",
            "category",
        ),
        (
            "delete_category_before('', 'x', before_position => 1)",
            "category",
        ),
        (
            "delete_category_before(NULL, 'x', before_position => 1)",
            "category",
        ),
        (
            "delete_category_before('a', 'x')",
            "before_position or before_time",
        ),
        (
            "delete_category_before('a', 'x', before_position => 1, before_time => now())",
            "before_position or before_time",
        ),
        (
            "delete_category_before('a', 'x', before_position => 0)",
            "before_position",
        ),
        (
            "delete_category_before('a', ' ', before_position => 1)",
            "reason",
        ),
        ("retain('a-1', '1 day', 'x')", "category"),
        ("retain('a', '0', 'x')", "keep"),
        ("retain('a', '-1 day', 'x')", "keep"),
        ("retain('a', '1 day', '')", "reason"),
        ("apply_retention(0)", "max_messages"),
        ("erase_message_data('', stream_name => 'a-1')", "reason"),
        (
            "erase_message_data('x')",
            "stream_name, id or metadata_path",
        ),
        (
            "erase_message_data('x', stream_name => 'a-1', metadata_path => '$')",
            "stream_name, id or metadata_path",
        ),
        (
            "erase_message_data('x', stream_name => 'a-1', category => 'a')",
            "category",
        ),
        (
            "erase_message_data('x', metadata_path => '$', category => 'a-1')",
            "category",
        ),
        (
            "erase_message_data('x', metadata_path => '$', variables => NULL)",
            "variables",
        ),
        ("erasure_remains(NULL)", "erasure"),
        ("erasure_remains(7)", "erasure"),
    ] {
        let error = session.error(&delete(call)).await;
        assert_eq!(error.sqlstate, "22023", "{call}: {error:?}");
        assert!(error.message.starts_with(argument), "{call}: {error:?}");
        assert!(!error.hint.is_empty(), "{call}: {error:?}");
    }
    for call in [
        "delete_stream('a-1', 'x')",
        "delete_category_before('a', 'x', before_position => 9)",
        "erase_message_data('x', stream_name => 'a-1')",
    ] {
        let kept = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {}", delete(call));
        assert_eq!(session.error(&kept).await.sqlstate, "25001", "{call}");
        session.run("ROLLBACK").await.unwrap();
        let read_only = format!("BEGIN READ ONLY; {}", delete(call));
        assert_eq!(session.error(&read_only).await.sqlstate, "25006", "{call}");
        session.run("ROLLBACK").await.unwrap();
    }
    assert_eq!(positions(&session, "a-1").await, [0]);
}

#[tokio::test]
async fn a_trigger_that_keeps_messages_is_an_error() {
    let session = store().await;
    write_many(&session, "a-1", 2).await;
    session
        .run(
            "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF OLD.position = 1 THEN RETURN NULL; END IF; RETURN OLD; END $$;
             CREATE TRIGGER keep BEFORE DELETE OR UPDATE ON message_store.messages
             FOR EACH ROW EXECUTE FUNCTION public.keep()",
        )
        .await
        .unwrap();
    for call in [
        "delete_stream('a-1', 'x')",
        "erase_message_data('x', stream_name => 'a-1')",
    ] {
        let error = session.error(&format!("SELECT message_store.{call}")).await;
        assert_eq!(error.sqlstate, "39P01", "{error:?}");
    }
    assert_eq!(positions(&session, "a-1").await, [0, 1]);
}

#[tokio::test]
async fn deleting_and_erasing_is_nobody_s_right_unless_it_is_granted() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "DROP ROLE IF EXISTS remover; CREATE ROLE remover LOGIN;
             GRANT message_store, message_store_admin TO remover",
        )
        .await
        .unwrap();
    write_many(&session, "a-1", 3).await;
    let remover = database.connect_as("remover").await;
    let calls = [
        (
            "delete_stream('a-1', 'x', max_messages => 1)",
            "delete_stream",
        ),
        (
            "delete_category_before('a', 'x', before_position => 2)",
            "delete_category_before",
        ),
        ("retain('a', '1 day', 'x')", "retain"),
        (
            "erase_message_data('x', stream_name => 'a-1')",
            "erase_message_data",
        ),
        ("erasure_remains(1)", "erasure_remains"),
        ("wipe_free_room()", "wipe_free_room"),
    ];
    for (call, _) in calls {
        let error = remover.error(&format!("SELECT message_store.{call}")).await;
        assert_eq!(error.sqlstate, "42501", "{call}: {error:?}");
    }
    for (call, function) in calls {
        session
            .run(&format!(
                "GRANT EXECUTE ON FUNCTION message_store.{function} TO remover"
            ))
            .await
            .unwrap();
        remover
            .run(&format!("SELECT message_store.{call}"))
            .await
            .unwrap_or_else(|error| panic!("{call}: {error:?}"));
    }
    let error = remover.error("DELETE FROM message_store.messages").await;
    assert_eq!(error.sqlstate, "42501");
    assert_eq!(
        texts(
            &session,
            "SELECT DISTINCT role FROM message_store.deletions"
        )
        .await,
        ["remover"]
    );
}

/// Bytes of the log and of its indexes.
const SIZES: [&str; 2] = ["pg_table_size", "pg_indexes_size"];

#[tokio::test]
async fn what_is_deleted_makes_room_for_what_is_written_next() {
    // What VACUUM may give back depends on all transactions of a server.
    let cluster = Cluster::start(&[]);
    let session = cluster.create_store().await.connect().await;
    let fill = "SELECT count(message_store.write_message(gen_random_uuid()::varchar,
          'viewings-' || n % 1000, 'VideoViewed', '{\"videoId\": 1}'))
        FROM generate_series(1, 20000) n";
    let delete = "SELECT message_store.delete_category_before('viewings', 'old',
        before_position => 1000000, max_messages => 5000)";
    let mut rounds = Vec::new();
    for _ in 0..4 {
        session.run(fill).await.unwrap();
        let mut sizes = [0; 2];
        for (size, function) in sizes.iter_mut().zip(SIZES) {
            let sql = format!("SELECT {function}('message_store.messages')");
            *size = session.bigint(&sql).await;
        }
        rounds.push(sizes);
        while session.bigint(delete).await == 5000 {}
        session.run("VACUUM message_store.messages").await.unwrap();
    }
    println!("table and indexes, each time: {rounds:?}");
    let [[first_table, _], [_, second_indexes], ..] = rounds[..] else {
        unreachable!()
    };
    // Random ids split pages a little differently each time.
    let is_hardly_more = |bytes: i64, before: i64| bytes <= before + before / 10;
    for [table, indexes] in rounds {
        assert!(is_hardly_more(table, first_table));
        // An index reuses a page that VACUUM has emptied from the next VACUUM on, so it grows once.
        assert!(is_hardly_more(indexes, second_indexes));
    }
}
