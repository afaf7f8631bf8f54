//! Batches, a transaction each: `write_messages`, and COPY into a table with the same columns and
//! indexes, which is the limit of PostgreSQL itself.

use std::fmt::Write;
use std::io::Cursor;
use std::pin::pin;
use std::time::Instant;

use futures_util::SinkExt;
use indicatif::HumanCount;
use promises::Session;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::bench::Bench;
use crate::comparison::{Comparison, Identity, Unit};
use crate::line_up::{LineUp, interleave};
use crate::server::create_bare_table;
use crate::viewing::{DATA, METADATA, TYPE};

/// Messages in a batch.
const MESSAGES: usize = 1_000;
/// Over how many streams a batch goes.
const STREAMS: &[usize] = &[1, 10, 1_000];

const COPY: &str =
    "COPY bare.messages (stream_name, position, type, data, metadata, id) FROM STDIN";

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let session = bench.block_on(async {
        let session = cluster.create_store().await.connect().await;
        create_bare_table(&session).await;
        session
    });
    let batches = Batches {
        session: &session,
        count: bench.sized(40, 2),
    };
    let unit = || Unit::rate("messages a second");
    let copy = || {
        Identity::new(
            "COPY",
            "is given positions and ids; checks no version and orders nothing for readers",
        )
    };
    let array = || {
        Identity::new(
            "write_messages, array",
            "checks versions and gives positions, all or nothing over all its streams",
        )
    };
    let json = || {
        Identity::new(
            "write_messages, JSON",
            "the same, of one stream, given as one JSON array",
        )
    };
    let compare = |streams: &usize| {
        let streams = *streams;
        let label = format!("1,000 messages over {}", counted(streams));
        let array = LineUp::new(&label, unit(), array(), || {
            bench.block_on(batches.through_array(streams))
        })
        .against(copy(), || bench.block_on(batches.through_copy(streams)))
        .warmed_up();
        if streams > 1 {
            return interleave(bench, vec![array]);
        }
        let label = format!("{label}, JSON");
        let json = LineUp::new(&label, unit(), json(), || {
            bench.block_on(batches.through_json())
        })
        .against(copy(), || bench.block_on(batches.through_copy(streams)))
        .warmed_up();
        interleave(bench, vec![array, json])
    };
    STREAMS
        .iter()
        .flat_map(compare)
        .map(Comparison::from)
        .collect()
}

/// So many batches, one after another over one connection.
struct Batches<'a> {
    session: &'a Session,
    count: usize,
}

impl Batches<'_> {
    async fn through_array(&self, streams: usize) -> f64 {
        let sql = "SELECT count(*) FROM message_store.write_messages(ARRAY(
               SELECT ROW(stream_name, $2, $3, $4, NULL, NULL)::message_store.new_message
               FROM unnest($1::text[]) AS stream_name))";
        let statement = self.session.prepare(sql).await.unwrap();
        let (data, metadata) = (parsed(DATA), parsed(METADATA));
        let batches: Vec<Vec<String>> = (0..self.count).map(|_| stream_names(streams)).collect();
        self.rate(async || {
            for names in &batches {
                let parameters: [&(dyn ToSql + Sync); 4] = [names, &TYPE, &data, &metadata];
                let row = self.session.query_one(&statement, &parameters).await;
                assert_eq!(row.unwrap().get::<_, i64>(0), MESSAGES as i64);
            }
        })
        .await
    }

    async fn through_json(&self) -> f64 {
        let sql = "SELECT count(*) FROM message_store.write_messages($1::varchar, $2::text::jsonb)";
        let statement = self.session.prepare(sql).await.unwrap();
        let message = format!(r#"{{"type": "{TYPE}", "data": {DATA}, "metadata": {METADATA}}}"#);
        let messages = format!("[{}]", vec![message; MESSAGES].join(", "));
        self.rate(async || {
            for _ in 0..self.count {
                let name = stream_names(1).swap_remove(0);
                let row = self
                    .session
                    .query_one(&statement, &[&name, &messages])
                    .await;
                assert_eq!(row.unwrap().get::<_, i64>(0), MESSAGES as i64);
            }
        })
        .await
    }

    async fn through_copy(&self, streams: usize) -> f64 {
        let batches: Vec<String> = (0..self.count).map(|_| rows_to_copy(streams)).collect();
        self.rate(async || {
            for rows in &batches {
                let mut sink = pin!(self.session.copy_in(COPY).await.unwrap());
                let rows = Cursor::new(rows.as_bytes().to_vec());
                sink.send(rows).await.unwrap();
                assert_eq!(sink.finish().await.unwrap(), MESSAGES as u64);
            }
        })
        .await
    }

    /// Messages a second.
    async fn rate(&self, work: impl AsyncFnOnce()) -> f64 {
        let begun = Instant::now();
        work().await;
        (self.count * MESSAGES) as f64 / begun.elapsed().as_secs_f64()
    }
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

fn counted(streams: usize) -> String {
    match streams {
        1 => "1 stream".to_owned(),
        _ => format!("{} streams", HumanCount(streams as u64)),
    }
}

fn rows_to_copy(streams: usize) -> String {
    let mut rows = String::new();
    for (number, name) in stream_names(streams).iter().enumerate() {
        let (position, id) = (number / streams, Uuid::now_v7());
        writeln!(rows, "{name}\t{position}\t{TYPE}\t{DATA}\t{METADATA}\t{id}").unwrap();
    }
    rows
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
