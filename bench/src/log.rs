//! A log that is there before anybody reads it: the same rows in a store of ours and in Message DB,
//! so that both are asked the same and must answer the same.

use promises::{Cluster, Session};

use crate::bench::Bench;
use crate::comparison::Unit;
use crate::line_up::LineUp;
use crate::peers;
use crate::pgbench::{Load, Script};
use crate::viewing::{DATA, METADATA, TYPE};

/// Viewings of many streams, which take turns.
pub struct Log {
    /// The server with both databases.
    pub cluster: Cluster,
    /// The database of our store.
    pub store: String,
    /// Global positions are 1 to this.
    pub messages: i64,
    /// Their names are `viewings-0`, `viewings-1`, ...
    pub streams: i64,
    load: Load,
    quick: bool,
}

impl Log {
    /// Fills both databases of a new server.
    pub fn fill(bench: &Bench) -> Self {
        bench.say("filling the log");
        let cluster = bench.start_server(&[]);
        let store = bench.block_on(cluster.create_store()).name;
        peers::install_message_db(&cluster);
        let log = Self {
            cluster,
            store,
            messages: bench.sized(500_000, 20_000),
            streams: 5_000,
            load: Load::one_reader(bench),
            quick: bench.quick,
        };
        bench.block_on(async {
            for database in [log.store.as_str(), peers::MESSAGE_DB] {
                let session = log.connect(database).await;
                for sql in [&log.insert(), "VACUUM ANALYZE messages"] {
                    session.run(sql).await.unwrap();
                }
            }
        });
        log
    }

    /// How many messages each stream has.
    pub fn messages_of_a_stream(&self) -> i64 {
        self.messages / self.streams
    }

    /// A session in one of the databases, with the search path that clients of Message DB have.
    pub async fn connect(&self, database: &str) -> Session {
        let session = self.cluster.connect(database, "postgres").await;
        let sql = "SET search_path = message_store, public";
        session.run(sql).await.unwrap();
        session
    }

    /// A script that one client runs in both databases.
    pub fn line_up<'a>(&'a self, label: &str, script: &'a Script) -> LineUp<'a> {
        let rate = |database| script.rate(&self.cluster, database, &self.load);
        let unit = Unit::rate("reads a second");
        let line_up = LineUp::new(label, unit, peers::message_store(), move || {
            rate(&self.store)
        })
        .against(peers::message_db(), move || rate(peers::MESSAGE_DB));
        if self.quick {
            return line_up;
        }
        line_up.warmed_up()
    }

    /// Fails unless the function call returns some messages, and the same in both databases in the
    /// same order.
    pub async fn require_same_messages(&self, call: &str) {
        let sql = format!("SELECT md5(string_agg(m::text, ',')) FROM {call} m");
        let ours = self.connect(&self.store).await.value(&sql).await;
        let theirs = self.connect(peers::MESSAGE_DB).await.value(&sql).await;
        assert!(ours.is_some(), "{call} returns nothing");
        assert_eq!(ours, theirs, "{call} differs from Message DB's");
    }

    /// A tenth of the messages are correlated with a stream of the category `orders`.
    fn insert(&self) -> String {
        let Self {
            messages, streams, ..
        } = self;
        format!(
            r#"INSERT INTO messages
                 (global_position, position, time, stream_name, type, data, metadata, id)
               SELECT i, (i - 1) / {streams}, timestamp '2025-01-01' + i * interval '1 ms',
                      'viewings-' || (i - 1) % {streams}, '{TYPE}', '{DATA}',
                      CASE WHEN i % 10 = 0
                           THEN '{METADATA}'::jsonb || '{{"correlationStreamName": "orders-123"}}'
                           ELSE '{METADATA}' END,
                      md5(i::text)::uuid
               FROM generate_series(1, {messages}) i;
               SELECT setval('messages_global_position_seq', {messages})"#
        )
    }
}

impl Load {
    /// One client that reads.
    pub fn one_reader(bench: &Bench) -> Self {
        Self {
            clients: 1,
            seconds: bench.sized(3, 1),
            options: String::new(),
        }
    }

    /// The same, whose SELECTs go by an index.
    pub fn one_reader_by_index(bench: &Bench) -> Self {
        let options = "-c enable_seqscan=off -c enable_bitmapscan=off \
                       -c max_parallel_workers_per_gather=0";
        Self {
            options: options.to_owned(),
            ..Self::one_reader(bench)
        }
    }
}
