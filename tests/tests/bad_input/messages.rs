//! Names, types, versions, ids and data of messages.

use promises::{Cluster, Session, SqlError, literal};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::{LOG, Store, write};

/// The longest stream name, in bytes.
const STREAM_NAME_MAX: usize = 2_600;

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
