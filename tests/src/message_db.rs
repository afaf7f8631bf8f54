//! The peer: Message DB, from its npm package, installed by its own script into a database of
//! the same cluster.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::cluster::{Cluster, SUPERUSER, output_of};
use crate::database::Database;
use crate::session::Session;

/// A database with Message DB in it.
pub struct MessageDb<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl<'a> MessageDb<'a> {
    /// Runs Message DB's own `install.sh` for a new database.
    pub fn install(cluster: &'a Cluster, name: &str) -> Self {
        Self::install_of(cluster, "@eventide/message-db", name)
    }

    /// The same of an earlier version, `1.1.6`, `1.2.3` or `1.2.6`.
    pub fn install_version(cluster: &'a Cluster, version: &str, name: &str) -> Self {
        Self::install_of(cluster, &format!("message-db-{version}"), name)
    }

    fn install_of(cluster: &'a Cluster, package: &str, name: &str) -> Self {
        // Two at a time would make the same role.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock();
        let script = folder_of(package).join("database/install.sh");
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

    /// The database, for those who know nothing of Message DB.
    pub fn database(&self) -> Database<'a> {
        Database {
            cluster: self.cluster,
            name: self.name.clone(),
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

/// The folder of a package; fetched by the lock file beside it where it is missing.
fn folder_of(package: &str) -> PathBuf {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let package = peers.join("node_modules").join(package);
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
