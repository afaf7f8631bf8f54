//! Promise: a batch is written whole or not at all, in its order, once, and in nobody's way.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod batches;
mod duplicates;
mod handlers;
mod model;
mod other_writers;
mod own_table_rules;
mod refusals;

use promises::{Cluster, Database, Rows, Session, literal};

const ID: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
const OTHER_ID: &str = "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

/// Streams without a hole, in which global positions rise with positions.
const BROKEN_STREAMS: &str = "
    SELECT count(*) FROM (
      SELECT position, row_number() OVER stream - 1 AS expected,
             global_position > lag(global_position, 1, 0::bigint) OVER stream AS rises
      FROM message_store.messages WINDOW stream AS (PARTITION BY stream_name ORDER BY position)
    ) AS streams WHERE position <> expected OR NOT rises";

const LOG: &str = "SELECT id, stream_name, type, position, global_position, data, metadata \
                   FROM message_store.messages ORDER BY global_position";

fn element(stream: &str, message_type: &str, id: Option<&str>, expected: Option<i64>) -> String {
    let id = literal(id);
    let expected = expected.map_or("NULL".to_owned(), |expected| expected.to_string());
    format!("ROW('{stream}', '{message_type}', '{{}}', NULL, {id}, {expected})")
}

fn write(elements: &[String], on_duplicate: &str) -> String {
    format!(
        "SELECT * FROM message_store.write_messages(\
         ARRAY[{}]::message_store.new_message[], '{on_duplicate}')",
        elements.join(", ")
    )
}

fn write_to(stream: &str, messages: &str, rest: &str) -> String {
    format!("SELECT * FROM message_store.write_messages('{stream}', '{messages}'::jsonb{rest})")
}

async fn store() -> (Database<'static>, Session) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    (database, session)
}

/// The columns of a result but for the id.
fn places(rows: &Rows) -> Vec<Vec<&str>> {
    rows.iter()
        .map(|row| {
            row[1..]
                .iter()
                .map(|value| value.as_deref().unwrap_or("NULL"))
                .collect()
        })
        .collect()
}
