//! Debian's pgbouncer before a cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::database::Database;
use crate::orchestrator::Running;
use crate::session::Session;

/// A pooler of its own, on a socket in a temporary folder. It ends with us.
pub struct PgBouncer {
    /// Its process and its log.
    pub running: Running,
    folder: TempDir,
}

/// For how long an application keeps a session to the server.
#[derive(Clone, Copy)]
pub enum PoolMode {
    /// As long as it is connected.
    Session,
    /// For a transaction: every one may get another session.
    Transaction,
}

impl PgBouncer {
    /// The port at its addresses and of its socket.
    pub const PORT: u16 = 6432;

    /// Starts one in transaction mode, with so many sessions to the server for each role.
    pub fn start(cluster: &Cluster, sessions: u32) -> Self {
        Self::start_in(PoolMode::Transaction, cluster, sessions, "")
    }

    /// The same in any mode. `settings` are further lines of its configuration.
    pub fn start_in(mode: PoolMode, cluster: &Cluster, sessions: u32, settings: &str) -> Self {
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
        };
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let (users, config) = (folder.path().join("users"), folder.path().join("config"));
        fs::write(&users, "\"postgres\" \"\"\n\"message_store\" \"\"\n").unwrap();
        let text = format!(
            "[databases]\n* = host={}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {}\n\
             auth_type = trust\nauth_file = {}\npool_mode = {mode}\n\
             default_pool_size = {sessions}\nmax_client_conn = 100\n{settings}\n",
            cluster.socket_dir().display(),
            folder.path().display(),
            users.display(),
        );
        fs::write(&config, text).unwrap();
        // The server's user: it refuses to be root.
        let mut command = cluster.server_command(program());
        command.arg(&config);
        let running = Running::start(&mut command);
        running.wait_for_log("process up");
        Self { running, folder }
    }

    /// The libpq address of a database behind it, for a role.
    pub fn url(&self, database: &Database<'_>, role: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "postgresql://{role}@/{}?host={folder}&port={}",
            database.name,
            Self::PORT
        )
    }

    /// The address of a database behind it as routers have it.
    pub fn address(&self, database: &Database<'_>) -> String {
        let folder = self.folder.path().display();
        format!("host={folder} port={} dbname={}", Self::PORT, database.name)
    }

    /// A session of an application behind it. Its statements must not be prepared.
    pub async fn connect(&self, database: &Database<'_>, role: &str) -> Session {
        let url = self.url(database, role);
        Session::open(&url.parse().unwrap()).await
    }
}

/// Debian puts it where only root looks. The whole path, since the server's own programs are elsewhere.
fn program() -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders.push("/usr/sbin".into());
    let programs = folders.into_iter().map(|folder| folder.join("pgbouncer"));
    let mut installed = programs.filter(|program| program.exists());
    installed
        .next()
        .unwrap_or_else(|| panic!("pgbouncer is missing: make setup-test installs it"))
}
