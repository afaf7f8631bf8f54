//! Who is in more than one line-up, with what each promises.

use promises::{Cluster, MessageDb};
use serde_json::Value;

use crate::comparison::Identity;

/// The name of Message DB's package, whose version is pinned for the tests and for us.
const PACKAGE: &str = "@eventide/message-db";

/// The database that [`install_message_db`] makes.
pub const MESSAGE_DB: &str = "message_db_peer";

/// Ours, of the version that the report names.
pub fn message_store() -> Identity {
    Identity::new(
        "message_store",
        "checks versions; no reader skips a message; writers of a category do not wait",
    )
}

/// Message DB as its package has it.
pub fn message_db() -> Identity {
    let package: Value =
        serde_json::from_str(include_str!("../../tests/peers/package.json")).unwrap();
    let version = package["dependencies"][PACKAGE].as_str().unwrap();
    Identity::new(
        "Message DB",
        "checks versions; one writer of a category commits at a time",
    )
    .version(version)
}

/// The limit of PostgreSQL itself.
pub fn bare_insert() -> Identity {
    Identity::new(
        "bare INSERT",
        "the same columns and indexes; checks no version and orders nothing for readers",
    )
}

/// Installs Message DB into a database of its own.
pub fn install_message_db(cluster: &Cluster) {
    MessageDb::install(cluster, MESSAGE_DB);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_message_db_is_one() {
        let version = message_db().version.unwrap();
        assert!(
            version.starts_with(|first: char| first.is_ascii_digit()),
            "{version}"
        );
    }
}
