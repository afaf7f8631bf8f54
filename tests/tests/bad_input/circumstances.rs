//! Functions where they cannot do all of their work. What they are given is for the fuzzer to choose.

use promises::Cluster;

use crate::{Store, subscription, write};

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

/// Whoever may alter a function may say what is not so: that it can be called in a parallel query.
#[tokio::test]
async fn a_parallel_query_is_refused_where_a_function_cannot_be_called_in_one() {
    let store = Store::new(Cluster::shared()).await;
    let good = "'{\"T\": \"message_store.increment_videos_watched\"}'";
    store.run(&subscription("'a'", good, "'{}'")).await;
    store
        .run(
            "DO $$ DECLARE f regprocedure; BEGIN
               FOR f IN SELECT oid FROM pg_proc
                         WHERE pronamespace = 'message_store'::regnamespace AND prokind = 'f' LOOP
                 EXECUTE format('ALTER FUNCTION %s PARALLEL SAFE', f);
               END LOOP;
             END $$;
             SELECT set_config(name, 'on', false) FROM pg_settings
              WHERE name IN ('force_parallel_mode', 'debug_parallel_query')",
        )
        .await;
    let mut refused = 0;
    for call in [
        "get_all_messages()",
        "get_category_messages('a')",
        "get_stream_messages('a-1')",
        "get_last_stream_message('a-1')",
        "stream_version('a-1')",
        "acquire_lock('a-1')",
        "horizon()",
        "epoch()",
        "check_position(gen_random_uuid(), 1)",
        "record_horizons()",
        "write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')",
        "advance_position(0)",
        "become_shard(0, 1, 1)",
        "tick('s')",
        "start('s')",
        "pause('s')",
        "reset('s')",
        "verify('s')",
        "fetch('s', 1, '1 s')",
        "wait_for('s', 1)",
        "retry_parked('s')",
        "delete_stream('a-1', 'r')",
        "delete_category_before('a', 1, 'r')",
        "erase_message_data(gen_random_uuid(), 'r')",
        "retain('a', '1 day')",
        "apply_retention()",
        "drop_subscription('s')",
    ] {
        let sql = format!("SELECT message_store.{call} FROM generate_series(1, 3)");
        if let Err(error) = store.session.run(&sql).await {
            assert_ne!(error.sqlstate, "XX000", "{call}: {error:?}");
            refused += usize::from(error.sqlstate == "25000");
        }
    }
    assert!(refused > 10, "{refused}");
    store.run("RESET ALL").await;
    store.require_unharmed().await;
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
