//! Reads of a category from a position on: `get_category_messages`, Message DB's, a plain SELECT of
//! the same columns, and the same SELECT where data, metadata and id are stored as text, which
//! shows how much of a read is the conversion of jsonb and uuid.
//!
//! The SELECTs read copies that have the index of the category alone: with the others there, the
//! planner takes the primary key for a log of one category, and the scan is slower.

use indicatif::HumanCount;

use crate::bench::Bench;
use crate::comparison::{Comparison, Identity};
use crate::log::Log;
use crate::pgbench::{Load, Script};

const COPIES: &str = "
    CREATE SCHEMA plain;
    CREATE TABLE plain.messages AS
      SELECT * FROM message_store.messages ORDER BY global_position;
    CREATE INDEX ON plain.messages (
      message_store.category(stream_name),
      global_position,
      message_store.category(metadata->>'correlationStreamName')
    );
    CREATE SCHEMA plain_text;
    CREATE TABLE plain_text.messages AS
      SELECT global_position, position, time, stream_name, type,
             data::text AS data, metadata::text AS metadata, id::text AS id
      FROM plain.messages ORDER BY global_position;
    CREATE INDEX ON plain_text.messages (message_store.category(stream_name), global_position);";

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let log = Log::fill(bench);
    bench.block_on(async {
        let session = log.connect(&log.store).await;
        for sql in [
            COPIES,
            "VACUUM ANALYZE plain.messages",
            "VACUUM ANALYZE plain_text.messages",
        ] {
            session.run(sql).await.unwrap();
        }
    });
    let by_index = Load::one_reader_by_index(bench);
    let rate = |script: &Script| script.rate(&log.cluster, &log.store, &by_index);
    let compare = |messages: &i64| {
        let messages = *messages;
        let first = log.messages / 3;
        let call = format!("get_category_messages('viewings', {first}, {messages})");
        bench.block_on(log.require_same_messages(&call));
        let latest = log.messages - messages + 1;
        let script = |read: &str| Script::new(&format!("\\set pos random(1, {latest})\n{read};"));
        let call = script(&format!(
            "SELECT * FROM get_category_messages('viewings', :pos, {messages})"
        ));
        let plain = script(&select("plain.messages", messages));
        let text = script(&select("plain_text.messages", messages));
        let label = format!("{} messages a read", HumanCount(messages as u64));
        let select = Identity::new(
            "plain SELECT",
            "goes by an index of the category; may skip a message that commits late",
        );
        let select_text = Identity::new(
            "plain SELECT of text",
            "the same, where data, metadata and id are stored as the text that is returned",
        );
        log.line_up(&label, &call)
            .at_least(2.0)
            .against(select, || rate(&plain))
            .at_least(0.9)
            .against(select_text, || rate(&text))
            .interleave(bench)
            .into()
    };
    let sizes = bench.sized([1_000, 100_000], [100, 10_000]);
    sizes.iter().map(compare).collect()
}

/// What `get_category_messages` returns, as a query.
fn select(table: &str, messages: i64) -> String {
    format!(
        "SELECT id::varchar, stream_name::varchar, type::varchar, position::bigint, \
         global_position::bigint, data::varchar, metadata::varchar, time::timestamp \
         FROM {table} WHERE category(stream_name) = 'viewings' AND global_position >= :pos \
         ORDER BY global_position LIMIT {messages}"
    )
}
