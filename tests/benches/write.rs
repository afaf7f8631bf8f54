//! Write throughput side by side: `write_message`, Message DB's, and a bare prepared INSERT into a
//! table with the same columns and indexes, which is the limit of PostgreSQL itself.
//!
//! Every round runs all three one after another, so that what else the machine does falls on all
//! of them; figures are medians of the rounds' ratios with their range. Run by `make bench`.
//!
//! What each guarantees is not the same: Message DB lets one writer of a category commit at a
//! time; a bare INSERT checks no version and orders nothing for readers.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up must fail loudly"
)]

use promises::{Cluster, Database, MessageDb, Spread, write_report};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Rounds of each setting.
const ROUNDS: usize = 5;
/// Seconds each of the three runs in a round.
const SECONDS: &str = "3";

/// How commits are flushed and how many clients write.
const SETTINGS: &[(&str, u32)] = &[
    ("native fsync", 1),
    ("native fsync", 8),
    ("native fsync", 32),
    ("commits of 1 ms", 64),
];

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
        ("max_connections", "120"),
        ("shared_buffers", "1GB"),
        ("max_wal_size", "8GB"),
    ]);
    let ours = runtime.block_on(async {
        let database = cluster.create_store().await;
        database.connect().await.run(BARE_TABLE).await.unwrap();
        database
    });
    let peer = "message_db_peer";
    MessageDb::install(&cluster, peer);
    let bench = Bench {
        cluster: &cluster,
        ours: &ours,
        peer,
        scripts: Scripts::written(),
    };

    println!(
        "{:<18} {:>7}  {:>20}  {:>24}",
        "commits", "clients", "ours / Message DB", "ours / bare INSERT"
    );
    let results: Vec<Value> = SETTINGS
        .iter()
        .map(|(commits, clients)| bench.compare(commits, *clients))
        .collect();
    let version = runtime.block_on(async { ours.connect().await.value("SELECT version()").await });
    let report = json!({
        "benchmark": "write",
        "postgresql": version,
        "message_db": "1.3.1",
        "seconds_a_run": SECONDS,
        "unit": "messages a second, one a transaction, one category, a stream each",
        "results": results,
    });
    write_report("write", &report);
}

struct Bench<'a> {
    cluster: &'a Cluster,
    ours: &'a Database<'a>,
    peer: &'a str,
    scripts: Scripts,
}

struct Scripts {
    write_message: tempfile::NamedTempFile,
    insert: tempfile::NamedTempFile,
}

impl Scripts {
    fn written() -> Self {
        let stream = "'viewings-' || gen_random_uuid()::varchar";
        let script = |sql: String| {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), sql).unwrap();
            file
        };
        Self {
            write_message: script(format!(
                "SELECT message_store.write_message(gen_random_uuid()::varchar, {stream}, \
                 'VideoViewed', '{DATA}', '{METADATA}');"
            )),
            insert: script(format!(
                "INSERT INTO bare.messages (id, stream_name, position, type, data, metadata) \
                 VALUES (gen_random_uuid(), {stream}, 0, 'VideoViewed', '{DATA}', '{METADATA}');"
            )),
        }
    }
}

impl Bench<'_> {
    fn compare(&self, commits: &str, clients: u32) -> Value {
        let options = match commits {
            "commits of 1 ms" => "-c commit_delay=1000 -c commit_siblings=0",
            _ => "",
        };
        let [mut ours, mut message_db, mut bare] = [const { Vec::<f64>::new() }; 3];
        let (write_message, insert) = (
            self.scripts.write_message.path(),
            self.scripts.insert.path(),
        );
        for _ in 0..ROUNDS {
            ours.push(self.rate(&self.ours.name, write_message, clients, options));
            message_db.push(self.rate(self.peer, write_message, clients, options));
            bare.push(self.rate(&self.ours.name, insert, clients, options));
        }
        let to_message_db = Spread::of(&ours, &message_db);
        let to_bare = Spread::of(&ours, &bare);
        println!("{commits:<18} {clients:>7}  {to_message_db:>20}  {to_bare:>24}");
        json!({
            "commits": commits, "clients": clients,
            "ours": ours, "message_db": message_db, "bare_insert": bare,
            "ours_to_message_db": to_message_db.to_json(), "ours_to_bare": to_bare.to_json(),
        })
    }

    /// Transactions a second, as pgbench counts them.
    fn rate(&self, database: &str, script: &Path, clients: u32, options: &str) -> f64 {
        let options = format!("-c search_path=message_store,public {options}");
        let mut pgbench = self.cluster.client_command("pgbench");
        pgbench.env("PGOPTIONS", options).arg("--file").arg(script);
        pgbench.args([
            "--no-vacuum",
            "--protocol=prepared",
            "--jobs=2",
            "--time",
            SECONDS,
        ]);
        let output = pgbench
            .args(["--client", &clients.to_string(), database])
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let rate = printed.lines().find_map(|line| line.strip_prefix("tps = "));
        rate.and_then(|rate| rate.split(' ').next())
            .and_then(|rate| rate.parse().ok())
            .unwrap_or_else(|| {
                panic!(
                    "pgbench: {printed}\n{}",
                    String::from_utf8_lossy(&output.stderr)
                )
            })
    }
}
