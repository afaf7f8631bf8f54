//! PgQ, a queue whose readers get what was written between two ticks.

use std::fs;
use std::path::PathBuf;

use promises::Cluster;

use super::leave_out;
use super::manifest::extension_version;
use super::scripted::Scripted;
use crate::comparison::Identity;

/// PgQ, where this PostgreSQL has it.
pub fn pgq(cluster: &Cluster) -> Option<Scripted> {
    let shared = PathBuf::from(cluster.pg_config_value("--sharedir"));
    let control = fs::read_to_string(shared.join("extension/pgq.control")).ok();
    let Some(version) = control.and_then(|control| extension_version(&control)) else {
        leave_out("PgQ");
        return None;
    };
    let identity = Identity::new(
        "PgQ",
        "a queue: no versions, no streams; readers wait for a tick; what all handled is gone",
    )
    .version(&version);
    Some(Scripted {
        identity,
        folder: "pgq",
        fill: "fill",
        installer: None,
    })
}
