//! Promise: a read of a stream returns the messages that a query of the table returns, whatever its
//! batch size, and whatever the stream's owner has deleted.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::Cluster;

/// Every read that differs from the query it stands for.
const DIFFERING: &str = "
    SELECT count(*)
    FROM generate_series(-3, 205) AS first,
         unnest(ARRAY[0, 1, 2, 31, 32, 33, 100, 1000, -1]) AS size
    WHERE ARRAY(SELECT seen.position
                FROM message_store.get_stream_messages('account-1', first, size) seen)
          IS DISTINCT FROM
          ARRAY(SELECT kept.position FROM message_store.messages kept
                WHERE stream_name = 'account-1' AND kept.position >= first
                ORDER BY kept.position LIMIT nullif(size, -1))";

#[tokio::test]
async fn batches_of_any_size_are_full_where_messages_were_deleted() {
    let session = Cluster::shared().create_store().await.connect().await;
    session
        .run(
            "SELECT message_store.write_message(
               gen_random_uuid()::varchar, 'account-' || n % 2, 'A', '{}')
             FROM generate_series(1, 400) n",
        )
        .await
        .unwrap();
    assert_eq!(session.bigint(DIFFERING).await, 0, "a whole stream");
    for deleted in [
        "position < 40",
        "position BETWEEN 60 AND 61",
        "position BETWEEN 100 AND 170",
        "position > 190",
    ] {
        session
            .run(&format!(
                "DELETE FROM message_store.messages
                 WHERE stream_name = 'account-1' AND {deleted}"
            ))
            .await
            .unwrap();
        assert_eq!(session.bigint(DIFFERING).await, 0, "without {deleted}");
    }
}
