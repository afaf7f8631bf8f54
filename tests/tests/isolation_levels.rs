//! Promise: a stream is read as the transaction sees it, as in Message DB.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::Cluster;

const WRITE: &str =
    "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')";
const SEEN: &str = "SELECT (SELECT count(*) FROM message_store.get_stream_messages('a-1'))
                         + (SELECT count(*) FROM message_store.get_last_stream_message('a-1'))
                         + message_store.stream_version('a-1')";

#[tokio::test]
async fn repeatable_read_keeps_its_view_of_a_stream_and_read_committed_does_not() {
    let database = Cluster::shared().create_store().await;
    let (reader, writer) = (database.connect().await, database.connect().await);
    writer.run(WRITE).await.unwrap();
    for (level, afterwards) in [("REPEATABLE READ", 2), ("READ COMMITTED", 4)] {
        writer
            .run("DELETE FROM message_store.messages WHERE position > 0")
            .await
            .unwrap();
        reader
            .run(&format!("BEGIN ISOLATION LEVEL {level}"))
            .await
            .unwrap();
        assert_eq!(reader.bigint(SEEN).await, 2);
        writer.run(WRITE).await.unwrap();
        assert_eq!(reader.bigint(SEEN).await, afterwards);
        reader.run("ROLLBACK").await.unwrap();
    }
}
