//! Definitions of subscriptions, and what is asked of them.

use promises::{Cluster, literal};

use crate::subscriber::{tick, tick_was};
use crate::{LOG, Store, require_no_panic, subscription, write};

/// The longest subscriber id, in bytes.
const SUBSCRIBER_ID_MAX: usize = 1_024;

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
        assert_eq!(
            tick(&store.session, "s", 1000).await,
            tick_was(outcome, scanned, scanned, i64::MAX)
        );
    }
    let wait = "CALL message_store.wait_for_messages('9223372036854775807', '10 ms')";
    assert_eq!(store.session.bigint(wait).await, i64::MAX);
    store.require_unharmed().await;
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
        ("'{\"init\": 1}'", "init"),
        ("'{\"init\": null}'", "init"),
        ("'{\"read_model\": []}'", "read_model"),
        ("'{\"read_model\": [1]}'", "read_model"),
        (
            "'{\"read_model\": \"message_store.messages\"}'",
            "read_model",
        ),
        ("'{\"read_model\": [\"public.nothing\"]}'", "public.nothing"),
        (
            "'{\"read_model\": [\"message_store.subscription_status\"]}'",
            "ordinary tables",
        ),
        (
            "'{\"read_model\": [{\"table\": \"message_store.read_model_pages\", \"where\": \"no_such_column = 1\"}]}'",
            "no_such_column",
        ),
        ("'{\"read_model\": [{\"where\": \"true\"}]}'", "read_model"),
        ("'{\"types\": []}'", "types"),
        ("'{\"types\": \"T\"}'", "types"),
        ("'{\"types\": [\"\"]}'", "types"),
        ("'{\"correlation\": \"a-1\"}'", "correlation"),
        ("'{\"correlation\": \"\"}'", "correlation"),
        ("'{\"group_size\": 0}'", "group_size"),
        ("'{\"group_size\": 32768}'", "group_size"),
        ("'{\"group_size\": 1.5}'", "group_size"),
        ("'{\"start_from\": 0}'", "start_from"),
        ("'{\"start_from\": 3}'", "start_from"),
        ("'{\"start_from\": \"yesteryear\"}'", "start_from"),
        ("'{\"start_from\": true}'", "start_from"),
        ("'{\"batch_size\": 0}'", "batch_size"),
        ("'{\"batch_size\": \"10\"}'", "batch_size"),
        ("'{\"batch_size\": 1e99}'", "batch_size"),
        ("'{\"order\": \"any\"}'", "order"),
        ("'{\"on_failure\": \"ignore\"}'", "on_failure"),
        ("'{\"park\": \"category\"}'", "park"),
        ("'{\"retries\": -1}'", "retries"),
        ("'{\"retry_delay\": 100}'", "retry_delay"),
        ("'{\"retry_delay\": \"soon\"}'", "retry_delay"),
        ("'{\"retry_delay\": \"-1 s\"}'", "retry_delay"),
        ("'{\"retry_max_delay\": \"100 years\"}'", "retry_max_delay"),
        ("'{\"transient_limit\": null}'", "transient_limit"),
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
    for source in ["NULL", "''", "'-'", "'-1'", "'$some'"] {
        store
            .refuses(&subscription(source, good, "'{}'"), "22023", "source")
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
        // What the hint says is the repair, to the letter.
        let grant = error.hint.split(';').next().unwrap();
        store.run(grant).await;
        client
            .run(&subscription("'a'", handlers, options))
            .await
            .unwrap();
        store
            .run(&grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
            .await;
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
    let stopped = tick(&store.session, "s", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "42501"), "{stopped:?}");
    assert!(stopped.error().contains("public.secret"), "{stopped:?}");
    store
        .run("DROP FUNCTION public.secret(bigint); SELECT message_store.start('s')")
        .await;
    let stopped = tick(&store.session, "s", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "42883"), "{stopped:?}");
    assert!(stopped.error().contains("public.secret"), "{stopped:?}");

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
    for function in [
        "tick(#)",
        "start(#)",
        "pause(#)",
        "stop(#)",
        "alter_subscription(#)",
        "rebuild(#)",
        "promote(#)",
        "cancel_rebuild(#)",
        "verify(#)",
        "dry_run(#)",
        "retry_parked(#)",
        "discard_parked(#, 'why')",
        "reset(#, 0, 'why')",
        "skip(#, 0, 'why')",
        "resize_group(#, 2)",
        "continue_from(#, 'a-1')",
        "fetch(#, 1, '1 s')",
        "ack(#, 1)",
        "park(#, 1, 'why')",
        "wait_for(#, 1)",
    ] {
        let call = |id: &str| format!("SELECT message_store.{}", function.replace('#', id));
        store
            .refuses(&call("'nobody'"), "42704", "\"nobody\"")
            .await;
        for id in ["NULL", "''", long.as_str()] {
            store.refuses(&call(id), "22023", "subscriber_id").await;
        }
    }
    let unknown = "SELECT message_store.drop_subscription('nobody')";
    assert_eq!(store.session.value(unknown).await.as_deref(), Some("f"));
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

#[tokio::test]
async fn steering_needs_arguments_that_can_be_meant() {
    let store = Store::new(Cluster::shared()).await;
    let good = "'{\"T\": \"message_store.increment_videos_watched\"}'";
    store.run(&subscription("'a'", good, "'{}'")).await;
    store
        .run("SELECT message_store.create_subscription('fetched', 'a', '{}')")
        .await;
    for (call, sqlstate, text) in [
        ("tick('s', NULL, 1)", "22023", "member"),
        ("tick('s', NULL, -1)", "22023", "member"),
        ("tick('fetched')", "55000", "fetch"),
        ("fetch('s', 1, '1 s')", "55000", "has handlers"),
        ("ack('s', 1)", "55000", "has handlers"),
        ("park('s', 1, 'why')", "55000", "has handlers"),
        ("fetch('fetched', 0, '1 s')", "22023", "n must"),
        ("fetch('fetched', NULL, '1 s')", "22023", "n must"),
        ("fetch('fetched', 1, '0')", "22023", "lease"),
        ("fetch('fetched', 1, NULL)", "22023", "lease"),
        ("fetch('fetched', 1, '1 s', 1)", "22023", "member"),
        ("ack('fetched', 1)", "55000", "lease"),
        ("ack('fetched', NULL)", "22023", "global_position"),
        ("ack('fetched', 1, 77)", "55000", "lease"),
        ("park('fetched', 1, 'why')", "55000", "lease"),
        ("reset('s', NULL, 'why')", "22023", "position"),
        ("reset('s', -1, 'why')", "22023", "position"),
        ("reset('s', 1, 'why')", "22023", "position"),
        ("reset('s', 0, NULL)", "22023", "reason"),
        ("reset('s', 0, '  ')", "22023", "reason"),
        ("skip('s', 9, 'why')", "22023", "position"),
        ("skip('s', 1, '')", "22023", "reason"),
        ("discard_parked('s', '')", "22023", "reason"),
        ("resize_group('s', 0)", "22023", "group_size"),
        ("resize_group('s', 40000)", "22023", "group_size"),
        ("resize_group('s', NULL)", "22023", "group_size"),
        ("continue_from('s', NULL)", "22023", "position_stream"),
        ("continue_from('s', 'a-1')", "22023", "position_stream"),
        ("wait_for('s', NULL)", "22023", "global_position"),
        ("wait_for('s', 1, '-1 s')", "22023", "timeout"),
        ("dry_run('s', n => 0)", "22023", "n must"),
        ("rebuild('s', true)", "55000", "read model"),
        ("verify('s')", "55000", "read model"),
        ("dry_run('s')", "55000", "read model"),
        ("promote('s')", "55000", "copy"),
        (
            "alter_subscription('s', options => '{\"group_size\": 2}')",
            "22023",
            "group_size",
        ),
        (
            "alter_subscription('s', options => '{\"start_from\": 1}')",
            "22023",
            "start_from",
        ),
        (
            "alter_subscription('s', options => '[]')",
            "22023",
            "options",
        ),
        (
            "alter_subscription('s', '{\"T\": \"nothing\"}')",
            "42883",
            "nothing",
        ),
    ] {
        let sql = format!("SELECT * FROM message_store.{call}");
        let error = store.refuses(&sql, sqlstate, text).await;
        assert!(!error.hint.is_empty(), "{call}: {error:?}");
    }
    let none = "SELECT message_store.cancel_rebuild('s')";
    assert_eq!(store.session.value(none).await.as_deref(), Some("f"));
}
