//! Stores with long logs, filled without their writers.

use promises::{Cluster, Database};

use crate::viewing::{DATA, METADATA, TYPE};

/// A log is filled without the write-ahead log, which has no other use here.
pub const FILLING: &[(&str, &str)] = &[
    ("shared_buffers", "2GB"),
    ("maintenance_work_mem", "2GB"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
];

/// A new store with a log of one category, a multiple of its streams, which take turns.
pub async fn filled_store(cluster: &Cluster, messages: i64, streams: i64) -> Database<'_> {
    let database = cluster.create_store().await;
    let session = database.connect().await;
    // What is put into a table in the transaction that empties it needs no write-ahead log, and
    // indexes are made in one go where the rows are there.
    let fill = format!(
        "ALTER TABLE message_store.messages DROP CONSTRAINT messages_pkey;
             DROP INDEX message_store.messages_category, message_store.messages_id,
                        message_store.messages_stream;
             TRUNCATE message_store.messages;
             INSERT INTO message_store.messages
                 (global_position, position, stream_name, type, data, metadata, id)
               SELECT i, (i - 1) / {streams}, 'viewings-' || (i - 1) % {streams}, '{TYPE}',
                      '{DATA}', '{METADATA}', gen_random_uuid()
               FROM generate_series(1, {messages}) i;
             ALTER TABLE message_store.messages ADD CONSTRAINT messages_pkey
               PRIMARY KEY (global_position) NOT DEFERRABLE INITIALLY IMMEDIATE;
             SELECT message_store.create_store();
             SELECT setval('message_store.messages_global_position_seq', {messages})"
    );
    for sql in [
        fill.as_str(),
        "VACUUM (FREEZE, ANALYZE) message_store.messages",
        "CHECKPOINT",
    ] {
        session.run(sql).await.unwrap();
    }
    database
}
