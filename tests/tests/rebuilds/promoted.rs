//! What takes the place of the live one, and when it may.

use super::{OWN, OWN_OPTIONS, OWN_READ_MODEL, view, with_aggregators};
use crate::subscriber::{create_with, texts, tick_to_the_end, with_recorders, write};
use promises::Cluster;
use std::sync::Arc;

#[tokio::test]
async fn a_group_is_promoted_exactly() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    let options = "{\"read_model\": [\"own.lines\"], \"group_size\": 3}";
    create_with(&session, "s", "viewings", OWN, options).await;
    view(&session, 60).await;
    for (member, messages) in [(0, 20), (1, 35), (2, 60)] {
        let tick = format!("SELECT message_store.tick('s', {messages}, {member})");
        session.run(&tick).await.unwrap();
    }
    session
        .run("SELECT message_store.rebuild('s', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s#rebuild").await;
    let early = session.run("SELECT message_store.promote('s')").await;
    tick_to_the_end(&session, "s").await;
    if let Err(error) = early {
        assert_eq!(error.sqlstate, "55000", "{error:?}");
        session
            .run("SELECT message_store.promote('s')")
            .await
            .unwrap();
    }
    view(&session, 10).await;
    tick_to_the_end(&session, "s").await;
    let twice = "SELECT position FROM own.lines GROUP BY 1 HAVING count(*) > 1";
    assert_eq!(texts(&session, twice).await, [""; 0]);
    let lines = "SELECT count(*) FROM own.lines";
    assert_eq!(session.bigint(lines).await, 70);
}

/// A transaction that wrote a message and handled it lets go of the subscription a moment before the
/// announcement of its message. Here another writer's announcement stands for the one that is left.
#[tokio::test]
async fn what_a_commit_has_not_given_back_yet_hides_no_message_that_is_handled() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    create_with(&session, "s", "a", OWN, OWN_OPTIONS).await;
    write(&session, "a-1", "Good").await;
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.rebuild('s', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s#rebuild").await;
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-2", "Good").await;
    write(&session, "a-3", "Good").await;
    session
        .run(
            "INSERT INTO own.lines VALUES (3, 'Good');
             UPDATE message_store.subscription_progress SET position = 3
             WHERE subscriber_id = 's'",
        )
        .await
        .unwrap();
    let verify = "SELECT * FROM message_store.verify('s')";
    assert_eq!(texts(&session, verify).await, [""; 0]);
    session
        .run("SELECT message_store.promote('s')")
        .await
        .unwrap();
    let lines = "SELECT position FROM own.lines ORDER BY 1";
    assert_eq!(texts(&session, lines).await, ["1", "3"]);
}

#[tokio::test]
async fn rows_are_replaced_by_none_only_when_that_is_said() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    // The first row is made by hand, and no init makes it again.
    session
        .run(
            "CREATE TABLE public.total (viewings bigint NOT NULL);
             INSERT INTO public.total VALUES (0);
             CREATE FUNCTION public.add(bigint) RETURNS void LANGUAGE sql AS
               'UPDATE total SET viewings = viewings + 1'",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"total\"]}";
    create_with(&session, "v", "viewings", "{\"$any\": \"add\"}", options).await;
    session
        .run("SELECT message_store.start('v')")
        .await
        .unwrap();
    view(&session, 3).await;
    tick_to_the_end(&session, "v").await;
    session
        .run("SELECT message_store.rebuild('v', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "v#rebuild").await;
    let error = session.error("SELECT message_store.promote('v')").await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(error.hint.contains("may_empty"), "{error:?}");
    let total = "SELECT viewings FROM public.total";
    assert_eq!(session.bigint(total).await, 3);
    session
        .run("SELECT message_store.promote('v', may_empty => true)")
        .await
        .unwrap();
    let rows = "SELECT count(*) FROM public.total";
    assert_eq!(session.bigint(rows).await, 0);
}

#[tokio::test]
async fn a_promote_that_waited_for_the_copy_to_be_given_up_says_that_there_is_none() {
    let (database, session) = with_aggregators().await;
    let promoting = Arc::new(database.connect().await);
    for sql in [
        "SELECT message_store.rebuild('home', true)",
        "BEGIN",
        "SELECT message_store.cancel_rebuild('home')",
    ] {
        session.run(sql).await.unwrap();
    }
    let promote = tokio::spawn({
        let promoting = Arc::clone(&promoting);
        async move {
            promoting
                .error("SELECT message_store.promote('home')")
                .await
        }
    });
    database
        .connect()
        .await
        .wait_until_blocked(promoting.pid)
        .await;
    session.run("COMMIT").await.unwrap();
    let error = promote.await.unwrap();
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(
        error.message.contains("has no copy to promote"),
        "{error:?}"
    );
}
