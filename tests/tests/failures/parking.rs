//! Putting messages aside, and dealing with those.

use promises::{Cluster, Session};

use crate::subscriber::{
    bigints, create_with, seen, texts, tick, tick_to_the_end, tick_was, write,
};
use crate::{PARKED, failing_calls, repair, with_choosy};

const CHOOSY: &str = "{\"$any\": \"public.choosy\"}";
const PARK_STREAM: &str = "{\"on_failure\": \"park\", \"retries\": 0}";
const PARK_MESSAGE: &str = "{\"on_failure\": \"park\", \"retries\": 0, \"park\": \"message\"}";

/// Streams `a-1` and `a-2` with a bad message each at 2 and 5.
async fn two_bad_messages(session: &Session, options: &str) {
    create_with(session, "s", "a", CHOOSY, options).await;
    for (stream, message_type) in [
        ("a-1", "Good"),
        ("a-1", "Bad"),
        ("a-2", "Good"),
        ("a-1", "Good"),
        ("a-2", "Bad"),
        ("a-3", "Good"),
        ("a-2", "Good"),
    ] {
        write(session, stream, message_type).await;
    }
}

async fn retry(session: &Session, arguments: &str) -> i64 {
    let retry = format!("SELECT message_store.retry_parked('s'{arguments})");
    session.bigint(&retry).await
}

#[tokio::test]
async fn a_parked_message_holds_its_stream_and_no_other() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    two_bad_messages(&session, PARK_STREAM).await;
    let parked = tick(&session, "s", 1000).await;
    let counts = (
        parked.scanned,
        parked.handled,
        parked.parked,
        parked.position,
    );
    assert_eq!(
        (parked.outcome.as_str(), counts),
        ("progressed", (7, 3, 4, 7))
    );
    assert_eq!(seen(&session, "s").await, [1, 3, 6]);
    let listed = "SELECT global_position, stream_name, type, status, attempts, sqlstate, \
                  error LIKE 'bad message%', parked_at <= clock_timestamp(), \
                  last_failed_at <= clock_timestamp(), reason \
                  FROM message_store.parked_messages ORDER BY 1";
    assert_eq!(
        texts(&session, listed).await,
        [
            "2 a-1 Bad failed 1 ZZ001 t t t -",
            "4 a-1 Good waiting 0 - - t - -",
            "5 a-2 Bad failed 1 ZZ001 t t t -",
            "7 a-2 Good waiting 0 - - t - -",
        ]
    );
    // Those that come later wait too, and others do not.
    write(&session, "a-1", "Good").await;
    write(&session, "a-3", "Good").await;
    let later = tick(&session, "s", 1000).await;
    assert_eq!((later.handled, later.parked, later.position), (1, 1, 9));
    let status = "SELECT parked, lag, last_sqlstate FROM message_store.subscription_status";
    assert_eq!(texts(&session, status).await, ["5 0 ZZ001"]);
    assert_eq!(tick(&session, "s", 1000).await, tick_was("idle", 0, 0, 9));

    repair(&session).await;
    assert_eq!(retry(&session, "").await, 2);
    tick_to_the_end(&session, "s").await;
    assert_eq!(texts(&session, PARKED).await, [""; 0]);
    for (stream, positions) in [
        ("a-1", vec![1, 2, 4, 8]),
        ("a-2", vec![3, 5, 7]),
        ("a-3", vec![6, 9]),
    ] {
        let of_stream = format!(
            "SELECT at_position FROM public.seen \
             WHERE (message).stream_name = '{stream}' ORDER BY entry"
        );
        assert_eq!(bigints(&session, &of_stream).await, positions, "{stream}");
    }
}

#[tokio::test]
async fn a_message_may_be_parked_alone() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    two_bad_messages(&session, PARK_MESSAGE).await;
    let parked = tick(&session, "s", 1000).await;
    assert_eq!((parked.handled, parked.parked), (5, 2));
    assert_eq!(seen(&session, "s").await, [1, 3, 4, 6, 7]);
    assert_eq!(
        texts(&session, PARKED).await,
        ["2 failed 1 ZZ001", "5 failed 1 ZZ001"]
    );
    repair(&session).await;
    assert_eq!(retry(&session, ", 5").await, 1);
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [1, 3, 4, 6, 7, 5]);
    let context = "SELECT (context).attempt, (context).is_retry FROM public.seen \
                   WHERE at_position = 5";
    assert_eq!(texts(&session, context).await, ["2 t"]);
    assert_eq!(texts(&session, PARKED).await, ["2 failed 1 ZZ001"]);
}

#[tokio::test]
async fn parked_messages_are_retried_by_position_stream_or_sqlstate() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    two_bad_messages(&session, PARK_STREAM).await;
    tick(&session, "s", 1000).await;
    assert_eq!(retry(&session, ", 77").await, 0);
    assert_eq!(retry(&session, ", 4").await, 0, "one that waits only waits");
    assert_eq!(retry(&session, ", sqlstate => 'ZZ009'").await, 0);
    assert_eq!(retry(&session, ", 2, 'a-2'").await, 0);

    // One that fails again stays, with one attempt more, and what waits goes on waiting.
    assert_eq!(retry(&session, ", stream_name => 'a-1'").await, 1);
    tick(&session, "s", 1000).await;
    assert_eq!(
        texts(&session, PARKED).await,
        [
            "2 failed 2 ZZ001",
            "4 waiting 0 -",
            "5 failed 1 ZZ001",
            "7 waiting 0 -"
        ]
    );
    assert_eq!(failing_calls(&session).await, 3);
    repair(&session).await;
    assert_eq!(
        retry(&session, ", sqlstate => 'ZZ001', stream_name => 'a-2'").await,
        1
    );
    tick_to_the_end(&session, "s").await;
    assert_eq!(
        texts(&session, PARKED).await,
        ["2 failed 2 ZZ001", "4 waiting 0 -"]
    );
    assert_eq!(seen(&session, "s").await, [1, 3, 6, 5, 7]);
    let history = "SELECT action, position FROM message_store.subscription_history ORDER BY at";
    assert_eq!(
        texts(&session, history).await,
        ["create -", "retry -", "retry -"]
    );
}

#[tokio::test]
async fn a_discarded_message_is_never_handled_and_lets_its_stream_go_on() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    two_bad_messages(&session, PARK_STREAM).await;
    tick(&session, "s", 1000).await;
    repair(&session).await;
    let discard = "SELECT message_store.discard_parked('s', 'customer has left', \
                   stream_name => 'a-1')";
    assert_eq!(session.bigint(discard).await, 1);
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [1, 3, 6, 4]);
    let listed = "SELECT global_position, status, reason FROM message_store.parked_messages \
                  ORDER BY 1";
    assert_eq!(
        texts(&session, listed).await,
        ["2 discarded customer has left", "5 failed -", "7 waiting -"]
    );
    assert_eq!(retry(&session, ", 2").await, 0);
    let count = "SELECT parked FROM message_store.subscription_status";
    assert_eq!(session.bigint(count).await, 2);
    // Also not when everything comes again.
    session
        .run("SELECT message_store.rebuild('s'); TRUNCATE public.seen")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [1, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn messages_at_several_positions_are_retried_or_discarded_in_one_call() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    create_with(&session, "s", "a", CHOOSY, PARK_STREAM).await;
    for number in 1..=24 {
        write(&session, &format!("a-{number}"), "Bad").await;
    }
    tick(&session, "s", 1000).await;
    let status = "SELECT string_agg(global_position::text, ' ' ORDER BY 1) \
                  FROM message_store.parked_messages WHERE status = ";
    assert_eq!(
        retry(&session, ", global_positions => '{3,1,3,99}'").await,
        2
    );
    assert_eq!(retry(&session, ", 1, global_positions => '{2}'").await, 0);
    assert_eq!(retry(&session, ", global_positions => '{NULL}'").await, 0);
    assert_eq!(retry(&session, ", global_positions => '{2}'").await, 1);
    let retried = session.value(&format!("{status}'retry'")).await;
    assert_eq!(retried.as_deref(), Some("1 2 3"));
    let discard = "SELECT message_store.discard_parked('s', 'why', global_positions => \
                   array(SELECT generate_series(2, 23)::bigint))";
    assert_eq!(session.bigint(discard).await, 22);
    let discarded = session.bigint(
        "SELECT count(*) FROM message_store.parked_messages \
         WHERE status = 'discarded' AND reason = 'why'",
    );
    assert_eq!(discarded.await, 22);
    assert_eq!(
        retry(
            &session,
            ", global_positions => array(SELECT generate_series(1, 24)::bigint)"
        )
        .await,
        1
    );
    let history = "SELECT action, position, reason FROM message_store.subscription_history \
                   WHERE action IN ('retry', 'discard') ORDER BY at";
    assert_eq!(
        texts(&session, history).await,
        [
            "retry - 2 messages of those at 3, 1, 3, 99".to_owned(),
            "retry 2 1 message".to_owned(),
            "discard - why".to_owned(),
            format!(
                "retry - 1 message of those at {}, …",
                (1..=20)
                    .map(|n| n.to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        ]
    );
}

#[tokio::test]
async fn what_waits_is_handled_once_and_in_order_whatever_comes_meanwhile() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    create_with(&session, "s", "a", CHOOSY, PARK_STREAM).await;
    write(&session, "a-1", "Bad").await;
    write(&session, "a-1", "Bad").await;
    for _ in 0..3 {
        write(&session, "a-1", "Good").await;
        tick(&session, "s", 1000).await;
    }
    assert_eq!(
        failing_calls(&session).await,
        1,
        "the second one only waits"
    );
    assert_eq!(retry(&session, "").await, 1);
    // It fails again; so nothing behind it moves.
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [0; 0]);
    assert_eq!(failing_calls(&session).await, 2);
    session
        .run("SELECT message_store.discard_parked('s', 'test', 1)")
        .await
        .unwrap();
    // Now the second one is called, fails and is parked in its turn.
    write(&session, "a-1", "Good").await;
    tick_to_the_end(&session, "s").await;
    assert_eq!(failing_calls(&session).await, 3);
    assert_eq!(seen(&session, "s").await, [0; 0]);
    repair(&session).await;
    assert_eq!(retry(&session, "").await, 1);
    // Batches of one end in the middle.
    while tick(&session, "s", 1).await.outcome == "progressed" {
        write(&session, "a-2", "Good").await;
        if session.bigint("SELECT count(*) FROM public.seen").await > 20 {
            break;
        }
    }
    tick_to_the_end(&session, "s").await;
    let of_stream = "SELECT at_position FROM public.seen \
                     WHERE (message).stream_name = 'a-1' ORDER BY entry";
    assert_eq!(bigints(&session, of_stream).await, [2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_message_is_parked_after_its_retries() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    let options = "{\"on_failure\": \"park\", \"retries\": 2, \"retry_delay\": \"0\"}";
    create_with(&session, "s", "a", CHOOSY, options).await;
    write(&session, "a-1", "Bad").await;
    write(&session, "a-2", "Good").await;
    for _ in 0..2 {
        assert_eq!(
            tick(&session, "s", 1000).await.failed(),
            ("retrying", "ZZ001")
        );
        assert_eq!(seen(&session, "s").await, [0; 0], "order is kept meanwhile");
    }
    let parked = tick(&session, "s", 1000).await;
    assert_eq!((parked.outcome.as_str(), parked.parked), ("progressed", 1));
    assert_eq!(texts(&session, PARKED).await, ["1 failed 3 ZZ001"]);
    assert_eq!(seen(&session, "s").await, [2]);
    assert_eq!(failing_calls(&session).await, 3);
}

/// Makes `choosy` fail for the messages at these positions, and for no other.
async fn poison(session: &Session, positions: &str) {
    session
        .run(&format!(
            "CREATE OR REPLACE FUNCTION public.choosy(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               IF (message).global_position = ANY ('{{{positions}}}') THEN
                 RAISE EXCEPTION 'poisoned' USING ERRCODE = 'ZZ001';
               END IF;
               PERFORM public.record(message);
             END $$"
        ))
        .await
        .unwrap();
}

/// Retries `s` with message 1 of `a-1` parked and others waiting behind it: it succeeds, and its
/// first follower fails at its own turn. Ticks read up to `batch_size` messages.
async fn let_a_follower_fail(session: &Session, options: &str, batch_size: i64) {
    create_with(session, "s", "a", CHOOSY, PARK_STREAM).await;
    poison(session, "1").await;
    for stream in ["a-1", "a-1", "a-2", "a-1"] {
        write(session, stream, "Good").await;
    }
    tick_to_the_end(session, "s").await;
    let alter = format!("SELECT message_store.alter_subscription('s', NULL, '{options}')");
    session.run(&alter).await.unwrap();
    // It fails again; what waits behind it does not move, nor what comes meanwhile.
    retry(session, "").await;
    while tick(session, "s", batch_size).await.outcome == "progressed" {}
    write(session, "a-1", "Good").await;
    while tick(session, "s", batch_size).await.outcome == "progressed" {}
    assert_eq!(seen(session, "s").await, [3]);
    poison(session, "2").await;
    end_pauses(session).await;
    while tick(session, "s", batch_size).await.outcome == "progressed" {}
    assert_eq!(seen(session, "s").await, [3, 1]);
    write(session, "a-1", "Good").await;
    while tick(session, "s", batch_size).await.outcome == "progressed" {}
    assert_eq!(seen(session, "s").await, [3, 1]);
}

/// Brings the turn of what pauses after a failure, and of what has none left.
async fn end_pauses(session: &Session) {
    let now = "UPDATE message_store.parked SET retry_at = clock_timestamp()
               WHERE retry_at IS NOT NULL";
    session.run(now).await.unwrap();
    retry(session, "").await;
}

#[tokio::test]
async fn what_waits_stays_behind_a_follower_that_fails_at_its_own_turn() {
    for (retries, status) in [(0, "failed"), (3, "retry")] {
        for batch_size in [1, 1000] {
            let (_database, session) = with_choosy(Cluster::shared()).await;
            let options = format!("{{\"retries\": {retries}, \"retry_delay\": \"1 h\"}}");
            let_a_follower_fail(&session, &options, batch_size).await;
            let waits = if status == "failed" {
                "waiting"
            } else {
                "retry"
            };
            assert_eq!(
                texts(&session, PARKED).await,
                [
                    format!("2 {status} 1 ZZ001"),
                    format!("4 {waits} 0 -"),
                    format!("5 {waits} 0 -"),
                    format!("6 {waits} 0 -"),
                ]
            );
            poison(&session, "").await;
            end_pauses(&session).await;
            write(&session, "a-1", "Good").await;
            while tick(&session, "s", batch_size).await.outcome == "progressed" {}
            assert_eq!(seen(&session, "s").await, [3, 1, 2, 4, 5, 6, 7]);
        }
    }
}

#[tokio::test]
async fn what_comes_after_a_lone_parked_message_waits_until_that_succeeds() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    create_with(&session, "s", "a", CHOOSY, PARK_STREAM).await;
    poison(&session, "1").await;
    write(&session, "a-1", "Good").await;
    tick_to_the_end(&session, "s").await;
    // From here on it pauses after a failure.
    session
        .run(
            "SELECT message_store.alter_subscription('s', NULL,
               '{\"retries\": 3, \"retry_delay\": \"1 h\"}')",
        )
        .await
        .unwrap();
    retry(&session, "").await;
    tick_to_the_end(&session, "s").await;
    assert_eq!(texts(&session, PARKED).await, ["1 retry 2 ZZ001"]);
    write(&session, "a-1", "Good").await;
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [0; 0]);
    // When its turn has come, what was just written is handled right behind it.
    poison(&session, "").await;
    end_pauses(&session).await;
    write(&session, "a-1", "Good").await;
    let done = tick(&session, "s", 1000).await;
    assert_eq!((done.handled, done.parked), (3, 0));
    assert_eq!(seen(&session, "s").await, [1, 2, 3]);
}

/// With CONTEXT and names, as the first of both was raised.
#[tokio::test]
async fn an_error_that_a_handler_tells_of_before_it_lets_it_go_on_is_kept_whole() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE TABLE public.odd (number bigint CONSTRAINT is_odd CHECK (number % 2 = 1));
             GRANT ALL ON public.odd TO message_store;
             CREATE FUNCTION public.talkative(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               INSERT INTO public.odd VALUES (2);
             EXCEPTION WHEN check_violation THEN
               RAISE NOTICE 'not odd'; RAISE;
             END $$",
        )
        .await
        .unwrap();
    let handlers = r#"{"$any": "public.talkative"}"#;
    let options = r#"{"on_failure": "park", "retries": 0}"#;
    create_with(&session, "s", "a", handlers, options).await;
    write(&session, "a-1", "T").await;
    tick(&session, "s", 1000).await;
    let kept = session
        .value(
            "SELECT concat_ws(' ', sqlstate, error_details->>'constraint', error_details->>'table',
                  error_details->>'context' LIKE '%talkative%') FROM message_store.parked_messages",
        )
        .await;
    assert_eq!(kept.as_deref(), Some("23514 is_odd odd t"));
}
