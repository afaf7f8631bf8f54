//! Promise: what cannot be meant is refused with a SQLSTATE a program can act on and a text that
//! names the argument; nothing is written, no backend dies, no panic reaches a client.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Database, Rows, Session, SqlError, literal};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The longest stream name, in bytes.
const STREAM_NAME_MAX: usize = 2_600;
/// The longest subscriber id, in bytes.
const SUBSCRIBER_ID_MAX: usize = 1_024;

/// A store with one message, and a session that watches over it.
struct Store<'a> {
    database: Database<'a>,
    session: Session,
    log: Rows,
}

const LOG: &str = "SELECT xmin, ctid, * FROM message_store.messages ORDER BY global_position";

impl<'a> Store<'a> {
    async fn new(cluster: &'a Cluster) -> Self {
        let database = cluster.create_store().await;
        let session = database.connect().await;
        session.run(&write("'a-1'", "'T'", "NULL")).await.unwrap();
        let log = session.run(LOG).await.unwrap();
        Self {
            database,
            session,
            log,
        }
    }

    /// `sql` is refused with this SQLSTATE and a message that contains `text`; the log is as it
    /// was and the same backend answers.
    async fn refuses(&self, sql: &str, sqlstate: &str, text: &str) -> SqlError {
        let error = self.session.error(sql).await;
        let shown: String = sql.chars().take(300).collect();
        assert_eq!(error.sqlstate, sqlstate, "{shown}\n{error:?}");
        assert!(error.message.contains(text), "{shown}\n{error:?}");
        require_no_panic(&error);
        self.require_unharmed().await;
        error
    }

    async fn require_unharmed(&self) {
        assert_eq!(
            self.session.run(LOG).await.unwrap(),
            self.log,
            "the log was changed"
        );
        let pid = self.session.bigint("SELECT pg_backend_pid()").await;
        assert_eq!(pid, i64::from(self.session.pid));
    }

    async fn run(&self, sql: &str) {
        self.session.run(sql).await.unwrap();
    }
}

fn require_no_panic(error: &SqlError) {
    let said = format!("{error:?}").to_lowercase();
    for word in [
        "panicked",
        "unreachable",
        "unwrap",
        "called `option",
        "overflow",
    ] {
        assert!(!said.contains(word), "{error:?}");
    }
    assert_ne!(error.sqlstate, "XX000", "an internal error: {error:?}");
}

fn write(stream_name: &str, message_type: &str, expected_version: &str) -> String {
    format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, {stream_name}, \
         {message_type}, '{{}}', NULL, {expected_version})"
    )
}

fn subscription(category: &str, handlers: &str, options: &str) -> String {
    format!("SELECT message_store.create_subscription('s', {category}, {handlers}, {options})")
}

/// Letters that no compression makes shorter.
fn incompressible(length: usize) -> String {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let letters = format!("[A-Za-z0-9_]{{{length}}}");
    proptest::string::string_regex(&letters)
        .unwrap()
        .new_tree(&mut runner)
        .unwrap()
        .current()
}

#[tokio::test]
async fn stream_names_have_at_most_2600_bytes() {
    let store = Store::new(Cluster::shared()).await;
    for name in [
        format!("{}-1", "x".repeat(STREAM_NAME_MAX - 1)),
        format!("a-{}", incompressible(STREAM_NAME_MAX - 1)),
        format!("a-{}", "é".repeat(STREAM_NAME_MAX / 2)),
        "x".repeat(1 << 20),
    ] {
        let sql = write(&literal(Some(&name)), "'T'", "NULL");
        let error = store.refuses(&sql, "22023", "stream_name").await;
        assert!(error.message.contains("2600"), "{error:?}");
    }
}

#[tokio::test]
async fn names_of_2600_incompressible_bytes_are_written_and_read() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let text = incompressible(STREAM_NAME_MAX);
    let mut names = vec![
        text.clone(),
        format!("{}-", &text[1..]),
        format!("-{}", &text[1..]),
    ];
    names.push(format!("a-{}", &text[2..]));
    for name in names {
        let stream = literal(Some(&name));
        for position in 0..2 {
            let sql = write(&stream, "'T'", "NULL");
            assert_eq!(session.bigint(&sql).await, position, "{name}");
        }
        let category = literal(name.split('-').next());
        let read = format!(
            "SELECT count(*) FROM message_store.get_category_messages({category}) AS m \
             WHERE m.stream_name = {stream}"
        );
        assert_eq!(session.bigint(&read).await, 2, "{name}");
    }
}

#[tokio::test]
async fn category_and_correlation_have_at_most_2600_bytes_together() {
    let store = Store::new(Cluster::shared()).await;
    let text = incompressible(STREAM_NAME_MAX);
    let write_correlated = |category: &str, correlation: &str| {
        format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, '{category}-1', 'T', \
             '{{}}', '{{\"correlationStreamName\": \"{correlation}\"}}')"
        )
    };
    let (category, correlation) = (&text[..1_000], &text[1_000..]);
    let too_long = write_correlated(category, &format!("{correlation}x"));
    store.refuses(&too_long, "22023", "metadata").await;
    store.run(&write_correlated(category, correlation)).await;
    let read = format!(
        "SELECT count(*) FROM message_store.get_category_messages('{category}', \
         correlation => '{correlation}')"
    );
    assert_eq!(store.session.bigint(&read).await, 1);
    // What counts is the correlation's category.
    store
        .run(&write_correlated("b", &format!("c-{}", "y".repeat(10_000))))
        .await;
}

#[tokio::test]
async fn a_nul_character_never_gets_in() {
    let store = Store::new(Cluster::shared()).await;
    let statement =
        "SELECT message_store.write_message($1::varchar, $2::varchar, $3::varchar, '{}')";
    let id = "11111111-1111-1111-1111-111111111111";
    for arguments in [
        ["a\0", "a-1", "T"],
        [id, "a-\u{0}1", "T"],
        [id, "a-1", "T\0"],
    ] {
        let [id, name, message_type] = arguments;
        let error = store
            .session
            .query(statement, &[&id, &name, &message_type])
            .await
            .unwrap_err();
        let error = SqlError::from(error);
        assert!(
            ["22021", "22P05"].contains(&error.sqlstate.as_str()),
            "{error:?}"
        );
        store.require_unharmed().await;
    }
    let in_json = "SELECT message_store.write_message('x', 'a-1', 'T', '{\"a\": \"\\u0000\"}')";
    store.refuses(in_json, "22P05", "Unicode").await;
}

#[tokio::test]
async fn a_type_is_not_empty_and_versions_are_message_dbs() {
    let store = Store::new(Cluster::shared()).await;
    store
        .refuses(
            &write("'a-1'", "''", "NULL"),
            "22023",
            "type must not be empty",
        )
        .await;
    store
        .refuses(&write("'a-1'", "NULL", "NULL"), "23502", "type")
        .await;
    store
        .refuses(&write("NULL", "'T'", "NULL"), "23502", "stream_name")
        .await;
    for version in [
        "-2",
        "-1",
        "1",
        "'-9223372036854775808'",
        "9223372036854775807",
    ] {
        let text = format!(
            "Wrong expected version: {} (Stream: a-1, Stream Version: 0)",
            version.trim_matches('\'')
        );
        store
            .refuses(&write("'a-1'", "'T'", version), "P0001", &text)
            .await;
    }
    let text = "Wrong expected version: 0 (Stream: a-2, Stream Version: -1)";
    store
        .refuses(&write("'a-2'", "'T'", "0"), "P0001", text)
        .await;
}

#[tokio::test]
async fn ids_are_uuids_that_are_not_there_yet() {
    let store = Store::new(Cluster::shared()).await;
    let id = store
        .session
        .value("SELECT id FROM message_store.messages")
        .await
        .unwrap();
    let write =
        |id: &str| format!("SELECT message_store.write_message('{id}', 'b-1', 'T', '{{}}')");
    store.refuses(&write("not-a-uuid"), "22P02", "uuid").await;
    store.refuses(&write(""), "22P02", "uuid").await;
    let error = store.refuses(&write(&id), "23505", "messages_id").await;
    assert!(error.detail.contains(&id), "{error:?}");
    let null = "SELECT message_store.write_message(NULL, 'b-1', 'T', '{}')";
    store.refuses(null, "23502", "id").await;
}

#[tokio::test]
async fn a_full_stream_takes_no_more() {
    let mut store = Store::new(Cluster::shared()).await;
    store
        .run(
            "INSERT INTO message_store.messages (position, stream_name, type) \
             VALUES (9223372036854775806, 'full-1', 'T')",
        )
        .await;
    let last = store
        .session
        .bigint(&write("'full-1'", "'T'", "NULL"))
        .await;
    assert_eq!(last, i64::MAX);
    store.log = store.session.run(LOG).await.unwrap();
    store
        .refuses(
            &write("'full-1'", "'T'", "NULL"),
            "22003",
            "bigint out of range",
        )
        .await;
    let next = write("'full-1'", "'T'", "9223372036854775807");
    store.refuses(&next, "22003", "bigint out of range").await;
    let read =
        "SELECT position FROM message_store.get_stream_messages('full-1', 9223372036854775807)";
    assert_eq!(store.session.bigint(read).await, i64::MAX);
    let version = "SELECT message_store.stream_version('full-1')";
    assert_eq!(store.session.bigint(version).await, i64::MAX);
}

#[tokio::test]
async fn a_used_up_sequence_takes_no_more_and_the_last_position_is_delivered() {
    let mut store = Store::new(Cluster::shared()).await;
    store
        .run(
            "SELECT setval('message_store.messages_global_position_seq', 9223372036854775806);
             SELECT message_store.ensure_home_page();
             SELECT message_store.create_subscription('s', 'a', \
               '{\"$any\": \"message_store.increment_videos_watched\"}')",
        )
        .await;
    store.run(&write("'a-1'", "'T'", "NULL")).await;
    store.log = store.session.run(LOG).await.unwrap();
    store
        .refuses(
            &write("'a-1'", "'T'", "NULL"),
            "2200H",
            "maximum value of sequence",
        )
        .await;
    for read in ["get_category_messages('a'", "get_all_messages(1"] {
        let read = format!("SELECT max(global_position) FROM message_store.{read})");
        assert_eq!(store.session.bigint(&read).await, i64::MAX);
    }
    let from_last =
        "SELECT count(*) FROM message_store.get_category_messages('a', '9223372036854775807')";
    assert_eq!(store.session.bigint(from_last).await, 1);
    for (outcome, scanned) in [("progressed", 2), ("idle", 0)] {
        let tick = store
            .session
            .run("SELECT * FROM message_store.tick('s')")
            .await
            .unwrap();
        let tick: Vec<&str> = tick[0]
            .iter()
            .map(|value| value.as_deref().unwrap())
            .collect();
        assert_eq!(tick[0], outcome);
        assert_eq!(tick[1], scanned.to_string());
        assert_eq!(tick[3], i64::MAX.to_string());
    }
    let wait = "CALL message_store.wait_for_messages('9223372036854775807', '10 ms')";
    assert_eq!(store.session.bigint(wait).await, i64::MAX);
    store.require_unharmed().await;
}

#[tokio::test]
async fn a_sequence_that_readers_could_not_trust_is_refused() {
    let store = Store::new(Cluster::shared()).await;
    for (tampering, repair) in [
        ("CACHE 10", "CACHE 1"),
        ("INCREMENT -1", "INCREMENT 1"),
        ("CYCLE", "NO CYCLE"),
    ] {
        let alter = "ALTER SEQUENCE message_store.messages_global_position_seq";
        store.run(&format!("{alter} {tampering}")).await;
        let sql = write("'a-1'", "'T'", "NULL");
        let error = store
            .refuses(&sql, "55000", "messages_global_position_seq")
            .await;
        assert!(error.hint.contains("ALTER SEQUENCE"), "{error:?}");
        store.run(&format!("{alter} {repair}")).await;
    }
    store.run(&write("'a-1'", "'T'", "NULL")).await;
}

#[tokio::test]
async fn a_sequence_set_back_behind_the_log_is_refused() {
    let mut store = Store::new(Cluster::shared()).await;
    for _ in 0..5 {
        store.run(&write("'a-1'", "'T'", "NULL")).await;
    }
    // A gap that a position drawn again would fall into, behind readers that have passed it.
    store
        .run("DELETE FROM message_store.messages WHERE global_position IN (3, 4)")
        .await;
    store.log = store.session.run(LOG).await.unwrap();
    store
        .run("SELECT setval('message_store.messages_global_position_seq', 2)")
        .await;
    let sql = write("'b-1'", "'T'", "NULL");
    store
        .refuses(&sql, "55000", "messages_global_position_seq")
        .await;
    store.session = store.database.connect().await;
    let error = store
        .refuses(&sql, "55000", "messages_global_position_seq")
        .await;
    assert!(error.hint.contains("set it past"), "{error:?}");
    store
        .run("SELECT setval('message_store.messages_global_position_seq', 6)")
        .await;
    store.run(&sql).await;
}

#[tokio::test]
async fn handlers_must_be_an_object_that_names_functions() {
    let store = Store::new(Cluster::shared()).await;
    let good = "'{\"T\": \"message_store.increment_videos_watched\"}'";
    for (handlers, sqlstate, text) in [
        ("NULL", "22023", "handlers must not be NULL"),
        ("'null'", "22023", "handlers must be a JSON object"),
        ("'[]'", "22023", "handlers must be a JSON object"),
        ("'\"T\"'", "22023", "handlers must be a JSON object"),
        ("'1'", "22023", "handlers must be a JSON object"),
        ("'{}'", "22023", "handlers"),
        (
            "'{\"\": \"message_store.increment_videos_watched\"}'",
            "22023",
            "handlers",
        ),
        ("'{\"T\": null}'", "22023", "handlers"),
        ("'{\"T\": 1}'", "22023", "handlers"),
        ("'{\"T\": [\"f\"]}'", "22023", "handlers"),
        ("'{\"T\": {\"f\": 1}}'", "22023", "handlers"),
        (
            "'{\"T\": \"public.no_such_function\"}'",
            "42883",
            "public.no_such_function",
        ),
        (
            "'{\"T\": \"no_such_schema.f\"}'",
            "42883",
            "no_such_schema.f",
        ),
        (
            "'{\"T\": \"message_store.tick\"}'",
            "42883",
            "message_store.tick",
        ),
        (
            "'{\"T\": \"pg_catalog.generate_series\"}'",
            "42883",
            "generate_series",
        ),
        ("'{\"T\": \"pg_catalog.sum\"}'", "42883", "sum"),
    ] {
        store
            .refuses(&subscription("'a'", handlers, "'{}'"), sqlstate, text)
            .await;
    }
    // Not valid names: PostgreSQL's own error for names, or that there is no such function.
    for name in ["", ".", "a..b", "\\\"", "f(bigint)", "a.b.c.d", " "] {
        let handlers = format!("'{{\"T\": \"{name}\"}}'");
        let error = store
            .session
            .error(&subscription("'a'", &handlers, "'{}'"))
            .await;
        let expected = ["42602", "42601", "42883", "0A000", "22023"];
        assert!(
            expected.contains(&error.sqlstate.as_str()),
            "{name}: {error:?}"
        );
        require_no_panic(&error);
        store.require_unharmed().await;
    }
    for (options, text) in [
        ("NULL", "options must not be NULL"),
        ("'[]'", "options must be a JSON object"),
        ("'null'", "options must be a JSON object"),
        (
            "'{\"intit\": \"message_store.ensure_home_page\"}'",
            "options has an unknown key: intit",
        ),
        ("'{\"init\": 1}'", "options"),
        ("'{\"init\": null}'", "options"),
    ] {
        store
            .refuses(&subscription("'a'", good, options), "22023", text)
            .await;
    }
    for init in ["public.nothing", "message_store.increment_videos_watched"] {
        let options = format!("'{{\"init\": \"{init}\"}}'");
        store
            .refuses(&subscription("'a'", good, &options), "42883", init)
            .await;
    }
    for category in ["NULL", "''", "'a-1'", "'-'"] {
        store
            .refuses(&subscription(category, good, "'{}'"), "22023", "category")
            .await;
    }
    let made = "SELECT count(*) FROM message_store.subscriptions";
    assert_eq!(store.session.bigint(made).await, 0);
}

#[tokio::test]
async fn handlers_must_be_executable_by_their_owner() {
    let store = Store::new(Cluster::shared()).await;
    store
        .run(
            "CREATE FUNCTION public.secret(viewed bigint) RETURNS void LANGUAGE sql AS '';
             CREATE FUNCTION public.secret_init() RETURNS void LANGUAGE sql AS '';
             REVOKE EXECUTE ON FUNCTION public.secret(bigint), public.secret_init() FROM PUBLIC",
        )
        .await;
    let client = store.database.connect_as("message_store").await;
    let secret = "'{\"T\": \"public.secret\"}'";
    let open = "'{\"T\": \"message_store.increment_videos_watched\"}'";
    for (handlers, options, name) in [
        (secret, "'{}'", "public.secret"),
        (
            open,
            "'{\"init\": \"public.secret_init\"}'",
            "public.secret_init",
        ),
    ] {
        let error = client.error(&subscription("'a'", handlers, options)).await;
        assert_eq!(error.sqlstate, "42501", "{error:?}");
        assert!(error.message.contains(name), "{error:?}");
    }
    // A right that is lost later is missed at the tick.
    store
        .run("GRANT EXECUTE ON FUNCTION public.secret(bigint) TO message_store")
        .await;
    client
        .run(&subscription("'a'", secret, "'{}'"))
        .await
        .unwrap();
    store
        .run("REVOKE EXECUTE ON FUNCTION public.secret(bigint) FROM message_store")
        .await;
    store
        .refuses("SELECT message_store.tick('s')", "42501", "public.secret")
        .await;
    store.run("DROP FUNCTION public.secret(bigint)").await;
    store
        .refuses("SELECT message_store.tick('s')", "42883", "public.secret")
        .await;

    let stranger = "CREATE ROLE other_owner LOGIN; GRANT message_store TO other_owner";
    store.run(stranger).await;
    let session = store.database.connect().await;
    session
        .run(&subscription("'a'", open, "'{}'").replace("'s'", "'mine'"))
        .await
        .unwrap();
    let other = store.database.connect_as("other_owner").await;
    for sql in [
        subscription(
            "'a'",
            open,
            "'{\"init\": \"message_store.ensure_home_page\"}'",
        )
        .replace("'s'", "'mine'"),
        "SELECT message_store.start('mine')".to_owned(),
    ] {
        let error = other.error(&sql).await;
        assert_eq!(error.sqlstate, "42501", "{sql}: {error:?}");
        assert!(error.message.contains("mine"), "{error:?}");
    }
}

#[tokio::test]
async fn ticks_need_a_subscriber_and_a_batch() {
    let store = Store::new(Cluster::shared()).await;
    let good = "'{\"T\": \"message_store.increment_videos_watched\"}'";
    store.run(&subscription("'a'", good, "'{}'")).await;
    for size in ["0", "-1", "'-9223372036854775808'"] {
        let sql = format!("SELECT message_store.tick('s', {size})");
        store.refuses(&sql, "22023", "batch_size").await;
    }
    let long = literal(Some(&"s".repeat(SUBSCRIBER_ID_MAX + 1)));
    for function in ["tick", "start"] {
        let call = |id: &str| format!("SELECT message_store.{function}({id})");
        store
            .refuses(&call("'nobody'"), "42704", "\"nobody\"")
            .await;
        for id in ["NULL", "''", long.as_str()] {
            store.refuses(&call(id), "22023", "subscriber_id").await;
        }
    }
    let create = subscription("'a'", good, "'{}'");
    for id in ["NULL", "''", long.as_str()] {
        store
            .refuses(
                &create.replace("('s'", &format!("({id}")),
                "22023",
                "subscriber_id",
            )
            .await;
    }
    for call in ["NULL, '1 s'", "0, NULL", "0, '-1 s'"] {
        let sql = format!("CALL message_store.wait_for_messages({call})");
        let name = if call.starts_with("NULL") {
            "after"
        } else {
            "timeout"
        };
        store.refuses(&sql, "22023", name).await;
    }
    for null in ["NULL::bigint", "NULL::bigint[]", "'{1,NULL}'::bigint[]"] {
        let sql = format!("SELECT message_store.increment_videos_watched({null})");
        store.refuses(&sql, "22023", "global_position").await;
    }
}

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

#[tokio::test]
async fn no_function_breaks_on_null_or_extreme_arguments() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(&write("'a-1'", "'T'", "NULL")).await.unwrap();
    session
        .run("SET message_store.sql_condition = on")
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
    assert!(functions.len() > 20);
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
async fn a_trigger_may_not_move_or_suppress_a_message() {
    let store = Store::new(Cluster::shared()).await;
    for (body, text) in [
        ("NEW.stream_name := 'b-1'; RETURN NEW", "stream_name"),
        ("NEW.stream_name := NULL; RETURN NEW", "stream_name"),
        ("NEW.position := NEW.position + 1; RETURN NEW", "position"),
        (
            "NEW.global_position := NEW.global_position + 1; RETURN NEW",
            "global_position",
        ),
        ("RETURN NULL", "trigger"),
    ] {
        store
            .run(&format!(
                "CREATE OR REPLACE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN {body}; END $$;
                 CREATE OR REPLACE TRIGGER meddle BEFORE INSERT ON message_store.messages
                   FOR EACH ROW EXECUTE FUNCTION public.meddle()"
            ))
            .await;
        store
            .refuses(&write("'a-1'", "'T'", "NULL"), "39P01", text)
            .await;
    }
    // It may look, and change what is not the message's place.
    store
        .run(
            "CREATE OR REPLACE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.data := NEW.data || '{\"seen\": true}'; RETURN NEW; END $$",
        )
        .await;
    store.run(&write("'a-1'", "'T'", "NULL")).await;
    let data = "SELECT data FROM message_store.get_last_stream_message('a-1')";
    assert_eq!(
        store.session.value(data).await.as_deref(),
        Some("{\"seen\": true}")
    );
}

#[tokio::test]
async fn a_failing_trigger_keeps_its_own_error() {
    let store = Store::new(Cluster::shared()).await;
    for timing in ["BEFORE", "AFTER"] {
        store
            .run(&format!(
                "CREATE OR REPLACE FUNCTION public.veto() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN RAISE EXCEPTION 'vetoed' USING ERRCODE = 'ZZ002', HINT = 'ask'; END $$;
                 CREATE OR REPLACE TRIGGER veto {timing} INSERT ON message_store.messages
                   FOR EACH ROW EXECUTE FUNCTION public.veto()"
            ))
            .await;
        let error = store
            .refuses(&write("'a-1'", "'T'", "NULL"), "ZZ002", "vetoed")
            .await;
        assert_eq!(error.hint, "ask");
        assert!(error.context.contains("veto()"), "{error:?}");
    }
}

#[tokio::test]
async fn row_level_security_is_refused() {
    let store = Store::new(Cluster::shared()).await;
    store
        .run("ALTER TABLE message_store.messages ENABLE ROW LEVEL SECURITY")
        .await;
    for sql in [
        write("'a-1'", "'T'", "NULL").as_str(),
        "SELECT message_store.get_stream_messages('a-1')",
        "SELECT message_store.get_category_messages('a')",
        "SELECT message_store.stream_version('a-1')",
    ] {
        store.refuses(sql, "0A000", "row-level security").await;
    }
}

#[tokio::test]
async fn a_missing_index_is_named_and_made_again() {
    let store = Store::new(Cluster::shared()).await;
    for (index, sql) in [
        ("messages_stream", write("'a-1'", "'T'", "NULL")),
        (
            "messages_stream",
            "SELECT message_store.get_stream_messages('a-1')".to_owned(),
        ),
        (
            "messages_category",
            "SELECT message_store.get_category_messages('a')".to_owned(),
        ),
    ] {
        store
            .run(&format!("DROP INDEX message_store.{index}"))
            .await;
        let error = store.refuses(&sql, "55000", index).await;
        assert!(error.hint.contains("create_store"), "{error:?}");
        store.run("SELECT message_store.create_store()").await;
        store.run(&sql.replace("'a-1'", "'b-1'")).await;
        let clear = "DELETE FROM message_store.messages WHERE stream_name = 'b-1'";
        store.run(clear).await;
    }
}

#[tokio::test]
async fn a_table_that_was_changed_is_not_written_to() {
    let store = Store::new(Cluster::shared()).await;
    for (change, undo) in [
        (
            "RENAME COLUMN data TO payload",
            "RENAME COLUMN payload TO data",
        ),
        ("RENAME TO log", ""),
    ] {
        let log = store.session.run(LOG).await.unwrap();
        store
            .run(&format!("ALTER TABLE message_store.messages {change}"))
            .await;
        for sql in [
            write("'a-1'", "'T'", "NULL").as_str(),
            "SELECT message_store.get_stream_messages('a-1')",
            "SELECT message_store.get_category_messages('a')",
        ] {
            let error = store.session.error(sql).await;
            assert_eq!(error.sqlstate, "55000", "{change}, {sql}: {error:?}");
            assert!(!error.hint.is_empty(), "{error:?}");
        }
        let undo = if undo.is_empty() {
            "ALTER TABLE message_store.log RENAME TO messages".to_owned()
        } else {
            format!("ALTER TABLE message_store.messages {undo}")
        };
        store.run(&undo).await;
        assert_eq!(store.session.run(LOG).await.unwrap(), log);
    }
    store.run(&write("'a-1'", "'T'", "NULL")).await;
}

#[tokio::test]
async fn without_a_store_every_function_says_how_to_make_one() {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    session.run("CREATE EXTENSION message_store").await.unwrap();
    for sql in [
        write("'a-1'", "'T'", "NULL").as_str(),
        "SELECT message_store.get_stream_messages('a-1')",
        "SELECT message_store.get_category_messages('a')",
        "SELECT message_store.get_all_messages()",
        "SELECT message_store.get_last_stream_message('a-1')",
        "SELECT message_store.stream_version('a-1')",
        "SELECT message_store.ensure_home_page()",
        "SELECT message_store.increment_videos_watched(1)",
        "SELECT message_store.tick('s')",
        "SELECT message_store.start('s')",
        "SELECT message_store.create_subscription('s', 'a', \
           '{\"T\": \"message_store.increment_videos_watched\"}')",
        "CALL message_store.wait_for_messages(0, '0')",
        "SELECT message_store.horizon_blockers()",
    ] {
        let error = session.error(sql).await;
        assert_eq!(error.sqlstate, "55000", "{sql}: {error:?}");
        assert!(
            error.hint.contains("message_store.create_store()"),
            "{error:?}"
        );
    }
    session
        .run("SELECT message_store.create_store()")
        .await
        .unwrap();
    session.run(&write("'a-1'", "'T'", "NULL")).await.unwrap();
}

/// What a JSON string of `size` letters comes back as.
async fn write_and_read_back(session: &Session, size: usize) -> Result<usize, SqlError> {
    let statement = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'big-1', 'T', \
                     jsonb_build_object('text', repeat('x', $1)))";
    let size_of_text = i32::try_from(size).unwrap();
    session.query(statement, &[&size_of_text]).await?;
    let read =
        "SELECT length(data::jsonb->>'text') FROM message_store.get_last_stream_message('big-1')";
    let length: i32 = session.query_one(read, &[]).await?.get(0);
    Ok(usize::try_from(length).unwrap())
}

#[tokio::test]
async fn large_data_is_written_and_read_back() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for size in [1 << 20, 100 << 20] {
        assert_eq!(write_and_read_back(&session, size).await, Ok(size));
    }
    // A string in jsonb ends at 256 MiB; PostgreSQL says so.
    let error = write_and_read_back(&session, 300 << 20).await.unwrap_err();
    assert_eq!(error.sqlstate, "54000", "{error:?}");
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.messages")
            .await,
        2
    );
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
