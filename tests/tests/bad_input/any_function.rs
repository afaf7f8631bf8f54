//! Every function, whatever it is given and wherever it is called.

use promises::Cluster;

use crate::{Store, subscription, write};

/// Values of every argument type of the schema, the extremes of each.
fn extremes(type_name: &str) -> Vec<String> {
    let values: &[&str] = match type_name {
        "bigint" => &[
            "NULL",
            "'-9223372036854775808'",
            "-1",
            "0",
            "9223372036854775807",
        ],
        "bigint[]" => &[
            "NULL",
            "'{}'",
            "'{NULL}'",
            "'{9223372036854775807,-9223372036854775808}'",
            "'{{1,2},{3,4}}'",
        ],
        "character varying" => &[
            "NULL",
            "''",
            "'-'",
            "'a-1'",
            "repeat('é', 100000)",
            "E'\\x01'",
        ],
        "jsonb" => &[
            "NULL",
            "'null'",
            "'{}'",
            "'[[[]]]'",
            "'{\"a\": 1e300}'",
            "'\"x\"'",
        ],
        "text" => &["NULL", "''", "'x'"],
        "boolean" => &["NULL", "true", "false"],
        "message_store.message" => &["NULL", "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"],
        "message_store.new_message[]" => &[
            "NULL",
            "'{}'",
            "'{NULL}'",
            "ARRAY[ROW(NULL, NULL, NULL, NULL, NULL, NULL)]",
            "ARRAY[ROW('a-1', 'T', 'null', '[]', 'x', -9223372036854775808)]",
            "ARRAY[ROW('a-1', 'T', NULL, NULL, NULL, 9223372036854775807)]",
            "ARRAY[ROW(repeat('é', 100000), repeat('T', 100000), NULL, NULL, NULL, NULL)]",
            "ARRAY[ARRAY[ROW('a-1', 'T', NULL, NULL, NULL, NULL)]]",
        ],
        "message_store.message[]" => &["NULL", "'{}'", "'{NULL}'"],
        "interval" => &["NULL", "'0'", "'-1 year'", "'1 us'", "'-178000000 years'"],
        other => panic!("values for arguments of type {other} are missing here"),
    };
    values
        .iter()
        .map(|value| format!("{value}::{type_name}"))
        .collect()
}

/// Every way to take one value from each list.
fn combinations(lists: &[Vec<String>]) -> Vec<String> {
    lists.iter().fold(vec![String::new()], |calls, values| {
        let extend = |call: &String| {
            let separator = if call.is_empty() { "" } else { ", " };
            let call = format!("{call}{separator}");
            values
                .iter()
                .map(move |value| format!("{call}{value}"))
                .collect::<Vec<_>>()
        };
        calls.iter().flat_map(extend).collect()
    })
}

const SUBSCRIPTION: &str = "
    SELECT message_store.create_subscription('a-1', 'a',
      '{\"T\": \"message_store.increment_videos_watched\"}',
      '{\"read_model\": [\"message_store.read_model_pages\"]}')";

#[tokio::test]
async fn no_function_breaks_on_null_or_extreme_arguments() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(&write("'a-1'", "'T'", "NULL")).await.unwrap();
    // Some wait as long as they are told to.
    session
        .run("SET message_store.sql_condition = on; SET statement_timeout = '200ms'")
        .await
        .unwrap();
    let functions = session
        .run(
            "SELECT proname, prokind, (SELECT string_agg(format_type(t, NULL), ',' ORDER BY n) \
               FROM unnest(proargtypes) WITH ORDINALITY AS argument (t, n)) \
             FROM pg_proc WHERE pronamespace = 'message_store'::regnamespace ORDER BY 1",
        )
        .await
        .unwrap();
    assert!(functions.len() > 45);
    /// Calls of one function, at most.
    const CALLS: usize = 600;
    let mut refused = 0;
    let mut calls = 0;
    for function in &functions {
        let name = function[0].as_deref().unwrap();
        let verb = if function[1].as_deref() == Some("p") {
            "CALL"
        } else {
            "SELECT"
        };
        let types: Vec<&str> = match &function[2] {
            Some(types) => types.split(',').collect(),
            None => Vec::new(),
        };
        // One of the names it is given is that of a subscription.
        session.run(SUBSCRIPTION).await.unwrap();
        let arguments: Vec<Vec<String>> = types.iter().map(|name| extremes(name)).collect();
        let all = combinations(&arguments);
        // The first one is all NULL; of many, an even choice.
        for arguments in all.iter().step_by(all.len().div_ceil(CALLS)) {
            calls += 1;
            let sql = format!("{verb} message_store.{name}({arguments})");
            if let Err(error) = session.run(&sql).await {
                refused += 1;
                let said = format!("{sql}: {error:?}").to_lowercase();
                for word in ["panicked", "unreachable", "xx000", "unwrap"] {
                    assert!(!said.contains(word), "{said}");
                }
            }
        }
    }
    let pid = session.bigint("SELECT pg_backend_pid()").await;
    assert_eq!(pid, i64::from(session.pid));
    assert!(
        refused > 100,
        "only {refused} of {calls} calls were refused"
    );
    println!("{calls} calls, {refused} refused");
}

#[tokio::test]
async fn a_read_only_transaction_writes_nothing() {
    let store = Store::new(Cluster::shared()).await;
    let good = "'{\"T\": \"message_store.increment_videos_watched\"}'";
    store.run(&subscription("'a'", good, "'{}'")).await;
    for sql in [
        write("'a-1'", "'T'", "NULL"),
        "SELECT message_store.tick('s')".to_owned(),
        "SELECT message_store.start('s')".to_owned(),
        "SELECT message_store.ensure_home_page()".to_owned(),
        "SELECT message_store.increment_videos_watched(1)".to_owned(),
        subscription("'a'", good, "'{}'"),
    ] {
        store.run("SET default_transaction_read_only = on").await;
        let error = store.session.error(&sql).await;
        assert_eq!(error.sqlstate, "25006", "{sql}: {error:?}");
        for read in [
            "SELECT message_store.get_stream_messages('a-1')",
            "SELECT message_store.get_category_messages('a')",
            "SELECT message_store.get_all_messages()",
            "SELECT message_store.stream_version('a-1')",
        ] {
            assert_eq!(store.session.run(read).await.unwrap().len(), 1, "{read}");
        }
        store.run("SET default_transaction_read_only = off").await;
        store.require_unharmed().await;
    }
}

#[tokio::test]
async fn a_transaction_with_one_snapshot_reads_streams_but_no_category() {
    let store = Store::new(Cluster::shared()).await;
    let good = "'{\"T\": \"message_store.increment_videos_watched\"}'";
    store.run(&subscription("'a'", good, "'{}'")).await;
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for call in [
            "get_category_messages('a')",
            "get_all_messages()",
            "tick('s')",
        ] {
            store.run(&format!("BEGIN ISOLATION LEVEL {level}")).await;
            let error = store
                .session
                .error(&format!("SELECT message_store.{call}"))
                .await;
            store.run("ROLLBACK").await;
            assert_eq!(error.sqlstate, "25001", "{call}: {error:?}");
            assert!(error.hint.contains("READ COMMITTED"), "{error:?}");
        }
        store.run(&format!("BEGIN ISOLATION LEVEL {level}")).await;
        let read = "SELECT message_store.get_stream_messages('a-1')";
        assert_eq!(store.session.run(read).await.unwrap().len(), 1);
        store.run("ROLLBACK").await;
        store.require_unharmed().await;
    }
}

#[tokio::test]
async fn settings_are_on_or_off() {
    let store = Store::new(Cluster::shared()).await;
    for name in ["sql_condition", "debug", "debug_get", "debug_write"] {
        for value in ["banana", "", "2"] {
            let sql = format!("SET message_store.{name} = '{value}'");
            store.refuses(&sql, "22023", name).await;
        }
        let shown = format!("SHOW message_store.{name}");
        assert_eq!(store.session.value(&shown).await.as_deref(), Some("off"));
    }
}
