//! Emmett's event store in PostgreSQL.

use super::driver::{Client, Driven, Language};
use super::leave_out;
use super::manifest::npm_version;
use crate::comparison::Identity;

const PACKAGE: &str = "@event-driven-io/emmett-postgresql";

/// Emmett, where it is installed.
pub fn emmett() -> Option<Driven> {
    let client = Client {
        language: Language::Node,
        target: "emmett",
    };
    if !client.language.is_installed() {
        leave_out("Emmett");
        return None;
    }
    Some(Driven {
        identity: identity(),
        client,
    })
}

/// Emmett, of the version that is pinned.
pub(super) fn identity() -> Identity {
    let manifest = include_str!("../../peers/node/package.json");
    Identity::new(
        "Emmett",
        "checks versions; its consumer can skip messages of writers at the same time",
    )
    .version(&npm_version(manifest, PACKAGE))
}
