//! How what one call costs grows with the log: one category of many messages, in few streams and in
//! many.
//!
//! The calls are made in the server, by a procedure that makes many of them, so that no client and
//! no socket hides what grows; no commit waits for the disk. At each size the same few places are
//! read and written again and again: what is measured is the work of a call, and not that a large
//! log fits into no cache. But the index of ids is written where an id belongs: ids of random bits,
//! as most clients make them, go to pages all over it, and ids in the order of time to its end. Beside
//! the calls that PostgreSQL itself can answer stands plain SQL on the same table and its indexes.

use promises::{Cluster, Session};

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Unit};
use crate::figure::figure;
use crate::filled::FILLING;
use crate::line_up::{LineUp, interleave};
use crate::peers;
use crate::series::Series;
use crate::server::drop_database;

mod log;

use log::Log;

/// How much a cost may grow from the smallest log to the largest.
const WITHIN: f64 = 1.2;

/// Messages in the log.
const SIZES: &[i64] = &[10_000, 1_000_000, 20_000_000];
const QUICK_SIZES: &[i64] = &[1_000, 10_000];
/// Streams in the category, or as many as there are messages.
const STREAMS: &[i64] = &[1_000, 1_000_000];
const QUICK_STREAMS: &[i64] = &[100, 10_000];

/// Calls and how they are measured.
struct Call {
    name: &'static str,
    /// A procedure of [`log`] that makes so many calls and tells how long they took.
    procedure: &'static str,
    /// The same work in plain SQL, where there is such a thing: how far PostgreSQL's own cost grows.
    plain: Option<&'static str>,
    /// In a run.
    times: i64,
}

const CALLS: &[Call] = &[
    Call {
        name: "write_message, random ids",
        procedure: "write_with_random_ids",
        plain: Some("insert_with_random_ids"),
        times: 2_000,
    },
    Call {
        name: "write_message, ids in the order of time",
        procedure: "write_with_rising_ids",
        plain: Some("insert_with_rising_ids"),
        times: 2_000,
    },
    Call {
        name: "get_stream_messages, one message",
        procedure: "read_stream_messages",
        plain: Some("select_stream_messages"),
        times: 20_000,
    },
    Call {
        name: "get_last_stream_message",
        procedure: "read_last_messages",
        plain: Some("select_last_messages"),
        times: 20_000,
    },
    Call {
        name: "stream_version",
        procedure: "read_versions",
        plain: Some("select_versions"),
        times: 20_000,
    },
    Call {
        name: "get_category_messages, 1,000 from anywhere",
        procedure: "read_category_anywhere",
        plain: None,
        times: 200,
    },
    Call {
        name: "get_category_messages, the last 1,000",
        procedure: "read_category_at_the_end",
        plain: None,
        times: 200,
    },
    Call {
        name: "tick, 1,000 messages",
        procedure: "tick_at_the_end",
        plain: None,
        times: 100,
    },
];

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(FILLING);
    let streams = bench.sized(STREAMS, QUICK_STREAMS).iter();
    streams
        .flat_map(|streams| with_streams(bench, &cluster, *streams))
        .collect()
}

/// All calls along the sizes. The logs of a number of streams are gone before the next ones come.
fn with_streams(bench: &Bench, cluster: &Cluster, streams: i64) -> Vec<Comparison> {
    let sizes = bench.sized(SIZES, QUICK_SIZES);
    let mut logs = Vec::new();
    for messages in sizes {
        let streams = streams.min(*messages);
        bench.say(&format!(
            "growth: filling a log with {} messages in {} streams",
            figure(*messages as f64),
            figure(streams as f64)
        ));
        let log = bench.block_on(Log::fill(cluster, *messages, streams));
        logs.push(log);
    }
    let mut series = Vec::new();
    for call in CALLS {
        bench.say(&format!("growth: {}", call.name));
        let contests = contests(bench, call, &logs);
        let label = match logs.iter().any(|log| log.streams < streams) {
            true => format!("{}, up to {} streams", call.name, figure(streams as f64)),
            false => format!("{}, {} streams", call.name, figure(streams as f64)),
        };
        let sizes = sizes.iter().map(|size| *size as f64);
        let along = Series::new(&label, "messages in the log", sizes.zip(contests));
        series.push(along.growth_within(WITHIN).into());
    }
    for log in logs {
        bench.block_on(drop_database(log.into_database()));
    }
    series
}

/// One call at each of the sizes, in the same rounds.
fn contests(bench: &Bench, call: &Call, logs: &[Log<'_>]) -> Vec<Contest> {
    let times = bench.sized(call.times, (call.times / 100).max(10));
    let line_ups = logs.iter().map(|log| {
        let label = figure(log.messages as f64);
        let of =
            move |procedure| move || bench.block_on(microseconds(log.session(), procedure, times));
        let ours = of(call.procedure);
        let line_up = LineUp::new(&label, Unit::cost("µs"), peers::message_store(), ours);
        let line_up = match call.plain {
            Some(procedure) => line_up.against(peers::plain_sql(), of(procedure)),
            None => line_up,
        };
        line_up.warmed_up()
    });
    interleave(bench, line_ups.collect())
}

/// Of one call.
async fn microseconds(session: &Session, procedure: &str, times: i64) -> f64 {
    let sql = format!("CALL {procedure}({times}, NULL)");
    let took = session.value(&sql).await.unwrap();
    took.parse::<f64>().unwrap() / times as f64
}
