//! What one message costs whatever the machine: bytes of the write-ahead log, buffers touched,
//! instructions. `write_message`, Message DB's, and a bare prepared INSERT into a table with the
//! same columns and indexes, each message a transaction and a stream. All return the position: the
//! PostgreSQL of one process in which instructions are counted prints it, which costs some.

mod buffers;
mod instructions;
mod wal;

use promises::{Cluster, Session, StopMode};

use crate::bench::Bench;
use crate::comparison::{Comparison, Unit};
use crate::line_up::LineUp;
use crate::peers;
use crate::server::create_bare_table;
use crate::viewing::{DATA, METADATA, TYPE};

/// A tenth more than the bare INSERT at most.
const GOAL: f64 = 0.909;

/// Nothing but the messages writes to the log meanwhile.
const SETTINGS: &[(&str, &str)] = &[("autovacuum", "off"), ("checkpoint_timeout", "1h")];

/// All in one category, to a stream each.
const STREAM: &str = "'viewings-' || gen_random_uuid()::varchar";

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(SETTINGS);
    let writers = Writers::prepare(bench, &cluster);
    let wal = |label: &str| {
        let unit = Unit::cost("bytes a message");
        let line_up = writers.line_up(label, unit, |writer| wal::measure(bench, writer));
        line_up.at_least(GOAL).interleave(bench)
    };
    let mut contests = vec![wal("write-ahead log")];
    bench.block_on(async {
        let session = cluster.connect("postgres", "postgres").await;
        let sql = "ALTER SYSTEM SET full_page_writes = off";
        session.run(sql).await.unwrap();
    });
    cluster.restart(StopMode::Fast);
    contests.push(wal("write-ahead log, full_page_writes off"));

    let unit = Unit::cost("buffers a message");
    let buffers = writers.line_up("buffers touched or dirtied", unit, |writer| {
        buffers::measure(bench, writer)
    });
    contests.push(buffers.interleave(bench));

    if bench.quick {
        bench.say("cost: a quick run counts no instructions");
    } else if !instructions::can_be_counted(&cluster) {
        bench.say("cost: no instructions are counted: install valgrind");
    } else {
        cluster.stop(StopMode::Fast);
        let unit = Unit::cost("instructions a message");
        let instructions = writers.line_up("instructions", unit, instructions::measure);
        contests.push(instructions.at_least(GOAL).interleave(bench));
    }
    contests.into_iter().map(Comparison::from).collect()
}

/// Somebody who writes a message by one statement.
struct Writer<'a> {
    cluster: &'a Cluster,
    database: String,
    statement: String,
}

/// Everybody in the line-ups.
struct Writers<'a> {
    ours: Writer<'a>,
    bare: Writer<'a>,
    message_db: Writer<'a>,
}

impl<'a> Writers<'a> {
    fn prepare(bench: &Bench, cluster: &'a Cluster) -> Self {
        let store = bench.block_on(async {
            let store = cluster.create_store().await;
            create_bare_table(&store.connect().await).await;
            store.name
        });
        peers::install_message_db(cluster);
        let writer = |database: &str, statement: &str| Writer {
            cluster,
            database: database.to_owned(),
            statement: statement.to_owned(),
        };
        let write_message = format!(
            "SELECT write_message(gen_random_uuid()::varchar, {STREAM}, \
             '{TYPE}', '{DATA}', '{METADATA}')"
        );
        let insert = format!(
            "INSERT INTO bare.messages (id, stream_name, position, type, data, metadata) \
             VALUES (gen_random_uuid(), {STREAM}, 0, '{TYPE}', '{DATA}', '{METADATA}') \
             RETURNING position"
        );
        Self {
            ours: writer(&store, &write_message),
            bare: writer(&store, &insert),
            message_db: writer(peers::MESSAGE_DB, &write_message),
        }
    }

    /// The bare INSERT comes last, for whoever has a goal.
    fn line_up<'b>(
        &'b self,
        label: &str,
        unit: Unit,
        measure: impl Fn(&Writer<'_>) -> f64 + Copy + 'b,
    ) -> LineUp<'b> {
        LineUp::new(label, unit, peers::message_store(), move || {
            measure(&self.ours)
        })
        .against(peers::message_db(), move || measure(&self.message_db))
        .against(peers::bare_insert(), move || measure(&self.bare))
    }
}

impl Writer<'_> {
    /// A session with the search path that clients of Message DB have.
    async fn connect(&self) -> Session {
        let session = self.cluster.connect(&self.database, "postgres").await;
        let sql = "SET search_path = message_store, public";
        session.run(sql).await.unwrap();
        session
    }
}
