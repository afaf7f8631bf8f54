//! The servers that works measure: private clusters, set as a server that keeps what it was told.

use std::collections::BTreeMap;
use std::fmt;

use promises::{Cluster, Database, Session};
use serde::{Deserialize, Serialize};

use crate::bench::Bench;

/// What every server is set to, before the work's own settings.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "on"),
    ("autovacuum", "on"),
    ("max_connections", "120"),
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
];

/// The columns and indexes of a store's messages, in a table without its functions.
const BARE_TABLE: &str = "
    CREATE SCHEMA bare;
    CREATE TABLE bare.messages (
      global_position bigserial PRIMARY KEY,
      position bigint NOT NULL,
      time timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
      stream_name text COLLATE \"C\" NOT NULL,
      type text COLLATE \"C\" NOT NULL,
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

/// What a reader of the figures needs to know of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Its version.
    pub postgresql: String,
    /// The version of the extension as installed.
    pub message_store: String,
    /// What is not as PostgreSQL comes.
    pub settings: BTreeMap<String, String>,
}

impl fmt::Display for ServerFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings.iter();
        let settings: Vec<String> = settings
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        // What follows the number is the distribution's.
        let postgresql = self.postgresql.split(' ').next().unwrap_or_default();
        let settings = settings.join(", ");
        write!(
            formatter,
            "PostgreSQL {postgresql} ({settings}); message_store {}",
            self.message_store
        )
    }
}

impl Bench {
    /// Starts a server. `settings` come after [the bench's](SETTINGS) and win.
    pub fn start_server(&self, settings: &[(&str, &str)]) -> Cluster {
        let settings: BTreeMap<&str, &str> = SETTINGS.iter().chain(settings).copied().collect();
        let cluster = Cluster::start(&settings.clone().into_iter().collect::<Vec<_>>());
        let (postgresql, message_store) = self.block_on(async {
            let session = cluster.connect("postgres", "postgres").await;
            let extension = "SELECT default_version FROM pg_available_extensions \
                 WHERE name = 'message_store'";
            let version = session.value("SHOW server_version").await;
            (version, session.value(extension).await)
        });
        let facts = ServerFacts {
            postgresql: postgresql.unwrap(),
            message_store: message_store.expect("message_store is not installed: make install"),
            settings: settings
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        };
        let mut servers = self.servers.borrow_mut();
        if !servers.contains(&facts) {
            servers.push(facts);
        }
        cluster
    }
}

/// Drops a database with the sessions that are still in it: a run leaves nothing to the next one.
pub async fn drop_database(database: Database<'_>) {
    let session = database.cluster.connect("postgres", "postgres").await;
    let sql = format!("DROP DATABASE {} WITH (FORCE)", database.name);
    session.run(&sql).await.unwrap();
}

/// Makes `bare.messages` in a database with the extension: whoever writes into it pays for the
/// same row and the same indexes, and for nothing else.
pub async fn create_bare_table(session: &Session) {
    session.run(BARE_TABLE).await.unwrap();
}
