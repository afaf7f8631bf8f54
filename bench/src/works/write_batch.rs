//! Batches, a transaction each: `write_messages`, Message DB's `write_message` for each message, and
//! COPY into a table with the same columns and indexes, which is the limit of PostgreSQL itself.
//! Then other event stores, each beside ours through the same client, and queues.
//!
//! Message DB has no batch. Its clients call it in a loop: each message a transaction, or, as
//! Eventide's client writes a batch, one call after another in one transaction. The fastest is a
//! statement that goes over the messages in the server, which no client of it does; a loop in
//! PL/pgSQL is no faster, a pipeline a third slower.

use std::fmt::Write;
use std::io::Cursor;
use std::pin::pin;
use std::time::Instant;

use futures_util::SinkExt;
use indicatif::HumanCount;
use promises::{Cluster, Session};
use serde_json::Value;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Identity, Unit};
use crate::line_up::{LineUp, interleave};
use crate::peers::{self, Scripted, Task};
use crate::server::create_bare_table;
use crate::viewing::{DATA, METADATA, TYPE};

/// Messages in a batch.
const MESSAGES: usize = 1_000;
/// Over how many streams a batch goes.
const STREAMS: &[usize] = &[1, 10, 1_000];

const COPY: &str =
    "COPY bare.messages (stream_name, position, type, data, metadata, id) FROM STDIN";

/// How many times better ours is to be.
const TO_MESSAGE_DB: f64 = 20.0;
const TO_COPY: f64 = 0.8;

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let mut contests = beside_copy(bench, &cluster);
    let seconds = bench.sized(3.0, 0.2);
    let options = [
        format!("--batch={MESSAGES}"),
        format!("--seconds={seconds}"),
    ];
    let label = format!("{} over {}", batch(), counted(1));
    for peer in peers::driven() {
        let ours = (label.as_str(), json());
        let line_up = peer.line_up(bench, &cluster, ours, "write-batch", &options);
        contests.push(line_up.interleave(bench));
    }
    let queues = peers::queues(&cluster);
    if !queues.is_empty() {
        let ours = Scripted::ours(array());
        let task = Task::WriteBatch {
            seconds: bench.sized(3, 1),
        };
        let label = format!("{label}, queues");
        let line_up = peers::line_up(bench, &cluster, &label, (&ours, &queues), task);
        contests.push(line_up.interleave(bench));
    }
    contests.into_iter().map(Comparison::from).collect()
}

fn beside_copy(bench: &Bench, cluster: &Cluster) -> Vec<Contest> {
    peers::install_message_db(cluster);
    let (session, message_db) = bench.block_on(async {
        let session = cluster.create_store().await.connect().await;
        create_bare_table(&session).await;
        let message_db = cluster.connect(peers::MESSAGE_DB, "postgres").await;
        let search_path = "SET search_path = message_store, public";
        message_db.run(search_path).await.unwrap();
        (session, message_db)
    });
    let batches = Batches {
        session: &session,
        message_db: &message_db,
        count: bench.sized(40, 2),
    };
    let compare = |streams: &usize| {
        let label = format!("{} over {}", batch(), counted(*streams));
        let unit = || Unit::rate("messages a second");
        let array = LineUp::new(&label, unit(), array(), || {
            bench.block_on(batches.through_array(*streams))
        });
        let mut line_ups = vec![batches.beside(bench, array, *streams)];
        if *streams == 1 {
            let label = format!("{label}, JSON");
            let json = LineUp::new(&label, unit(), json(), || {
                bench.block_on(batches.through_json())
            });
            line_ups.push(batches.beside(bench, json, *streams));
        }
        interleave(bench, line_ups)
    };
    STREAMS.iter().flat_map(compare).collect()
}

fn array() -> Identity {
    Identity::new(
        "write_messages, array",
        "checks versions and gives positions, all or nothing over all its streams",
    )
}

fn json() -> Identity {
    Identity::new(
        "write_messages, JSON",
        "the same, of one stream, given as one JSON array",
    )
}

/// Message DB, called for each message in one of several ways.
fn message_db(way: &str, guarantees: &str) -> Identity {
    let identity = peers::message_db();
    Identity {
        name: format!("{}, {way}", identity.name),
        guarantees: guarantees.to_owned(),
        ..identity
    }
}

fn copy() -> Identity {
    Identity::new(
        "COPY",
        "is given positions and ids; checks no version and orders nothing for readers",
    )
}

/// So many batches, one after another over one connection.
struct Batches<'a> {
    session: &'a Session,
    message_db: &'a Session,
    count: usize,
}

impl Batches<'_> {
    /// Whom ours is compared with.
    fn beside<'a>(&'a self, bench: &'a Bench, ours: LineUp<'a>, streams: usize) -> LineUp<'a> {
        let a_loop = message_db(
            "a loop",
            "checks versions; no batch: a transaction a message",
        );
        let calls = message_db("a transaction", "checks versions; one call after another");
        let statement = message_db("a statement", "checks versions; all calls in the server");
        ours.against(a_loop, move || {
            let a_transaction = false;
            bench.block_on(self.through_calls(streams, a_transaction))
        })
        .at_least(TO_MESSAGE_DB)
        .against(calls, move || {
            let a_transaction = true;
            bench.block_on(self.through_calls(streams, a_transaction))
        })
        .at_least(TO_MESSAGE_DB)
        .against(statement, move || {
            bench.block_on(self.through_statement(streams))
        })
        .against(copy(), move || bench.block_on(self.through_copy(streams)))
        .at_least(TO_COPY)
        .warmed_up()
    }

    async fn through_array(&self, streams: usize) -> f64 {
        let sql = "SELECT count(*) FROM message_store.write_messages(ARRAY(
               SELECT ROW(stream_name, $2, $3, $4, NULL, NULL)::message_store.new_message
               FROM unnest($1::text[]) AS stream_name))";
        let statement = self.session.prepare(sql).await.unwrap();
        let (data, metadata) = (parsed(DATA), parsed(METADATA));
        let batches: Vec<Vec<String>> = (0..self.count).map(|_| stream_names(streams)).collect();
        rate(self.count, async || {
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
        rate(self.count, async || {
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

    async fn through_statement(&self, streams: usize) -> f64 {
        let sql = "SELECT count(write_message(
               gen_random_uuid()::varchar, stream_name, $2, $3, $4))
             FROM unnest($1::varchar[]) AS stream_name";
        let statement = self.message_db.prepare(sql).await.unwrap();
        let (data, metadata) = (parsed(DATA), parsed(METADATA));
        let batches: Vec<Vec<String>> = (0..self.count).map(|_| stream_names(streams)).collect();
        rate(self.count, async || {
            for names in &batches {
                let parameters: [&(dyn ToSql + Sync); 4] = [names, &TYPE, &data, &metadata];
                let row = self.message_db.query_one(&statement, &parameters).await;
                assert_eq!(row.unwrap().get::<_, i64>(0), MESSAGES as i64);
            }
        })
        .await
    }

    /// Fewer batches than the others: the rate does not depend on how many they are.
    async fn through_calls(&self, streams: usize, in_a_transaction: bool) -> f64 {
        let sql = "SELECT write_message(gen_random_uuid()::varchar, $1::varchar, $2, $3, $4)";
        let statement = self.message_db.prepare(sql).await.unwrap();
        let (data, metadata) = (parsed(DATA), parsed(METADATA));
        let count = self.count.div_ceil(10);
        let batches: Vec<Vec<String>> = (0..count).map(|_| stream_names(streams)).collect();
        let (begin, commit) = if in_a_transaction {
            ("BEGIN", "COMMIT")
        } else {
            ("", "")
        };
        rate(count, async || {
            for names in &batches {
                self.message_db.run(begin).await.unwrap();
                for name in names {
                    let parameters: [&(dyn ToSql + Sync); 4] = [name, &TYPE, &data, &metadata];
                    let written = self.message_db.query_one(&statement, &parameters).await;
                    written.unwrap();
                }
                self.message_db.run(commit).await.unwrap();
            }
        })
        .await
    }

    async fn through_copy(&self, streams: usize) -> f64 {
        let batches: Vec<String> = (0..self.count).map(|_| rows_to_copy(streams)).collect();
        rate(self.count, async || {
            for rows in &batches {
                let mut sink = pin!(self.session.copy_in(COPY).await.unwrap());
                let rows = Cursor::new(rows.as_bytes().to_vec());
                sink.send(rows).await.unwrap();
                assert_eq!(sink.finish().await.unwrap(), MESSAGES as u64);
            }
        })
        .await
    }
}

/// Messages a second of so many batches.
async fn rate(batches: usize, work: impl AsyncFnOnce()) -> f64 {
    let begun = Instant::now();
    work().await;
    (batches * MESSAGES) as f64 / begun.elapsed().as_secs_f64()
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

fn batch() -> String {
    format!("{} messages", HumanCount(MESSAGES as u64))
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
