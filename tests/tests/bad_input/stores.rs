//! Stores that somebody has changed, or that are not there.

use promises::Cluster;

use crate::{LOG, Store, write};

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

#[tokio::test]
async fn what_an_insert_would_heed_and_ours_would_not_is_refused() {
    let mut store = Store::new(Cluster::shared()).await;
    for (make, named, unmake) in [
        (
            "CREATE TABLE public.archive () INHERITS (message_store.messages)",
            "a table that inherits",
            "DROP TABLE public.archive",
        ),
        (
            "CREATE RULE twice AS ON INSERT TO message_store.messages DO ALSO NOTHING",
            "a rule",
            "DROP RULE twice ON message_store.messages",
        ),
        (
            "CREATE RULE never AS ON UPDATE TO message_store.messages DO INSTEAD NOTHING",
            "a rule",
            "DROP RULE never ON message_store.messages",
        ),
    ] {
        store.run(&write("'a-1'", "'T'", "NULL")).await;
        store.log = store.session.run(LOG).await.unwrap();
        store.run(make).await;
        for sql in [
            &write("'a-1'", "'T'", "NULL"),
            "SELECT message_store.get_stream_messages('a-1')",
            "SELECT message_store.get_category_messages('a')",
        ] {
            let error = store.refuses(sql, "0A000", named).await;
            assert!(!error.hint.is_empty(), "{error:?}");
        }
        store.run(unmake).await;
        store.run(&write("'a-1'", "'T'", "NULL")).await;
    }
}

#[tokio::test]
async fn a_database_of_another_encoding_gets_no_store() {
    let cluster = Cluster::shared();
    let admin = cluster.connect("postgres", "postgres").await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("in_{}", encoding.to_lowercase());
        let create =
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
        admin.run(&create).await.unwrap();
        let session = cluster.connect(&name, "postgres").await;
        session.run("CREATE EXTENSION message_store").await.unwrap();
        let error = session.error("SELECT message_store.create_store()").await;
        assert_eq!(error.sqlstate, "0A000", "{error:?}");
        assert!(error.message.contains(encoding), "{error:?}");
        assert!(error.hint.contains("ENCODING 'UTF8'"), "{error:?}");
    }
}
