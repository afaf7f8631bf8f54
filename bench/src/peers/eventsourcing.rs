//! The Python library eventsourcing, with its recorder for PostgreSQL.

use super::driver::{Client, Driven, Language};
use super::leave_out;
use super::manifest::python_version;
use crate::comparison::Identity;

const PACKAGE: &str = "eventsourcing";

/// The library, where it is installed.
pub fn eventsourcing() -> Option<Driven> {
    let client = Client {
        language: Language::Python,
        target: PACKAGE,
    };
    if !client.language.is_installed() {
        leave_out(PACKAGE);
        return None;
    }
    Some(Driven {
        identity: identity(),
        client,
    })
}

/// The library, of the version that is pinned.
pub(super) fn identity() -> Identity {
    let requirements = include_str!("../../peers/python/requirements.txt");
    Identity::new(
        PACKAGE,
        "checks versions; no reader skips a message; one writer of all commits at a time",
    )
    .version(&python_version(requirements, PACKAGE))
}
