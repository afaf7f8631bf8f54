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
