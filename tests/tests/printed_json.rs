//! Promise: readers get `data` and `metadata` letter for letter as PostgreSQL prints them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Session, check_property, literal};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::runtime::Runtime;

/// Writes a value, and finds the messages that are read otherwise than PostgreSQL prints them.
const FUNCTIONS: &str = "
    CREATE FUNCTION write(value jsonb) RETURNS bigint LANGUAGE sql AS $$
      SELECT message_store.write_message(
        gen_random_uuid()::varchar, 'json-1', 'Printed', value, jsonb_build_array(value, value))
    $$;
    CREATE FUNCTION differing(stream varchar) RETURNS SETOF text LANGUAGE sql AS $$
      SELECT concat_ws(' | ', kept.data::text, seen.data, seen.metadata)
      FROM message_store.get_stream_messages(stream, 0, -1) seen
      JOIN message_store.messages kept USING (global_position)
      WHERE (seen.data, seen.metadata) IS DISTINCT FROM
            (kept.data::varchar, kept.metadata::varchar)
    $$;";

async fn session() -> Session {
    let session = Cluster::shared().create_store().await.connect().await;
    session.run(FUNCTIONS).await.unwrap();
    session
}

/// A number as JSON spells it, of every size that PostgreSQL stores in another way.
fn number() -> impl Strategy<Value = String> {
    let digits = prop_oneof!["0", "[1-9][0-9]{0,40}", "[1-9]0{3,9}[1-9]", "9{120,300}"];
    let fraction = prop_oneof![3 => "", 2 => "\\.[0-9]{1,30}", 1 => "\\.0{1,9}[0-9]{0,5}"];
    let exponent = prop_oneof![5 => "", 1 => "e[+-]?[0-9]{1,2}", 1 => "e-?[12][0-9]{2}"];
    ("-?", digits, fraction, exponent).prop_map(|(sign, digits, fraction, exponent)| {
        format!("{sign}{digits}{fraction}{exponent}")
    })
}

/// A string as JSON spells it, with all that is escaped but NUL, which jsonb refuses.
fn string() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        8 => any::<char>(),
        8 => proptest::char::range(' ', '~'),
        3 => proptest::char::range('\u{1}', '\u{1f}'),
        2 => prop_oneof![Just('"'), Just('\\'), Just('/'), Just('\u{7f}')],
    ];
    proptest::collection::vec(character, 0..40).prop_map(|characters| {
        let string: String = characters.into_iter().filter(|c| *c != '\0').collect();
        serde_json::to_string(&string).unwrap()
    })
}

fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        2 => number(),
        2 => string(),
        1 => prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
    ];
    scalar.prop_recursive(5, 120, 40, |inner| {
        let array = proptest::collection::vec(inner.clone(), 0..40)
            .prop_map(|elements| format!("[{}]", elements.join(",")));
        let pair = (string(), inner).prop_map(|(key, value)| format!("{key}:{value}"));
        let object = proptest::collection::vec(pair, 0..40)
            .prop_map(|pairs| format!("{{{}}}", pairs.join(",")));
        prop_oneof![array, object]
    })
}

#[test]
fn any_value_is_read_as_postgresql_prints_it() {
    let runtime = Runtime::new().unwrap();
    let session = runtime.block_on(session());
    let values = proptest::collection::vec(json(), 1..30);
    check_property(&runtime, 100, &values, |values| {
        let session = &session;
        async move {
            let writes: Vec<String> = values
                .iter()
                .map(|value| format!("SELECT write({}::jsonb);", literal(Some(value))))
                .collect();
            session.run(&writes.concat()).await.unwrap();
            let differing = session.run("SELECT differing('json-1')").await.unwrap();
            session
                .run("TRUNCATE message_store.messages")
                .await
                .unwrap();
            if differing.is_empty() {
                Ok(())
            } else {
                Err(TestCaseError::fail(format!("{differing:?}")))
            }
        }
    });
}

#[test]
fn large_toasted_and_deeply_nested_values_are_read_as_postgresql_prints_them() {
    Runtime::new().unwrap().block_on(async {
        let session = session().await;
        session
            .run(
                "SELECT write(to_jsonb(repeat('compressible ', 100000)));
                 SELECT write(jsonb_agg(md5(i::text))) FROM generate_series(1, 20000) i;
                 SELECT write(jsonb_object_agg(i, i * 1.5)) FROM generate_series(1, 5000) i;
                 SELECT write((repeat('[', 1000) || '7' || repeat(']', 1000))::jsonb);
                 SELECT write((repeat('{\"a\":', 1000) || '{}' || repeat('}', 1000))::jsonb);",
            )
            .await
            .unwrap();
        let rows = session.run("SELECT differing('json-1')").await.unwrap();
        assert_eq!(rows.len(), 0);
        let count = session
            .bigint("SELECT count(*) FROM message_store.get_stream_messages('json-1')")
            .await;
        assert_eq!(count, 5);
    });
}

#[test]
fn a_text_longer_than_any_value_is_an_error_and_the_session_goes_on() {
    Runtime::new().unwrap().block_on(async {
        let session = session().await;
        session
            .run("SELECT write(('[' || repeat('1e131071,', 9000) || '1]')::jsonb)")
            .await
            .unwrap();
        let read = "SELECT count(*) FROM message_store.get_stream_messages('json-1')";
        let error = session.error(read).await;
        assert_eq!(error.sqlstate, "54000", "{error:?}");
        session.run("SELECT write('{}')").await.unwrap();
        let rest = "SELECT count(*) FROM message_store.get_stream_messages('json-1', 1)";
        assert_eq!(session.bigint(rest).await, 1);
    });
}
