//! A category is kept as long as was declared, by whoever applies it.

use promises::{Cluster, Session};

use crate::subscriber::{create, texts, tick_to_the_end, with_recorders, write};

const APPLY: &str = "SELECT * FROM message_store.apply_retention()";

/// Lets all messages of a category be so old.
async fn age(session: &Session, category: &str, age: &str) {
    session
        .run(&format!(
            "UPDATE message_store.messages SET time = (now() AT TIME ZONE 'utc') - interval '{age}' \
             WHERE message_store.category(stream_name) = '{category}'"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_category_is_kept_as_long_as_declared() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    for category in ["a", "b", "c"] {
        write(&session, &format!("{category}-1"), "A").await;
        age(&session, category, "91 days").await;
        write(&session, &format!("{category}-1"), "A").await;
    }
    session
        .run(
            "SELECT message_store.retain('a', '90 days', 'the law');
             SELECT message_store.retain('b', '100 days', 'habit')",
        )
        .await
        .unwrap();
    assert_eq!(texts(&session, APPLY).await, ["a 1 -", "b 0 -"]);
    assert_eq!(texts(&session, APPLY).await, ["a 0 -", "b 0 -"]);
    session
        .run("SELECT message_store.retain('b', '90 days', 'habit')")
        .await
        .unwrap();
    assert_eq!(texts(&session, APPLY).await, ["a 0 -", "b 1 -"]);
    let left = "SELECT stream_name, position FROM message_store.messages ORDER BY global_position";
    assert_eq!(
        texts(&session, left).await,
        ["a-1 1", "b-1 1", "c-1 0", "c-1 1"]
    );
    let kept = "SELECT category, messages, reason FROM message_store.deletions ORDER BY deletion";
    assert_eq!(texts(&session, kept).await, ["a 1 the law", "b 1 habit"]);
    session
        .run("SELECT message_store.retain('a', NULL, 'no more')")
        .await
        .unwrap();
    assert_eq!(texts(&session, APPLY).await, ["b 0 -"]);
}

#[tokio::test]
async fn what_somebody_needs_stays_and_says_who() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", "{\"$any\": \"public.record\"}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    session
        .run("SELECT message_store.tick('s', 1)")
        .await
        .unwrap();
    age(&session, "a", "2 days").await;
    session
        .run("SELECT message_store.retain('a', '1 day', 'the law')")
        .await
        .unwrap();
    assert_eq!(texts(&session, APPLY).await, ["a 1 s"]);
    assert_eq!(texts(&session, APPLY).await, ["a 0 s"]);
    tick_to_the_end(&session, "s").await;
    assert_eq!(texts(&session, APPLY).await, ["a 1 -"]);
}

#[tokio::test]
async fn of_two_that_apply_it_one_does() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    write(&session, "a-1", "A").await;
    age(&session, "a", "2 days").await;
    session
        .run("SELECT message_store.retain('a', '1 day', 'the law')")
        .await
        .unwrap();
    let other = database.connect().await;
    other.run("BEGIN").await.unwrap();
    assert_eq!(texts(&other, APPLY).await, ["a 1 -"]);
    assert_eq!(texts(&session, APPLY).await, [""; 0], "it waits for nobody");
    other.run("COMMIT").await.unwrap();
    assert_eq!(texts(&session, APPLY).await, ["a 0 -"]);
}

#[tokio::test]
async fn an_orchestrator_s_role_may_apply_what_is_declared_and_declare_nothing() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "DROP ROLE IF EXISTS applier; CREATE ROLE applier LOGIN;
             GRANT message_store TO applier;
             SELECT message_store.retain('a', '1 day', 'the law')",
        )
        .await
        .unwrap();
    write(&session, "a-1", "A").await;
    age(&session, "a", "2 days").await;
    let applier = database.connect_as("applier").await;
    assert_eq!(texts(&applier, APPLY).await, ["a 1 -"]);
    let error = applier
        .error("SELECT message_store.retain('a', '1 second', 'all of it')")
        .await;
    assert_eq!(error.sqlstate, "42501");
}

#[tokio::test]
async fn who_reads_one_stream_of_a_category_is_in_the_way_of_that_stream_only() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a-1", "{\"$any\": \"public.record\"}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    tick_to_the_end(&session, "s").await;
    write(&session, "a-2", "A").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    age(&session, "a", "2 days").await;
    session
        .run("SELECT message_store.retain('a', '1 day', 'the law')")
        .await
        .unwrap();
    let error = session
        .error("SELECT message_store.delete_category_before('a', 'old', before_position => 9)")
        .await;
    assert_eq!(error.detail, "s has still to handle messages from 4 on.");
    assert_eq!(texts(&session, APPLY).await, ["a 3 s"]);
    tick_to_the_end(&session, "s").await;
    assert_eq!(texts(&session, APPLY).await, ["a 2 -"]);
}

#[tokio::test]
async fn what_is_no_age_is_refused_before_it_keeps_others_from_being_applied() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    for keep in [
        "0",
        "-1 day",
        "10000 years",
        "178000000 years",
        // More than nothing where every month has 30 days, and in the future.
        "-12 months 361 days",
    ] {
        let error = session
            .error(&format!(
                "SELECT message_store.retain('a', '{keep}', 'the law')"
            ))
            .await;
        assert_eq!(error.sqlstate, "22023", "{keep}: {error:?}");
    }
    session
        .run("SELECT message_store.retain('a', '5000 years', 'the law')")
        .await
        .unwrap();
    assert_eq!(texts(&session, APPLY).await, ["a 0 -"]);
}

#[tokio::test]
async fn one_category_that_cannot_go_holds_up_no_other() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    write(&session, "a-1", "A").await;
    write(&session, "b-1", "A").await;
    for category in ["a", "b"] {
        age(&session, category, "2 days").await;
        let retain = format!("SELECT message_store.retain('{category}', '1 day', 'the law')");
        session.run(&retain).await.unwrap();
    }
    session
        .run(
            "CREATE TABLE public.receipts (of bigint REFERENCES message_store.messages);
             INSERT INTO public.receipts VALUES (1)",
        )
        .await
        .unwrap();
    let applied = texts(&session, APPLY).await;
    assert!(
        applied[0].starts_with("a 0 SQLSTATE 23503: "),
        "{applied:?}"
    );
    assert_eq!(applied[1], "b 1 -");
}
