//! Promise: a subscription goes back or on to where it is told, and it is kept who said so and
//! why; it goes on where another program has stopped.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use promises::Cluster;
use subscriber::{
    create, create_with, seen, texts, tick, tick_to_the_end, tick_was, with_recorders, write,
    write_data,
};

const ANY: &str = "{\"$any\": \"public.record\"}";
const POSITION: &str = "SELECT position FROM message_store.subscription_status";

#[tokio::test]
async fn reset_goes_back_and_tells_handlers_that_it_is_a_replay() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    for _ in 0..4 {
        write(&session, "a-1", "A").await;
    }
    tick(&session, "s", 3).await;
    session
        .run("SELECT message_store.reset('s', 1, 'a wrong sum')")
        .await
        .unwrap();
    assert_eq!(session.bigint(POSITION).await, 1);
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [1, 2, 3, 2, 3, 4]);
    let replays = "SELECT (context).is_replay FROM public.seen ORDER BY entry";
    assert_eq!(
        texts(&session, replays).await,
        ["f", "f", "f", "t", "t", "f"],
        "up to where it was"
    );
}

#[tokio::test]
async fn skip_goes_on_and_what_is_skipped_is_never_handled() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    for _ in 0..4 {
        write(&session, "a-1", "A").await;
    }
    tick(&session, "s", 1).await;
    let error = session
        .error("SELECT message_store.skip('s', 0, 'back?')")
        .await;
    assert_eq!(error.sqlstate, "22023", "{error:?}");
    assert!(error.hint.contains("reset"), "{error:?}");
    let error = session
        .error("SELECT message_store.reset('s', 2, 'on?')")
        .await;
    assert_eq!(error.sqlstate, "22023", "{error:?}");
    assert!(error.hint.contains("skip"), "{error:?}");
    let error = session
        .error("SELECT message_store.skip('s', 5, 'beyond the end')")
        .await;
    assert_eq!(error.sqlstate, "22023", "{error:?}");
    session
        .run("SELECT message_store.skip('s', 3, 'two bad messages')")
        .await
        .unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 1, 1, 4)
    );
    assert_eq!(seen(&session, "s").await, [1, 4]);
}

#[tokio::test]
async fn skipping_the_message_that_fails_forgets_its_attempts() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.not_1(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               IF viewed = 1 THEN RAISE EXCEPTION 'not 1'; END IF;
               PERFORM public.record_position(viewed);
             END $$",
        )
        .await
        .unwrap();
    create_with(
        &session,
        "s",
        "a",
        "{\"A\": \"public.not_1\"}",
        "{\"retries\": 0}",
    )
    .await;
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "A").await;
    assert_eq!(tick(&session, "s", 10).await.outcome, "stopped");
    session
        .run("SELECT message_store.skip('s', 1, 'it is known'); SELECT message_store.start('s')")
        .await
        .unwrap();
    assert_eq!(
        tick(&session, "s", 10).await,
        tick_was("progressed", 1, 1, 2)
    );
    let attempts = "SELECT attempts, retry_at FROM message_store.subscription_status";
    assert_eq!(texts(&session, attempts).await, ["0 -"]);
}

#[tokio::test]
async fn history_keeps_who_did_what_and_why() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session
        .run("CREATE ROLE historian LOGIN; GRANT message_store TO historian; GRANT INSERT ON public.seen TO historian")
        .await
        .unwrap();
    let owner = database.connect_as("historian").await;
    create(&owner, "s", "a", ANY).await;
    write(&session, "a-1", "A").await;
    owner
        .run(
            "SELECT message_store.start('s');
             SELECT message_store.pause('s', 'maintenance');
             SELECT message_store.start('s');
             SELECT message_store.skip('s', 1, 'why not')",
        )
        .await
        .unwrap();
    session
        .run(
            "SELECT message_store.reset('s', 0, 'because');
             SELECT message_store.stop('s', 'enough');
             SELECT message_store.alter_subscription('s', options => '{\"retries\": 1}');
             SELECT message_store.rebuild('s');
             SELECT message_store.resize_group('s', 2);
             SELECT message_store.drop_subscription('s')",
        )
        .await
        .unwrap();
    let history = "SELECT role, action, position, reason \
                   FROM message_store.subscription_history ORDER BY at";
    let expected = [
        "historian create - -",
        "historian start - -",
        "historian pause - maintenance",
        "historian start - -",
        "historian skip 1 why not",
        "postgres reset 0 because",
        "postgres stop - enough",
        "postgres alter - retries",
        "postgres rebuild - in place",
        "postgres resize 0 1 to 2 members",
        "postgres drop - -",
    ];
    assert_eq!(texts(&session, history).await, expected);
    assert_eq!(
        texts(&owner, history).await,
        expected,
        "it outlives the subscription, and is its owner's"
    );
}

#[tokio::test]
async fn paused_and_stopped_subscriptions_are_not_ticked() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    write(&session, "a-1", "A").await;
    for (verb, state) in [("pause", "paused"), ("stop", "stopped")] {
        session
            .run(&format!("SELECT message_store.{verb}('s', 'for lunch')"))
            .await
            .unwrap();
        let rested = tick(&session, "s", 10).await;
        assert_eq!((rested.outcome.as_str(), rested.scanned), (state, 0));
        let status = "SELECT state, state_reason FROM message_store.subscription_status";
        assert_eq!(
            texts(&session, status).await,
            [format!("{state} for lunch")]
        );
        let booted = "SELECT message_store.start('s', true)";
        assert_eq!(session.value(booted).await.as_deref(), Some(state));
        assert_eq!(tick(&session, "s", 10).await.outcome, state);
        let started = "SELECT message_store.start('s')";
        assert_eq!(session.value(started).await.as_deref(), Some("started"));
        assert_eq!(
            session
                .value("SELECT message_store.start('s', true)")
                .await
                .as_deref(),
            Some("started")
        );
    }
    assert_eq!(
        tick(&session, "s", 10).await,
        tick_was("progressed", 1, 1, 1)
    );
}

#[tokio::test]
async fn goes_on_where_the_books_code_has_stopped() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    for _ in 0..6 {
        write(&session, "a-1", "A").await;
    }
    for position in [2, 4] {
        let data = format!("{{\"position\": {position}}}");
        write_data(&session, "subscriberPosition-components:a", "Read", &data).await;
    }
    create(&session, "s", "a", ANY).await;
    let taken = "SELECT message_store.continue_from('s', 'subscriberPosition-components:a')";
    assert_eq!(session.bigint(taken).await, 4);
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [5, 6]);
    let history = "SELECT action, position, reason FROM message_store.subscription_history \
                   WHERE action = 'continue'";
    assert_eq!(
        texts(&session, history).await,
        ["continue 4 subscriberPosition-components:a"]
    );
    let reset = "SELECT message_store.reset('s', 0, 'from the start'); \
                 TRUNCATE public.seen";
    session.run(reset).await.unwrap();
    tick_to_the_end(&session, "s").await;
    let replays = "SELECT bool_and((context).is_replay) FROM public.seen WHERE at_position <= 4";
    assert_eq!(texts(&session, replays).await, ["t"], "others handled them");
}

#[tokio::test]
async fn goes_on_where_eventide_has_stopped() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    for _ in 0..3 {
        write(&session, "account-1", "A").await;
    }
    for position in [1, 2] {
        let data = format!("{{\"position\": {position}}}");
        write_data(&session, "account:position-someConsumer", "Recorded", &data).await;
    }
    create(&session, "s", "account", ANY).await;
    let from = "SELECT message_store.continue_from('s', 'account:position-someConsumer')";
    assert_eq!(session.bigint(from).await, 2);
    tick_to_the_end(&session, "s").await;
    // The position's own stream is another category.
    assert_eq!(seen(&session, "s").await, [3]);

    let wrong = "SELECT message_store.continue_from('s', 'account:position-nobody')";
    assert_eq!(session.error(wrong).await.sqlstate, "22023");
    write_data(
        &session,
        "subscriberPosition-far",
        "Read",
        "{\"position\": 99}",
    )
    .await;
    let beyond = "SELECT message_store.continue_from('s', 'subscriberPosition-far')";
    assert_eq!(session.error(beyond).await.sqlstate, "22023");
    write_data(
        &session,
        "subscriberPosition-odd",
        "Read",
        "{\"position\": \"7\"}",
    )
    .await;
    let odd = "SELECT message_store.continue_from('s', 'subscriberPosition-odd')";
    assert_eq!(session.error(odd).await.sqlstate, "22023");
    assert_eq!(session.bigint(POSITION).await, 3);
}

#[tokio::test]
async fn a_handler_does_not_move_the_subscription_that_calls_it() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    let moves = [
        "reset('s', 0, 'again')",
        "skip('s', 2, 'on')",
        "resize_group('s', 2)",
        "rebuild('s')",
    ];
    for call in moves {
        session
            .run(&format!(
                "CREATE OR REPLACE FUNCTION public.moving(bigint) RETURNS void LANGUAGE plpgsql AS $$
                 BEGIN PERFORM message_store.{call}; END $$;
                 SELECT message_store.drop_subscription('s')"
            ))
            .await
            .unwrap();
        let handlers = "{\"$any\": \"public.moving\"}";
        create_with(&session, "s", "a", handlers, "{\"retries\": 0}").await;
        let refused = tick(&session, "s", 10).await;
        assert_eq!(refused.failed(), ("stopped", "55000"), "{call}");
        assert_eq!(refused.position, 0, "{call}");
    }
}
