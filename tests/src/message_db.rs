//! The peer: Message DB, from its npm package, installed by its own script into a database of
//! the same cluster.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{Cluster, SUPERUSER, output_of};
use crate::session::Session;

/// A database with Message DB in it.
pub struct MessageDb<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl<'a> MessageDb<'a> {
    /// Runs Message DB's own `install.sh` for a new database.
    pub fn install(cluster: &'a Cluster, name: &str) -> Self {
        let script = package().join("database/install.sh");
        let mut install = Command::new("bash");
        cluster.set_client_environment(&mut install);
        install
            .arg(script)
            .env("DATABASE_NAME", name)
            .env("CREATE_DATABASE", "on");
        output_of(&mut install);
        Self {
            cluster,
            name: name.to_owned(),
        }
    }

    /// A session as the superuser, with the search path Message DB's functions rely on.
    pub async fn connect(&self) -> Session {
        let session = self.cluster.connect(&self.name, SUPERUSER).await;
        session
            .run("SET search_path = message_store, public")
            .await
            .unwrap();
        session
    }
}

/// The folder of the package; fetched by the lock file beside it where it is missing.
fn package() -> PathBuf {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let package = peers.join("node_modules/@eventide/message-db");
    // Test binaries may run at the same time: one fetches, the others wait for it.
    let lock = File::open(peers.join("package-lock.json")).unwrap();
    lock.lock().unwrap();
    if !package.join("database/install.sh").exists() {
        output_of(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--prefix"])
                .arg(peers),
        );
    }
    package
}
