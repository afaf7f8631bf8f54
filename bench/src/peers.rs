//! Who is in more than one line-up, with what each promises.

mod driver;
mod emmett;
mod eventsourcing;
mod manifest;
mod message_db;
mod pgmq;
mod pgq;
mod scripted;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use promises::Cluster;

use crate::comparison::Identity;
pub use driver::{Client, Driven, Language, Latency};
pub use emmett::emmett;
pub use message_db::{MESSAGE_DB, install_message_db, message_db};
pub use scripted::{Scripted, Task, line_up};

/// Ours, of the version that the report names.
pub fn message_store() -> Identity {
    Identity::new(
        "message_store",
        "checks versions; no reader skips a message; writers of a category do not wait",
    )
}

/// The limit of PostgreSQL itself.
pub fn bare_insert() -> Identity {
    Identity::new(
        "bare INSERT",
        "the same columns and indexes; checks no version and orders nothing for readers",
    )
}

/// The same that answers, as `write_message` does.
pub fn insert_returning() -> Identity {
    Identity::new(
        "bare INSERT ... RETURNING position",
        "the bare INSERT, which answers with the position as write_message does",
    )
}

/// What PostgreSQL's own work grows by.
pub fn plain_sql() -> Identity {
    Identity::new(
        "plain SQL",
        "SELECT and INSERT on the same table with the same indexes; checks no version",
    )
}

/// The stores with a client of their own that are installed.
pub fn driven() -> Vec<Driven> {
    let all = [emmett::emmett(), eventsourcing::eventsourcing()];
    all.into_iter().flatten().collect()
}

/// The queues that are installed.
pub fn queues(cluster: &Cluster) -> Vec<Scripted> {
    let all = [pgmq::pgmq(), pgq::pgq(cluster)];
    all.into_iter().flatten().collect()
}

/// Where the drivers and scripts of the peers are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Says, once, that a peer does not run.
fn leave_out(name: &'static str) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(name) {
        eprintln!("{name} is left out: it is not installed here");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_peer_is_one() {
        for peer in [message_db(), emmett::identity(), eventsourcing::identity()] {
            let version = peer.version.unwrap();
            let is_one = version.starts_with(|first: char| first.is_ascii_digit());
            assert!(is_one, "{}: {version}", peer.name);
        }
    }
}
