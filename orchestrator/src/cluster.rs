//! A private PostgreSQL cluster: made once, reached only through a socket that
//! nobody else may open, and gone with its owner.
//!
//! ```no_run
//! # async fn example() -> orchestrator::error::Result<()> {
//! use orchestrator::cluster::{Cluster, StopMode};
//!
//! let cluster = Cluster::builder()
//!     .data_dir("/tmp/some-test")
//!     .settings([("fsync", "off")])
//!     .temporary()
//!     .start()
//!     .await?;
//! let _config = cluster.connection_config();
//! cluster.restart(StopMode::Fast).await?;
//! # Ok(()) }
//! ```

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use tracing::{debug, info};

use crate::error::{Error, Result};

mod account;
mod place;
mod postmaster;
mod programs;
mod server;

use account::Account;
use place::Place;
pub use postmaster::Postmaster;
use programs::Programs;

/// The superuser of a private cluster.
pub const SUPERUSER: &str = "postgres";

/// The file of our settings inside the data directory, read last.
const SETTINGS_FILE: &str = "message_store.conf";

/// How long `Drop` lets a server end by itself: 10 s, then it is made to.
const DROP_PATIENCE: Duration = Duration::from_secs(10);

/// How a server is stopped, in PostgreSQL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits for every client to leave.
    Smart,
    /// Rolls back what runs and shuts down cleanly.
    Fast,
    /// Ends without a checkpoint; the next start recovers from the log.
    Immediate,
}

/// What a cluster is to be. See [`Cluster::builder`].
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    data_dir: PathBuf,
    pg_config: Option<PathBuf>,
    settings: Vec<(String, String)>,
    port: u16,
    temporary: bool,
}

/// A running private cluster. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    account: Option<Account>,
    place: Place,
    data_dir: PathBuf,
    port: u16,
    temporary: bool,
}

impl Cluster {
    /// Starts describing a cluster. Defaults: data under `.message_store`, the
    /// `pg_config` of the environment (`PG_CONFIG`, `PATH`, or the newest under
    /// `/usr/lib/postgresql`), PostgreSQL's settings but no TCP, port 5432 (it
    /// only names the file in a socket folder of our own, so nothing clashes).
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            data_dir: PathBuf::from(".message_store"),
            pg_config: None,
            settings: Vec::new(),
            port: 5432,
            temporary: false,
        }
    }

    /// How to connect as the superuser: socket, port and user; database
    /// `postgres`, to be changed with `.dbname(...)`.
    pub fn connection_config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.socket_dir()).port(self.port).user(SUPERUSER).dbname("postgres");
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        config
    }

    /// The same as a libpq address, for psql and other programs.
    pub fn url(&self, database: &str) -> String {
        let host: String = self
            .socket_dir()
            .to_string_lossy()
            .bytes()
            .map(|byte| match byte {
                b'/' | b'-' | b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect();
        format!("postgresql:///{database}?host={host}&port={}&user={SUPERUSER}", self.port)
    }

    /// The folder of the socket; only its owner (and root) gets in.
    pub fn socket_dir(&self) -> &Path {
        self.place.socket_dir()
    }

    /// The port: the last part of the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// PostgreSQL's data directory.
    pub fn pgdata(&self) -> &Path {
        self.place.pgdata()
    }

    /// The server's log.
    pub fn log_file(&self) -> PathBuf {
        self.pgdata().join(server::LOG_FILE)
    }

    /// The major version of the server, 15 or above.
    pub fn major_version(&self) -> u32 {
        self.programs.major_version
    }

    /// The folder of PostgreSQL's programs.
    pub fn program_dir(&self) -> &Path {
        &self.programs.dir
    }

    /// The running server's first process, where it runs.
    pub fn postmaster(&self) -> Option<Postmaster> {
        Postmaster::find(self.pgdata())
    }

    /// Starts the server again after a stop or a crash; returns when it takes
    /// connections. Does nothing where it runs.
    ///
    /// # Errors
    /// [`Error::Cluster`] with the end of the server's log.
    pub async fn start(&self) -> Result<()> {
        if self.postmaster().is_some() {
            return Ok(());
        }
        self.server().start().await
    }

    /// Stops the server and waits until it is gone.
    ///
    /// # Errors
    /// [`Error::Cluster`] where it does not end within a minute.
    pub async fn stop(&self, mode: StopMode) -> Result<()> {
        if self.postmaster().is_none() {
            return Ok(());
        }
        self.server().stop(mode).await
    }

    /// Stops and starts.
    ///
    /// # Errors
    /// As [`Cluster::stop`] and [`Cluster::start`].
    pub async fn restart(&self, mode: StopMode) -> Result<()> {
        self.stop(mode).await?;
        self.start().await
    }

    /// Kills the server as a power cut of its machine would, every process of
    /// it, and returns when they are gone. [`Cluster::start`] recovers.
    ///
    /// # Errors
    /// [`Error::Cluster`] where a process does not die.
    pub async fn kill9(&self) -> Result<()> {
        self.server().kill9().await
    }

    /// Stops the server at once and removes its data.
    ///
    /// # Errors
    /// [`Error::Cluster`], [`Error::Io`] naming what could not be removed.
    pub async fn destroy(mut self) -> Result<()> {
        self.stop(StopMode::Immediate).await?;
        self.temporary = false;
        self.place.remove(&self.data_dir)
    }

    fn server(&self) -> server::Server<'_> {
        server::Server {
            programs: &self.programs,
            account: self.account.as_ref(),
            pgdata: self.pgdata(),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(postmaster) = self.postmaster() {
            let signal = if self.temporary { Signal::SIGQUIT } else { Signal::SIGINT };
            postmaster.signal(signal);
            if !postmaster.wait_until_gone(self.pgdata(), DROP_PATIENCE) {
                postmaster.signal(Signal::SIGQUIT);
                postmaster.wait_until_gone(self.pgdata(), DROP_PATIENCE);
            }
        }
        self.place.remove_socket_dir();
        if self.temporary
            && let Err(error) = self.place.remove(&self.data_dir)
        {
            debug!("{}", crate::error::chain(&error));
        }
    }
}

impl ClusterBuilder {
    /// Where the data lives; made where missing. Default `.message_store`.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = path.into();
        self
    }

    /// The `pg_config` of the PostgreSQL to run. Default: see [`Cluster::builder`].
    pub fn pg_config(mut self, path: Option<PathBuf>) -> Self {
        self.pg_config = path;
        self
    }

    /// PostgreSQL settings above our own, by name.
    pub fn settings<K, V>(mut self, settings: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let settings = settings.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.settings.extend(settings);
        self
    }

    /// The port in the socket's name. Default 5432.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Removes the data when the cluster is dropped: for tests.
    pub fn temporary(mut self) -> Self {
        self.temporary = true;
        self
    }

    /// Makes the cluster where there is none, and starts it. A server left
    /// running by an earlier owner is taken over, with the settings it has.
    ///
    /// # Errors
    /// [`Error::Config`] where no usable PostgreSQL is found; else
    /// [`Error::Cluster`] or [`Error::Io`].
    pub async fn start(self) -> Result<Cluster> {
        let programs = Programs::find(self.pg_config.as_deref()).await?;
        let data_dir = std::path::absolute(&self.data_dir)
            .map_err(Error::io(format!("find {}", self.data_dir.display())))?;
        let account = Account::for_data_dir(&data_dir)?;
        let place =
            Place::choose(&data_dir, account.as_ref(), &programs, self.temporary).await?;
        let mut cluster = Cluster {
            programs,
            account,
            place,
            data_dir,
            port: self.port,
            temporary: self.temporary,
        };
        cluster.server().initialise_once().await?;
        if let Some(left) = cluster.take_over().await {
            cluster.port = left.port;
            return Ok(cluster);
        }
        cluster.place.make_socket_dir(cluster.account.as_ref())?;
        let settings = self.settings_text(cluster.socket_dir());
        cluster.server().write_settings(&settings)?;
        cluster.server().start().await?;
        Ok(cluster)
    }

    fn settings_text(&self, socket_dir: &Path) -> String {
        let socket_dir = socket_dir.to_string_lossy();
        let ours = [
            ("listen_addresses", ""),
            ("unix_socket_directories", &format!("\"{socket_dir}\"")),
            ("unix_socket_permissions", "0700"),
            ("port", &self.port.to_string()),
        ];
        let mut text = String::from("# Written at each start; put your own in postgresql.conf\n");
        let theirs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in ours.into_iter().chain(theirs) {
            let value = value.replace('\\', "\\\\").replace('\'', "''");
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        text
    }
}

impl Cluster {
    /// A server that an earlier owner left behind serves on where it answers on
    /// the socket we would give it; else it is stopped, to be started afresh.
    async fn take_over(&self) -> Option<Postmaster> {
        let left = self.postmaster()?;
        let mut config = self.connection_config();
        config.connect_timeout(Duration::from_secs(5));
        let answers = left.port == self.port
            && left.socket_dir == self.socket_dir()
            && config.connect(tokio_postgres::NoTls).await.is_ok();
        if answers {
            info!(pid = left.pid, "the private PostgreSQL is still running; using it");
            return Some(left);
        }
        info!(pid = left.pid, "stopping a private PostgreSQL that does not answer");
        if let Err(error) = self.stop(StopMode::Fast).await {
            debug!("{error}");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted_and_the_callers_come_last() {
        let builder = Cluster::builder().settings([("listen_addresses", "it's"), ("fsync", "off")]);
        let text = builder.settings_text(Path::new("/tmp/a b"));
        assert!(text.contains("unix_socket_directories = '\"/tmp/a b\"'\n"), "{text}");
        assert!(text.ends_with("listen_addresses = 'it''s'\nfsync = 'off'\n"), "{text}");
    }
}
