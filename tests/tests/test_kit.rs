//! Promise: who writes handlers tests them in milliseconds, with SQL, pgTAP or Rust, and leaves nothing
//! behind; a test that ought to fail says why.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use message_store_client::ThrowAwayStore;
use message_store_client::database::NewMessage;
use promises::{Cluster, Database, Session, SqlError};
use serde_json::json;
use subscriber::{texts, write};

const WALLETS: &str = r#"
    CREATE TABLE public.wallets (wallet varchar PRIMARY KEY, amount bigint NOT NULL);
    CREATE TABLE public.owners (wallet varchar REFERENCES public.wallets DEFERRABLE INITIALLY DEFERRED);
    CREATE FUNCTION public.put_in(message message_store.message) RETURNS void LANGUAGE sql AS $$
      INSERT INTO wallets
      VALUES (message_store.id(message.stream_name), (message.data::jsonb ->> 'amount')::bigint)
      ON CONFLICT (wallet) DO UPDATE SET amount = wallets.amount + excluded.amount $$;
    CREATE FUNCTION public.take_out(message message_store.message) RETURNS void LANGUAGE sql AS $$
      UPDATE wallets SET amount = amount - (message.data::jsonb ->> 'amount')::bigint
      WHERE wallet = message_store.id(message.stream_name) $$;
    CREATE FUNCTION public.note_owner(message message_store.message) RETURNS void LANGUAGE sql AS $$
      INSERT INTO owners VALUES (message_store.id(message.stream_name)) $$;
    CREATE FUNCTION public.thank(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM message_store.write_message(
        gen_random_uuid()::varchar, 'thanks-' || message_store.id(message.stream_name),
        'Thanked', jsonb_build_object('for', message.data::jsonb -> 'amount'));
    END $$;
    SELECT message_store.create_subscription('aggregators:wallets', 'wallet',
      '{"PutIn": "put_in", "TakenOut": "take_out", "Owned": "note_owner"}', '{"read_model": ["wallets", "owners"], "group_size": 2}');
    SELECT message_store.create_subscription('services:thanks', 'wallet', '{"PutIn": "thank"}');"#;

/// A database whose store has a past, and a session that has begun a test in it.
async fn begin() -> (Database<'static>, Session) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run("CREATE EXTENSION message_store_test")
        .await
        .unwrap();
    session.run(WALLETS).await.unwrap();
    for _ in 0..3 {
        put_in(&session, "before", "1").await;
    }
    call(&session, "when_ticked('aggregators:wallets')")
        .await
        .unwrap();
    (database, session)
}

async fn put_in(session: &Session, wallet: &str, amount: &str) {
    let given = format!("given_message('wallet-{wallet}', 'PutIn', '{{\"amount\": {amount}}}')");
    call(session, &given).await.unwrap();
}

/// Calls a function of the kit; returns its value.
async fn call(session: &Session, function: &str) -> Result<String, SqlError> {
    let rows = session
        .run(&format!("SELECT message_store_test.{function}"))
        .await?;
    Ok(rows[0][0].clone().unwrap_or_default())
}

async fn refused(session: &Session, function: &str) -> SqlError {
    session.run("SAVEPOINT refused").await.unwrap();
    let error = call(session, function).await.unwrap_err();
    session.run("ROLLBACK TO refused").await.unwrap();
    error
}

#[tokio::test]
async fn a_read_model_is_what_the_given_messages_make_it_and_nothing_is_left() {
    let (_database, session) = begin().await;
    let all = "SELECT * FROM public.wallets ORDER BY 1";
    let positions = "SELECT member, position FROM message_store.subscription_status ORDER BY 1, 2";
    let (before, at) = (texts(&session, all).await, texts(&session, positions).await);
    session.run("BEGIN").await.unwrap();
    call(&session, "given_nothing('aggregators:wallets')")
        .await
        .unwrap();
    call(&session, "then_read_model('wallets', '[]')")
        .await
        .unwrap();
    for wallet in ["a", "b", "a", "c"] {
        put_in(&session, wallet, "10").await;
    }
    let handled = call(&session, "when_ticked('aggregators:wallets')").await;
    assert_eq!(handled.unwrap(), "4");
    for expected in [
        r#"[{"wallet": "c", "amount": 10}, {"wallet": "a", "amount": 20}, {"wallet": "b", "amount": 10}]"#,
        r#"[{"amount": 10}, {"amount": 10}, {"amount": 20.0}]"#,
    ] {
        let then = format!("then_read_model('wallets', '{expected}')");
        call(&session, &then).await.unwrap();
    }
    let query = r#"then_read_model('SELECT sum(amount) FROM wallets', '[{"sum": 40}]')"#;
    call(&session, query).await.unwrap();
    session.run("ROLLBACK").await.unwrap();
    assert_eq!(texts(&session, all).await, before);
    assert_eq!(texts(&session, positions).await, at);
}

#[tokio::test]
async fn what_is_not_as_expected_is_told_row_by_row() {
    let (_database, session) = begin().await;
    session.run("BEGIN").await.unwrap();
    let error = refused(
        &session,
        r#"then_read_model('wallets', '[{"wallet": "before", "amount": 4}, {"wallet": "before", "amount": 3}]')"#,
    )
    .await;
    assert_eq!(error.sqlstate, "P0004");
    assert_eq!(
        error.detail,
        r#"missing: {"amount": 4, "wallet": "before"}"#
    );
    let error = refused(&session, "then_read_model('wallets', '[]')").await;
    assert_eq!(
        error.detail,
        r#"unexpected: {"amount": 3, "wallet": "before"}"#
    );
    // A column that is not there is no NULL.
    let misspelt = r#"then_read_model('wallets', '[{"wallet": "before", "amuont": null}]')"#;
    assert_eq!(refused(&session, misspelt).await.sqlstate, "P0004");
    let sqlstates = [
        ("then_read_model('wallets', '{}')", "22023"),
        ("then_read_model('wallets', NULL)", "22023"),
        ("then_read_model('wallets', '[1]')", "22023"),
        ("then_read_model('purses', '[]')", "42P01"),
        ("then_read_model(NULL, '[]')", "42P01"),
        ("then_stream('wallet-before', '[2]')", "22023"),
        ("when_ticked('nobody')", "42704"),
        ("given_nothing('nobody')", "42704"),
        ("run('nowhere')", "42883"),
    ];
    for (function, sqlstate) in sqlstates {
        assert_eq!(
            refused(&session, function).await.sqlstate,
            sqlstate,
            "{function}"
        );
    }
}

#[tokio::test]
async fn a_service_is_judged_by_what_it_writes() {
    let (_database, session) = begin().await;
    session.run("BEGIN").await.unwrap();
    call(&session, "given_nothing('services:thanks')")
        .await
        .unwrap();
    for amount in ["5", "6"] {
        put_in(&session, "a", amount).await;
    }
    call(&session, "when_ticked('services:thanks')")
        .await
        .unwrap();
    let thanked = r#"then_stream('thanks-a', '[{"type": "Thanked", "data": {"for": 5}}, {"data": {"for": 6}}]')"#;
    call(&session, thanked).await.unwrap();
    for (expected, detail) in [
        (
            r#"[{"data": {"for": 6}}, {"data": {"for": 6}}]"#,
            r#"0: expected {"data": {"for": 6}}, found {"data": {"for": 5}}"#,
        ),
        (
            r#"[{}, {}, {"type": "Thanked"}]"#,
            r#"2: expected {"type": "Thanked"}, found nothing"#,
        ),
    ] {
        let error = refused(&session, &format!("then_stream('thanks-a', '{expected}')")).await;
        assert_eq!(error.detail, detail);
    }
}

#[tokio::test]
async fn a_handler_that_fails_fails_the_test_with_its_own_error() {
    let (_database, session) = begin().await;
    session.run("BEGIN").await.unwrap();
    call(&session, "given_nothing('aggregators:wallets')")
        .await
        .unwrap();
    put_in(&session, "a", "\"much\"").await;
    let error = refused(&session, "when_ticked('aggregators:wallets')").await;
    assert_eq!(error.sqlstate, "22P02");
    assert!(error.message.contains("much"), "{error:?}");
    session.run("ROLLBACK").await.unwrap();

    let park = "SELECT message_store.alter_subscription('aggregators:wallets', options => \
                '{\"on_failure\": \"park\", \"retries\": 0}')";
    session.run(park).await.unwrap();
    session.run("BEGIN").await.unwrap();
    call(&session, "given_nothing('aggregators:wallets')")
        .await
        .unwrap();
    put_in(&session, "a", "\"much\"").await;
    let error = refused(&session, "when_ticked('aggregators:wallets')").await;
    assert_eq!(error.sqlstate, "22P02");
    call(
        &session,
        "when_ticked('aggregators:wallets', may_park => true)",
    )
    .await
    .unwrap();
    let parked = "SELECT stream_name, status FROM message_store.parked_messages";
    assert_eq!(texts(&session, parked).await, ["wallet-a failed"]);
    // Whatever is parked when a test begins is none of its messages.
    session.run("COMMIT").await.unwrap();
    put_in(&session, "a", "7").await;
    session.run("BEGIN").await.unwrap();
    call(
        &session,
        "when_ticked('aggregators:wallets', may_park => true)",
    )
    .await
    .unwrap();
    call(&session, "given_nothing('aggregators:wallets')")
        .await
        .unwrap();
    put_in(&session, "a", "1").await;
    call(&session, "when_ticked('aggregators:wallets')")
        .await
        .unwrap();
    let one = r#"then_read_model('wallets', '[{"wallet": "a", "amount": 1}]')"#;
    call(&session, one).await.unwrap();
}

const TESTS: &str = r#"
    CREATE SCHEMA wallet_tests;
    CREATE FUNCTION wallet_tests.test_sums() RETURNS void LANGUAGE sql AS $$
      SELECT message_store_test.given_nothing('aggregators:wallets');
      SELECT message_store_test.given_message('wallet-1', 'PutIn', '{"amount": 1}');
      SELECT message_store_test.when_ticked('aggregators:wallets');
      SELECT message_store_test.then_read_model('wallets', '[{"amount": 1}]') $$;
    CREATE FUNCTION wallet_tests.test_wrong_sum() RETURNS void LANGUAGE sql AS $$
      SELECT message_store_test.given_nothing('aggregators:wallets');
      SELECT message_store_test.then_read_model('wallets', '[{"amount": 1}]') $$;
    CREATE FUNCTION wallet_tests.test_owner_without_wallet() RETURNS void LANGUAGE sql AS $$
      SELECT message_store_test.given_nothing('aggregators:wallets');
      SELECT message_store_test.given_message('wallet-2', 'Owned');
      SELECT message_store_test.when_ticked('aggregators:wallets') $$;
    CREATE FUNCTION wallet_tests.helps() RETURNS void LANGUAGE sql AS 'SELECT 1 / 0'"#;

#[tokio::test]
async fn tests_run_apart_in_milliseconds_and_each_is_rolled_back() {
    let (_database, session) = begin().await;
    session.run(TESTS).await.unwrap();
    let run = "SELECT test, passed, left(error, 5) FROM message_store_test.run('wallet_tests')";
    assert_eq!(
        texts(&session, run).await,
        [
            "test_owner_without_wallet f 23503",
            "test_sums t -",
            "test_wrong_sum f P0004"
        ]
    );
    let left = "SELECT (SELECT sum(amount) FROM public.wallets), \
                (SELECT count(*) FROM message_store.messages)";
    assert_eq!(texts(&session, left).await, ["3 3"]);
    let median = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds) < 100 \
                  FROM generate_series(1, 20), message_store_test.run('wallet_tests', 'sums$')";
    assert_eq!(session.value(median).await.as_deref(), Some("t"));
    let passed = call(&session, "must_pass('wallet_tests', 'sums$')")
        .await
        .unwrap();
    assert!(passed.starts_with("1 passed in "), "{passed}");
    let error = call(&session, "must_pass('wallet_tests')")
        .await
        .unwrap_err();
    assert!(error.message.starts_with("2 failed, 1 passed"), "{error:?}");
    assert!(error.detail.contains("test_wrong_sum: P0004"));
}

#[tokio::test]
async fn others_who_hold_messages_back_are_named_as_the_reason() {
    let (database, session) = begin().await;
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "wallet-slow", "PutIn").await;
    session.run("BEGIN").await.unwrap();
    call(&session, "given_nothing('aggregators:wallets')")
        .await
        .unwrap();
    put_in(&session, "a", "1").await;
    let error = call(&session, "when_ticked('aggregators:wallets')")
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate, "55006", "{error:?}");
}

#[tokio::test]
async fn pgtap_runs_the_kit() {
    let (_database, session) = begin().await;
    let example = include_str!("../../examples/pgtap/wallets.sql");
    let mut tap = Vec::new();
    for amount in ["30", "31"] {
        let test = example.replace("\"amount\": 30", &format!("\"amount\": {amount}"));
        for statement in test.split(";\n") {
            let rows = session.run(statement).await.unwrap();
            tap.extend(rows.into_iter().filter_map(|row| row[0].clone()));
        }
    }
    let tap = tap.join("\n");
    for line in [
        "\n1..2\n",
        "\nok 1 - ",
        "\nok 2 - ",
        "\nnot ok 2 - ",
        "(missing,",
        "(unexpected,",
    ] {
        assert!(tap.contains(line), "{line:?} in {tap}");
    }
}

#[tokio::test]
async fn a_store_of_a_rust_test_is_there_for_it_alone_and_goes_with_it() {
    let cluster = Cluster::shared();
    let server = cluster.create_database().await;
    let url = server.url("postgres");
    let store = ThrowAwayStore::create(&url).await.unwrap();
    store.run(WALLETS).await.unwrap();
    let message = NewMessage::new("wallet-1", "PutIn", &json!({"amount": 9})).unwrap();
    store.database().write_message(&message).await.unwrap();
    assert_eq!(store.when_ticked("aggregators:wallets").await.unwrap(), 1);
    let expected = json!([{"wallet": "1", "amount": 9}]);
    store.then_read_model("wallets", &expected).await.unwrap();
    let wrong = store.then_read_model("wallets", &json!([])).await;
    let wrong = wrong.unwrap_err().to_string();
    assert!(
        wrong.contains(r#"unexpected: {"amount": 9, "wallet": "1"}"#),
        "{wrong}"
    );
    let session = server.connect().await;
    let is_there = format!(
        "SELECT count(*) FROM pg_database WHERE datname = '{}'",
        store.name()
    );
    assert_eq!(session.bigint(&is_there).await, 1);
    drop(store);
    assert_eq!(session.bigint(&is_there).await, 0);
}
