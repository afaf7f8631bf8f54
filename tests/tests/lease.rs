//! Promise: applications get messages at least once and in order; who has a lease is alone with
//! its messages until it runs out, and then can do no harm.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use promises::{Cluster, Database, Session};
use subscriber::{bigints, create_with, texts, write};

async fn with_consumer(options: &str) -> (Database<'static>, Session) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    create_with(&session, "s", "a", "{}", options).await;
    (database, session)
}

/// Fetches; returns the positions, and the lease they came with.
async fn fetch(session: &Session, n: i64, lease: &str) -> (Vec<i64>, Option<i64>) {
    fetch_with(session, &format!("{n}, '{lease}'")).await
}

async fn fetch_with(session: &Session, arguments: &str) -> (Vec<i64>, Option<i64>) {
    let fetch = format!("SELECT global_position, lease FROM message_store.fetch('s', {arguments})");
    let rows = session.run(&fetch).await.unwrap();
    let number = |value: &Option<String>| value.as_deref().unwrap().parse().unwrap();
    let positions = rows.iter().map(|row| number(&row[0])).collect();
    (positions, rows.first().map(|row| number(&row[1])))
}

async fn positions(session: &Session, n: i64) -> Vec<i64> {
    fetch(session, n, "1 min").await.0
}

async fn ack(session: &Session, position: i64) {
    let ack = format!("SELECT message_store.ack('s', {position})");
    session.run(&ack).await.unwrap();
}

async fn refused(session: &Session, sql: &str) -> String {
    session
        .error(&format!("SELECT message_store.{sql}"))
        .await
        .sqlstate
}

const POSITION: &str = "SELECT position FROM message_store.subscription_status";

#[tokio::test]
async fn what_is_fetched_is_what_readers_get_and_comes_once_it_is_acknowledged() {
    let (_database, session) = with_consumer("{}").await;
    for stream in ["a-1", "b-1", "a-2", "a-1"] {
        write(&session, stream, "A").await;
    }
    let fetched = "SELECT id, stream_name, type, position, global_position, data, metadata, time \
                   FROM message_store.fetch('s', 10, '1 min')";
    let read = "SELECT * FROM message_store.get_category_messages('a')";
    let read = session.run(read).await.unwrap();
    assert_eq!(session.run(fetched).await.unwrap(), read);
    assert_eq!(read.len(), 3);
    // Its own session may take them again, until it says they are done.
    assert_eq!(positions(&session, 2).await, [1, 3]);
    ack(&session, 1).await;
    assert_eq!(session.bigint(POSITION).await, 1);
    ack(&session, 3).await;
    assert_eq!(session.bigint(POSITION).await, 3);
    assert_eq!(positions(&session, 2).await, [4]);
    ack(&session, 4).await;
    assert_eq!(positions(&session, 2).await, [0; 0]);
    let status = "SELECT position, lag, handled FROM message_store.subscription_status";
    assert_eq!(texts(&session, status).await, ["4 0 3"]);
}

#[tokio::test]
async fn while_a_lease_runs_nobody_else_gets_anything() {
    let (database, session) = with_consumer("{}").await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let other = database.connect().await;
    assert_eq!(positions(&session, 1).await, [1]);
    assert_eq!(positions(&other, 1).await, [0; 0]);
    assert_eq!(refused(&other, "ack('s', 1)").await, "55000");
    ack(&session, 1).await;
    assert_eq!(
        positions(&other, 1).await,
        [2],
        "a lease ends with its last message"
    );
    assert_eq!(refused(&session, "ack('s', 2)").await, "55000");
    assert_eq!(positions(&session, 1).await, [0; 0]);
    ack(&other, 2).await;
    assert_eq!(positions(&session, 1).await, [3]);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_fenced() {
    let (database, session) = with_consumer("{}").await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let (late, lease) = fetch(&session, 2, "50 ms").await;
    assert_eq!(late, [1, 2]);
    let other = database.connect().await;
    let expired =
        "SELECT leased_until <= clock_timestamp() FROM message_store.subscription_progress";
    other.wait_until(expired).await;
    // Too late also while nobody else has come.
    assert_eq!(refused(&session, "ack('s', 1)").await, "55000");
    assert_eq!(refused(&session, "park('s', 1, 'why')").await, "55000");
    assert_eq!(positions(&other, 10).await, [1, 2, 3], "delivered again");
    let with_lease = format!("ack('s', 2, {})", lease.unwrap());
    assert_eq!(refused(&session, &with_lease).await, "55000");
    assert_eq!(refused(&session, "park('s', 1, 'why')").await, "55000");
    assert_eq!(session.bigint(POSITION).await, 0);
    ack(&other, 3).await;
    assert_eq!(session.bigint(POSITION).await, 3);
}

#[tokio::test]
async fn a_renewed_lease_runs_on_and_one_that_ran_out_is_not_renewed() {
    let (database, session) = with_consumer("{}").await;
    for _ in 0..2 {
        write(&session, "a-1", "A").await;
    }
    let (_, lease) = fetch(&session, 2, "1 min").await;
    let renew = "SELECT message_store.renew('s', '1 hour')";
    session.run(renew).await.unwrap();
    let left = "SELECT leased_until > clock_timestamp() + '50 min' \
                FROM message_store.subscription_progress";
    assert_eq!(session.value(left).await.as_deref(), Some("t"));
    ack(&session, 1).await;
    // By another session that knows it, and then shorter than before.
    let other = database.connect().await;
    assert_eq!(refused(&other, "renew('s', '1 ms')").await, "55000");
    let lease = lease.unwrap();
    let shorten = format!("SELECT message_store.renew('s', '1 ms', {lease})");
    other.run(&shorten).await.unwrap();
    let expired =
        "SELECT leased_until <= clock_timestamp() FROM message_store.subscription_progress";
    other.wait_until(expired).await;
    assert_eq!(refused(&session, "renew('s', '1 hour')").await, "55000");
    assert_eq!(positions(&other, 10).await, [2]);
    for lasts in ["NULL", "'0'", "'-1 s'", "'2 years'"] {
        let renew = format!("renew('s', {lasts})");
        assert_eq!(refused(&other, &renew).await, "22023", "{renew}");
    }
}

#[tokio::test]
async fn a_lease_survives_its_session_and_is_known_by_its_number() {
    let (database, session) = with_consumer("{}").await;
    write(&session, "a-1", "A").await;
    let fetching = database.connect().await;
    let (_, lease) = fetch(&fetching, 1, "1 min").await;
    drop(fetching);
    assert_eq!(positions(&session, 1).await, [0; 0]);
    session
        .run(&format!(
            "SELECT message_store.ack('s', 1, {})",
            lease.unwrap()
        ))
        .await
        .unwrap();
    assert_eq!(session.bigint(POSITION).await, 1);
}

#[tokio::test]
async fn an_acknowledgement_that_is_rolled_back_was_none() {
    let (_database, session) = with_consumer("{}").await;
    write(&session, "a-1", "A").await;
    assert_eq!(positions(&session, 1).await, [1]);
    session.run("BEGIN").await.unwrap();
    ack(&session, 1).await;
    session.run("ROLLBACK").await.unwrap();
    assert_eq!(session.bigint(POSITION).await, 0);
    session.run("BEGIN").await.unwrap();
    assert_eq!(positions(&session, 1).await, [1]);
    session.run("ROLLBACK").await.unwrap();
    ack_of_the_first_lease_or_a_new_one(&session).await;
    assert_eq!(session.bigint(POSITION).await, 1);
}

async fn ack_of_the_first_lease_or_a_new_one(session: &Session) {
    assert_eq!(positions(session, 1).await, [1]);
    ack(session, 1).await;
}

#[tokio::test]
async fn only_settled_messages_that_filters_let_through_are_fetched() {
    let (database, session) = with_consumer("{\"types\": [\"B\"]}").await;
    for message_type in ["A", "A"] {
        write(&session, "a-1", message_type).await;
    }
    assert_eq!(positions(&session, 10).await, [0; 0]);
    assert_eq!(
        session.bigint(POSITION).await,
        2,
        "nothing there to acknowledge"
    );
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-2", "B").await;
    write(&session, "a-3", "B").await;
    assert_eq!(positions(&session, 10).await, [0; 0]);
    slow.run("COMMIT").await.unwrap();
    assert_eq!(positions(&session, 10).await, [3, 4]);
    let beyond = refused(&session, "ack('s', 5)").await;
    assert_eq!(beyond, "22023");
}

/// The end of its messages is not the end of what was read for it: messages of other types and of
/// other members follow.
#[tokio::test]
async fn a_lease_ends_with_its_last_message_whatever_was_read_behind_it() {
    let (database, session) = with_consumer("{\"types\": [\"B\"]}").await;
    for message_type in ["B", "A", "A"] {
        write(&session, "a-1", message_type).await;
    }
    let other = database.connect().await;
    assert_eq!(positions(&session, 10).await, [1]);
    assert_eq!(refused(&session, "ack('s', 3)").await, "22023");
    ack(&session, 1).await;
    write(&session, "a-1", "B").await;
    assert_eq!(positions(&other, 10).await, [4]);
}

/// A session that takes its own messages again and finds that none is left has no lease any more.
#[tokio::test]
async fn a_lease_ends_where_its_own_session_finds_nothing_left_of_it() {
    let (database, session) = with_consumer("{}").await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    assert_eq!(positions(&session, 10).await, [1, 2, 3]);
    ack(&session, 2).await;
    let other = database.connect().await;
    other
        .run("DELETE FROM message_store.messages WHERE global_position = 3")
        .await
        .unwrap();
    assert_eq!(positions(&session, 10).await, [0; 0]);
    write(&session, "a-1", "A").await;
    assert_eq!(positions(&other, 10).await, [4]);
}

#[tokio::test]
async fn members_of_a_group_are_leased_apart() {
    let (database, session) = with_consumer("{\"group_size\": 2}").await;
    for number in 0..20 {
        write(&session, &format!("a-{number}"), "A").await;
    }
    let other = database.connect().await;
    let (first, _) = fetch(&session, 100, "1 min").await;
    let (second, _) = fetch(&other, 100, "1 min").await;
    for (member, fetched) in [&first, &second].into_iter().enumerate() {
        assert!(!fetched.is_empty(), "member {member}");
    }
    let mut all: Vec<i64> = first.iter().chain(&second).copied().collect();
    all.sort_unstable();
    let expected: Vec<i64> = (1..=20).collect();
    assert_eq!(all, expected, "each message to one of them");
    let third = database.connect().await;
    assert_eq!(positions(&third, 1).await, [0; 0]);
    ack(&session, *first.last().unwrap()).await;
    ack(&other, *second.last().unwrap()).await;
    for member in 0..2 {
        let own = fetch_with(&third, &format!("1, '1 min', {member}")).await;
        assert_eq!(own.0, [0; 0]);
    }
    let left = "SELECT sum(lag) FROM message_store.subscription_status";
    assert_eq!(session.bigint(left).await, 0);
}

#[tokio::test]
async fn a_paused_subscription_hands_out_nothing_and_takes_what_is_done() {
    let (_database, session) = with_consumer("{}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "A").await;
    assert_eq!(positions(&session, 1).await, [1]);
    session
        .run("SELECT message_store.pause('s', 'maintenance')")
        .await
        .unwrap();
    assert_eq!(positions(&session, 1).await, [0; 0]);
    ack(&session, 1).await;
    assert_eq!(session.bigint(POSITION).await, 1);
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    assert_eq!(positions(&session, 1).await, [2]);
}

#[tokio::test]
async fn what_an_application_cannot_handle_is_parked_and_fetched_again_when_wanted() {
    let (_database, session) = with_consumer("{}").await;
    for stream in ["a-1", "a-2", "a-1", "a-2", "a-3"] {
        write(&session, stream, "A").await;
    }
    assert_eq!(positions(&session, 4).await, [1, 2, 3, 4]);
    session
        .run("SELECT message_store.park('s', 2, 'mail server said 550')")
        .await
        .unwrap();
    // What came before it is done; the lease is over; its stream waits.
    assert_eq!(session.bigint(POSITION).await, 2);
    assert_eq!(refused(&session, "ack('s', 3)").await, "55000");
    // A lease ends before a message that waits: nothing inside it is left out.
    assert_eq!(positions(&session, 10).await, [3]);
    ack(&session, 3).await;
    assert_eq!(positions(&session, 10).await, [5]);
    ack(&session, 5).await;
    let parked = "SELECT global_position, status, attempts, sqlstate, error \
                  FROM message_store.parked_messages ORDER BY 1";
    assert_eq!(
        texts(&session, parked).await,
        ["2 failed 1 38000 mail server said 550", "4 waiting 0 - -"]
    );
    let status = "SELECT parked, last_error FROM message_store.subscription_status";
    assert_eq!(texts(&session, status).await, ["2 mail server said 550"]);
    assert_eq!(positions(&session, 10).await, [0; 0]);

    session
        .run("SELECT message_store.retry_parked('s')")
        .await
        .unwrap();
    write(&session, "a-3", "A").await;
    let mut handled = Vec::new();
    for _ in 0..4 {
        let sql = "SELECT global_position, attempt FROM message_store.fetch('s', 10, '1 min')";
        let rows = texts(&session, sql).await;
        let last = rows
            .last()
            .map(|row| row.split(' ').next().unwrap().to_owned());
        handled.extend(rows);
        if let Some(last) = last {
            ack(&session, last.parse().unwrap()).await;
        }
    }
    assert_eq!(handled, ["2 2", "4 1", "6 1"]);
    assert_eq!(texts(&session, parked).await, [""; 0]);
    assert_eq!(session.bigint(POSITION).await, 6);
}

#[tokio::test]
async fn consumers_that_die_at_random_lose_nothing_and_keep_the_order() {
    let (database, session) = with_consumer("{\"group_size\": 2}").await;
    for number in 0..120 {
        write(&session, &format!("a-{}", number % 9), "A").await;
    }
    session
        .run(
            "CREATE TABLE public.done (entry bigserial, position bigint, stream text);
             CREATE TABLE public.tries (position bigint)",
        )
        .await
        .unwrap();
    let mut consumer = database.connect().await;
    for round in 0.. {
        let (fetched, _) = fetch(&consumer, 7, "20 ms").await;
        if fetched.is_empty() {
            let lag = "SELECT sum(lag) FROM message_store.subscription_status";
            if session.bigint(lag).await == 0 {
                break;
            }
            session
                .wait_until(
                    "SELECT bool_and(coalesce(leased_until <= clock_timestamp(), true))
                     FROM message_store.subscription_progress",
                )
                .await;
            continue;
        }
        // It dies after half of its messages, now and then.
        let done = if round % 3 == 1 {
            fetched.len() / 2
        } else {
            fetched.len()
        };
        let acked = match fetched[..done].last() {
            None => true,
            Some(last) => {
                let effect = format!(
                    "BEGIN;
                     SELECT message_store.ack('s', {last});
                     INSERT INTO public.done (position, stream)
                       SELECT global_position, stream_name FROM message_store.messages
                       WHERE global_position = ANY ('{{{}}}') ORDER BY 1;
                     COMMIT",
                    fetched[..done]
                        .iter()
                        .map(i64::to_string)
                        .collect::<Vec<_>>()
                        .join(",")
                );
                consumer.run(&effect).await.is_ok()
            }
        };
        if !acked || done < fetched.len() {
            consumer = database.connect().await;
        }
    }
    let done = "SELECT position FROM public.done ORDER BY position";
    let all: Vec<i64> = (1..=120).collect();
    assert_eq!(
        bigints(&session, done).await,
        all,
        "the effect with the ack: once"
    );
    let reordered = "SELECT count(*) FROM (SELECT position, lag(position) OVER (
        PARTITION BY stream ORDER BY entry) AS before FROM public.done) d WHERE before > position";
    assert_eq!(session.bigint(reordered).await, 0);
}
