//! After messages were deleted, nobody makes a read model anew from the rest without a baseline.

use promises::Cluster;

use crate::subscriber::{create, create_with, texts, tick_to_the_end, with_recorders, write};

/// A read model that counts.
const COUNTER: &str = "
    CREATE TABLE public.counted (name text PRIMARY KEY, n bigint NOT NULL);
    CREATE FUNCTION public.begin_counting() RETURNS void LANGUAGE sql AS
      $$ INSERT INTO counted VALUES ('messages', 0) ON CONFLICT DO NOTHING $$;
    CREATE FUNCTION public.count_message(message_store.message) RETURNS void LANGUAGE sql AS
      $$ UPDATE counted SET n = n + 1 WHERE name = 'messages' $$";
const OPTIONS: &str = "{\"init\": \"public.begin_counting\", \"read_model\": [\"public.counted\"]}";
const COUNT: &str = "SELECT n FROM public.counted";

#[tokio::test]
async fn a_rebuild_after_a_deletion_is_refused_and_begins_from_a_baseline() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(COUNTER).await.unwrap();
    let handlers = "{\"$any\": \"public.count_message\"}";
    create_with(&session, "s", "a", handlers, OPTIONS).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
        write(&session, "a-2", "A").await;
    }
    tick_to_the_end(&session, "s").await;
    assert_eq!(session.bigint(COUNT).await, 6);
    // As the page has it: the read model as it is now, by position, before what made it is deleted.
    session
        .run(
            "CREATE TABLE public.counted_at_6 AS TABLE public.counted;
             SELECT message_store.delete_stream('a-1', 'old')",
        )
        .await
        .unwrap();
    for call in [
        "rebuild('s')",
        "rebuild('s', side_by_side => true)",
        "verify('s')",
        "reset('s', 4, 'again')",
    ] {
        let error = session.error(&format!("SELECT message_store.{call}")).await;
        assert_eq!(error.sqlstate, "55000", "{call}: {error:?}");
        assert!(
            error.message.contains("would miss messages"),
            "{call}: {error:?}"
        );
        assert!(error.message.contains("up to 5"), "{call}: {error:?}");
        assert!(error.hint.contains("baseline"), "{call}: {error:?}");
    }
    assert_eq!(session.bigint(COUNT).await, 6, "nothing was emptied");
    // What lies behind it is there.
    session
        .run("SELECT message_store.reset('s', 5, 'only the last')")
        .await
        .unwrap();
    session
        .run("SELECT message_store.skip('s', 6, 'it is counted')")
        .await
        .unwrap();

    session
        .run(
            "CREATE OR REPLACE FUNCTION public.begin_counting() RETURNS void LANGUAGE sql AS
             $$ INSERT INTO counted SELECT * FROM public.counted_at_6 ON CONFLICT DO NOTHING $$",
        )
        .await
        .unwrap();
    let baseline = OPTIONS.replacen('{', "{\"baseline\": 6, ", 1);
    session
        .run(&format!(
            "SELECT message_store.alter_subscription('s', NULL, '{baseline}')"
        ))
        .await
        .unwrap();
    write(&session, "a-2", "A").await;
    tick_to_the_end(&session, "s").await;
    assert_eq!(
        texts(&session, "SELECT * FROM message_store.verify('s')").await,
        [""; 0]
    );
    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    assert_eq!(session.bigint(COUNT).await, 6);
    tick_to_the_end(&session, "s").await;
    assert_eq!(session.bigint(COUNT).await, 7);
    session
        .run("SELECT message_store.rebuild('s', side_by_side => true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s#rebuild").await;
    session
        .run("SELECT message_store.promote('s')")
        .await
        .unwrap();
    assert_eq!(session.bigint(COUNT).await, 7);
}

#[tokio::test]
async fn who_comes_after_a_deletion_has_missed_nothing() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(COUNTER).await.unwrap();
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    session
        .run("SELECT message_store.delete_stream('a-1', 'old')")
        .await
        .unwrap();
    let handlers = "{\"$any\": \"public.count_message\"}";
    create_with(&session, "s", "a", handlers, OPTIONS).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    assert_eq!(session.bigint(COUNT).await, 1);
    // Not so when another deletion, which says the same, comes after it.
    session
        .run("SELECT message_store.delete_stream('a-2', 'old')")
        .await
        .unwrap();
    assert_eq!(
        session
            .error("SELECT message_store.rebuild('s')")
            .await
            .sqlstate,
        "55000"
    );
}

#[tokio::test]
async fn only_what_a_subscription_reads_matters_to_it() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    let any = "{\"$any\": \"public.record\"}";
    for source in ["a", "a-1", "a-2", "b", "$all"] {
        create(&session, source, source, any).await;
    }
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    write(&session, "b-1", "A").await;
    for source in ["a", "a-1", "a-2", "b", "$all"] {
        tick_to_the_end(&session, source).await;
    }
    session
        .run("SELECT message_store.delete_category_before('a', 'old', before_position => 2)")
        .await
        .unwrap();
    for (source, misses) in [
        ("a", true),
        ("a-1", true),
        ("a-2", false),
        ("b", false),
        ("$all", true),
    ] {
        let reset = format!("SELECT message_store.reset('{source}', 0, 'again')");
        match session.run(&reset).await {
            Ok(_) => assert!(!misses, "{source}"),
            Err(error) => assert!(misses, "{source}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn what_a_running_rebuild_reads_is_not_deleted() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(COUNTER).await.unwrap();
    let handlers = "{\"$any\": \"public.count_message\"}";
    create_with(&session, "s", "a", handlers, OPTIONS).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.rebuild('s', side_by_side => true)")
        .await
        .unwrap();
    let delete = "SELECT message_store.delete_category_before('a', 'old', before_position => 9)";
    let error = session.error(delete).await;
    assert_eq!(error.sqlstate, "55000");
    assert_eq!(
        error.detail,
        "s#rebuild has still to handle messages from 1 on."
    );
    session
        .run("SELECT message_store.cancel_rebuild('s')")
        .await
        .unwrap();
    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    assert_eq!(
        session.error(delete).await.detail,
        "s has still to handle messages from 1 on."
    );
    tick_to_the_end(&session, "s").await;
    assert_eq!(session.bigint(delete).await, 1);
}

#[tokio::test]
async fn a_position_of_another_program_may_not_lie_before_what_was_deleted() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", "{\"$any\": \"public.record\"}").await;
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'p-1', 'Read',
               '{\"position\": 0}');
             SELECT message_store.delete_stream('a-1', 'old')",
        )
        .await
        .unwrap();
    let error = session
        .error("SELECT message_store.continue_from('s', 'p-1')")
        .await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
}

#[tokio::test]
async fn a_transaction_that_keeps_its_first_snapshot_hears_of_what_was_deleted_since() {
    for call in [
        "rebuild('s')",
        "rebuild('s', side_by_side => true)",
        "reset('s', 0, 'again')",
        "continue_from('s', 'p-1')",
    ] {
        let (database, session) = with_recorders(Cluster::shared()).await;
        let options = "{\"read_model\": [\"public.seen\"]}";
        create_with(&session, "s", "a", "{\"$any\": \"public.record\"}", options).await;
        session
            .run(
                "SELECT message_store.write_message(gen_random_uuid()::varchar, 'p-1', 'Read',
                   '{\"position\": 0}')",
            )
            .await
            .unwrap();
        write(&session, "a-1", "A").await;
        tick_to_the_end(&session, "s").await;
        session
            .run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM message_store.messages")
            .await
            .unwrap();
        database
            .connect()
            .await
            .run("SELECT message_store.delete_stream('a-1', 'old')")
            .await
            .unwrap();
        let error = session.error(&format!("SELECT message_store.{call}")).await;
        assert_eq!(error.sqlstate, "55000", "{call}: {error:?}");
        assert!(
            error.message.contains("would miss messages"),
            "{call}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_begins_again_is_told_apart_from_one_that_lost_nothing() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    for source in ["a-1", "a-2"] {
        create(&session, source, source, "{\"$any\": \"public.record\"}").await;
    }
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    for source in ["a-1", "a-2"] {
        tick_to_the_end(&session, source).await;
    }
    session
        .run(
            "SELECT message_store.delete_category_before('a', 'old', before_position => 3);
             SELECT message_store.delete_stream('a-1', 'anew', restart => true)",
        )
        .await
        .unwrap();
    assert_eq!(write(&session, "a-1", "A").await, 4, "its global position");
    assert_eq!(
        session
            .bigint("SELECT message_store.stream_version('a-1')")
            .await,
        0
    );
    let error = session
        .error("SELECT message_store.reset('a-1', 0, 'again')")
        .await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    session
        .run("SELECT message_store.reset('a-2', 0, 'again')")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_copy_that_would_lack_what_is_deleted_is_given_up() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(COUNTER).await.unwrap();
    let handlers = "{\"$any\": \"public.count_message\"}";
    create_with(&session, "s", "a", handlers, OPTIONS).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    tick_to_the_end(&session, "s").await;
    session
        .run(
            "SELECT message_store.rebuild('s', side_by_side => true);
             SELECT message_store.delete_stream('a-1', 'old', may_skip => true)",
        )
        .await
        .unwrap();
    let error = session.error("SELECT message_store.promote('s')").await;
    assert!(
        error.message.contains("has no copy to promote"),
        "{error:?}"
    );
    assert_eq!(session.bigint(COUNT).await, 2);
    let told = "SELECT reason FROM message_store.history WHERE action = 'rebuild' ORDER BY at DESC LIMIT 1";
    assert_eq!(
        texts(&session, told).await,
        ["given up: messages were deleted that the copy had still to take in"]
    );
}

#[tokio::test]
async fn what_comes_first_is_told_by_who_waits_for_whom_and_not_by_the_clock() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    let any = "{\"$any\": \"public.record\"}";
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    // The transaction begins before the deletion, and the subscription is created after it.
    session
        .run("BEGIN; SELECT message_store.delete_stream('a-1', 'old')")
        .await
        .unwrap();
    create(&session, "later", "a", any).await;
    session.run("COMMIT").await.unwrap();
    session
        .run("SELECT message_store.reset('later', 0, 'again')")
        .await
        .unwrap();
    // The clock went back a day after it was created.
    session
        .run("UPDATE message_store.subscriptions SET created_at = created_at + interval '1 day'")
        .await
        .unwrap();
    tick_to_the_end(&session, "later").await;
    session
        .run("SELECT message_store.delete_stream('a-2', 'old')")
        .await
        .unwrap();
    let error = session
        .error("SELECT message_store.reset('later', 0, 'again')")
        .await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    create(&session, "last", "a", any).await;
    session
        .run("SELECT message_store.reset('last', 0, 'again')")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_new_subscription_begins_behind_its_baseline() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(COUNTER).await.unwrap();
    session
        .run(
            "CREATE OR REPLACE FUNCTION public.begin_counting() RETURNS void LANGUAGE sql AS
             $$ INSERT INTO counted VALUES ('messages', 2) ON CONFLICT DO NOTHING $$",
        )
        .await
        .unwrap();
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let handlers = "{\"$any\": \"public.count_message\"}";
    let options = OPTIONS.replacen('{', "{\"baseline\": 2, ", 1);
    create_with(&session, "s", "a", handlers, &options).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    assert_eq!(session.bigint(COUNT).await, 3);
    assert_eq!(
        texts(&session, "SELECT * FROM message_store.verify('s')").await,
        [""; 0]
    );
}

#[tokio::test]
async fn a_baseline_ahead_of_the_log_is_refused() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(COUNTER).await.unwrap();
    let handlers = "{\"$any\": \"public.count_message\"}";
    let options = OPTIONS.replacen('{', "{\"baseline\": 9, ", 1);
    create_with(&session, "s", "a", handlers, &options).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    for call in ["rebuild('s')", "verify('s')"] {
        let error = session.error(&format!("SELECT message_store.{call}")).await;
        assert_eq!(error.sqlstate, "55000", "{call}: {error:?}");
        assert!(
            error.message.contains("baseline ahead of the log"),
            "{call}: {error:?}"
        );
    }
    assert_eq!(session.bigint(COUNT).await, 1, "nothing was emptied");
}

#[tokio::test]
async fn a_clock_that_goes_back_hides_no_deletion() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", "{\"$any\": \"public.record\"}").await;
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    session
        .run(
            "UPDATE message_store.subscriptions SET created_at = now() + interval '1 hour';
             SELECT message_store.delete_stream('a-1', 'old')",
        )
        .await
        .unwrap();
    let error = session
        .error("SELECT message_store.reset('s', 0, 'again')")
        .await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
}
