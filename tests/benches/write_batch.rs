//! Batches side by side: `write_messages`, and COPY into a table with the same columns and
//! indexes, which is the limit of PostgreSQL itself.
//!
//! Every round writes the same number of batches each way, one after another, so that what else
//! the machine does falls on all of them; figures are medians of the rounds' ratios with their
//! range. Run by `make bench`.
//!
//! What each does is not the same: COPY is given positions and ids, checks no version, and orders
//! nothing for readers.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up must fail loudly"
)]

use futures_util::SinkExt;
use promises::{Cluster, Session, Spread, write_report};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Rounds of each setting.
const ROUNDS: usize = 7;
/// Batches each way in a round.
const BATCHES: usize = 40;
/// Messages in a batch.
const MESSAGES: usize = 1_000;

/// Over how many streams a batch goes.
const STREAMS: &[usize] = &[1, 10, 1_000];

/// A body of the size a message of the demo has.
const DATA: &str = r#"{"userId": "1b0a3d5c-1c7a-4a8b-9a55-2f8f4c1d2e3f", "videoId": "streams"}"#;
const METADATA: &str = r#"{"traceId": "2b0a3d5c-1c7a-4a8b-9a55-2f8f4c1d2e3f"}"#;

const BARE_TABLE: &str = "
    CREATE SCHEMA bare;
    CREATE TABLE bare.messages (
      global_position bigserial PRIMARY KEY,
      position bigint NOT NULL,
      time timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
      stream_name text NOT NULL,
      type text NOT NULL,
      data jsonb,
      metadata jsonb,
      id uuid NOT NULL DEFAULT gen_random_uuid()
    );
    CREATE UNIQUE INDEX ON bare.messages (id);
    CREATE UNIQUE INDEX ON bare.messages (stream_name, position);
    CREATE INDEX ON bare.messages (
      message_store.category(stream_name),
      global_position,
      message_store.category(metadata->>'correlationStreamName')
    );";

fn main() {
    // `cargo test --benches` passes no --bench: then there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = Cluster::start(&[
        ("fsync", "on"),
        ("autovacuum", "on"),
        ("shared_buffers", "1GB"),
        ("max_wal_size", "8GB"),
    ]);
    let results = runtime.block_on(async {
        let database = cluster.create_store().await;
        let session = database.connect().await;
        session.run(BARE_TABLE).await.unwrap();
        println!(
            "{:<22} {:>22}  {:>22}",
            "messages a batch", "array / COPY", "JSON / COPY"
        );
        let mut results = Vec::new();
        for streams in STREAMS {
            results.push(compare(&session, *streams).await);
        }
        let version = session.value("SELECT version()").await;
        json!({
            "benchmark": "write_batch",
            "postgresql": version,
            "unit": "messages a second, one connection, a transaction a batch, one category",
            "messages_a_batch": MESSAGES,
            "results": results,
        })
    });
    write_report("write_batch", &results);
}

async fn compare(session: &Session, streams: usize) -> Value {
    let [mut array, mut json_array, mut copy] = [const { Vec::<f64>::new() }; 3];
    for round in 0..=ROUNDS {
        let by_array = through_array(session, streams).await;
        let by_json = through_json(session, streams).await;
        let by_copy = through_copy(session, streams).await;
        // The first round fills caches.
        if round > 0 {
            array.push(by_array);
            json_array.extend(by_json);
            copy.push(by_copy);
        }
    }
    let to_copy = Spread::of(&array, &copy);
    let json_to_copy = (!json_array.is_empty()).then(|| Spread::of(&json_array, &copy));
    let label = format!("{MESSAGES}, {streams} streams");
    let shown = json_to_copy
        .as_ref()
        .map_or_else(|| "one stream only".to_owned(), Spread::to_string);
    println!("{label:<22} {to_copy:>22}  {shown:>22}");
    json!({
        "streams": streams,
        "array": array, "json": json_array, "copy": copy,
        "array_to_copy": to_copy.to_json(),
        "json_to_copy": json_to_copy.map(|spread| spread.to_json()),
    })
}

/// The stream names of a batch, in no order: message after message goes to another stream.
fn stream_names(streams: usize) -> Vec<String> {
    let names: Vec<String> = (0..streams)
        .map(|_| format!("viewings-{}", Uuid::new_v4()))
        .collect();
    (0..MESSAGES)
        .map(|number| names[number % streams].clone())
        .collect()
}

async fn through_array(session: &Session, streams: usize) -> f64 {
    let statement = session
        .prepare(
            "SELECT count(*) FROM message_store.write_messages(ARRAY(
               SELECT ROW(stream_name, $2, $3, $4, NULL, NULL)::message_store.new_message
               FROM unnest($1::text[]) AS stream_name))",
        )
        .await
        .unwrap();
    let (data, metadata) = (parsed(DATA), parsed(METADATA));
    let batches: Vec<Vec<String>> = (0..BATCHES).map(|_| stream_names(streams)).collect();
    rate(async || {
        for names in &batches {
            let parameters: [&(dyn ToSql + Sync); 4] = [names, &"VideoViewed", &data, &metadata];
            let row = session.query_one(&statement, &parameters).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), MESSAGES as i64);
        }
    })
    .await
}

async fn through_json(session: &Session, streams: usize) -> Option<f64> {
    if streams > 1 {
        return None;
    }
    let statement = session
        .prepare("SELECT count(*) FROM message_store.write_messages($1::varchar, $2::text::jsonb)")
        .await
        .unwrap();
    let message = format!(r#"{{"type": "VideoViewed", "data": {DATA}, "metadata": {METADATA}}}"#);
    let messages = format!("[{}]", vec![message; MESSAGES].join(", "));
    let rate = rate(async || {
        for _ in 0..BATCHES {
            let name = stream_names(1).swap_remove(0);
            let row = session.query_one(&statement, &[&name, &messages]).await;
            assert_eq!(row.unwrap().get::<_, i64>(0), MESSAGES as i64);
        }
    });
    Some(rate.await)
}

async fn through_copy(session: &Session, streams: usize) -> f64 {
    let batches: Vec<String> = (0..BATCHES)
        .map(|_| {
            let mut rows = String::new();
            for (number, name) in stream_names(streams).iter().enumerate() {
                let (position, id) = (number / streams, Uuid::now_v7());
                writeln!(
                    rows,
                    "{name}\t{position}\tVideoViewed\t{DATA}\t{METADATA}\t{id}"
                )
                .unwrap();
            }
            rows
        })
        .collect();
    rate(async || {
        for rows in &batches {
            let sink = session
                .copy_in(
                    "COPY bare.messages (stream_name, position, type, data, metadata, id) \
                     FROM STDIN",
                )
                .await
                .unwrap();
            let mut sink = std::pin::pin!(sink);
            sink.send(std::io::Cursor::new(rows.as_bytes().to_vec()))
                .await
                .unwrap();
            assert_eq!(sink.finish().await.unwrap(), MESSAGES as u64);
        }
    })
    .await
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Messages a second.
async fn rate(work: impl AsyncFnOnce()) -> f64 {
    let begun = Instant::now();
    work().await;
    (BATCHES * MESSAGES) as f64 / begun.elapsed().as_secs_f64()
}
