//! Many writers of one stream, each of which expects the version that it read: whoever comes second
//! is refused and reads again. Ours and Message DB's by the same client.
//!
//! A run fails where an update is lost: the stream must have exactly the messages whose writers were
//! told that they are written.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use promises::{Cluster, Session};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::bench::Bench;
use crate::comparison::{Comparison, Unit};
use crate::line_up::LineUp;
use crate::peers;
use crate::viewing::{DATA, METADATA, TYPE};

const WRITERS: usize = 64;
/// Those of the run before may still be leaving.
const MAX_CONNECTIONS: &str = "160";

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[("max_connections", MAX_CONNECTIONS)]);
    let store = bench.block_on(cluster.create_store()).name;
    peers::install_message_db(&cluster);
    let duration = Duration::from_secs(bench.sized(5, 1));
    let label = format!("{WRITERS} writers of one stream");
    let unit = Unit::rate("messages a second");
    let line_up = LineUp::new(&label, unit, peers::message_store(), || {
        bench.block_on(rate(&cluster, &store, duration))
    })
    .against(peers::message_db(), || {
        bench.block_on(rate(&cluster, peers::MESSAGE_DB, duration))
    })
    .at_least(1.0);
    vec![line_up.interleave(bench).into()]
}

/// Messages a second that all writers together write to a new stream.
async fn rate(cluster: &Cluster, database: &str, duration: Duration) -> f64 {
    let stream = format!("viewings-{}", Uuid::new_v4());
    let connect = (0..WRITERS).map(|_| Writer::connect(cluster, database, &stream));
    let writers = join_all(connect).await;
    let begun = Instant::now();
    let deadline = begun + duration;
    let writing = writers
        .into_iter()
        .map(|writer| tokio::spawn(writer.write_until(deadline)));
    let written = join_all(writing).await;
    let seconds = begun.elapsed().as_secs_f64();
    let mut told: Vec<i64> = written.into_iter().flat_map(Result::unwrap).collect();
    told.sort_unstable();
    let session = cluster.connect(database, "postgres").await;
    let sql = "SELECT array_agg(position ORDER BY position)
        FROM message_store.messages WHERE stream_name = $1";
    let kept: Vec<i64> = session.query_one(sql, &[&stream]).await.unwrap().get(0);
    let without_gaps: Vec<i64> = (0..kept.len() as i64).collect();
    assert_eq!(kept, without_gaps, "{stream} has gaps or doubles");
    assert_eq!(told, kept, "{stream} lost an update");
    kept.len() as f64 / seconds
}

/// One of those who write.
struct Writer {
    session: Session,
    stream: String,
    version: Statement,
    write: Statement,
}

impl Writer {
    async fn connect(cluster: &Cluster, database: &str, stream: &str) -> Self {
        let session = cluster.connect(database, "postgres").await;
        let search_path = "SET search_path = message_store, public";
        session.run(search_path).await.unwrap();
        let write = format!(
            "SELECT write_message(gen_random_uuid()::varchar, $1, '{TYPE}', '{DATA}', '{METADATA}', $2)"
        );
        let version = "SELECT coalesce(stream_version($1), -1)";
        Self {
            version: session.prepare(version).await.unwrap(),
            write: session.prepare(&write).await.unwrap(),
            stream: stream.to_owned(),
            session,
        }
    }

    /// Returns the positions that it was told it has written.
    async fn write_until(self, deadline: Instant) -> Vec<i64> {
        let mut positions = Vec::new();
        while Instant::now() < deadline {
            let version = self.read_version().await;
            match self.write(version).await {
                Ok(position) => {
                    assert_eq!(position, version + 1, "not the position after the version");
                    positions.push(position);
                }
                Err(error) => require_wrong_version(&error),
            }
        }
        positions
    }

    async fn read_version(&self) -> i64 {
        let parameters: [&(dyn ToSql + Sync); 1] = [&self.stream];
        let row = self.session.query_one(&self.version, &parameters);
        row.await.unwrap().get(0)
    }

    async fn write(&self, expected_version: i64) -> Result<i64, tokio_postgres::Error> {
        let parameters: [&(dyn ToSql + Sync); 2] = [&self.stream, &expected_version];
        let row = self.session.query_one(&self.write, &parameters);
        Ok(row.await?.get(0))
    }
}

/// Any other refusal is a failure.
fn require_wrong_version(error: &tokio_postgres::Error) {
    let refusal = error.as_db_error();
    let refused = refusal.is_some_and(|refusal| {
        refusal.code().code() == "P0001" && refusal.message().starts_with("Wrong expected version")
    });
    assert!(refused, "{error:?}");
}
