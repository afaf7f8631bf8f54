//! Message DB, whose functions ours are compatible with.

use promises::{Cluster, MessageDb};

use super::manifest::npm_version;
use crate::comparison::Identity;

/// The name of its package, whose version is pinned for the tests and for us.
const PACKAGE: &str = "@eventide/message-db";

/// The database that [`install_message_db`] makes.
pub const MESSAGE_DB: &str = "message_db_peer";

/// Message DB as its package has it.
pub fn message_db() -> Identity {
    let manifest = include_str!("../../../tests/peers/package.json");
    Identity::new(
        "Message DB",
        "checks versions; one writer of a category commits at a time",
    )
    .version(&npm_version(manifest, PACKAGE))
}

/// Installs Message DB into a database of its own.
pub fn install_message_db(cluster: &Cluster) {
    MessageDb::install(cluster, MESSAGE_DB);
}
