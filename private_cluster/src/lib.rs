//! A private PostgreSQL cluster: made once, reached only through a socket that
//! nobody else may open, and gone with its owner.
//!
//! ```no_run
//! # async fn example() -> private_cluster::Result<()> {
//! use private_cluster::{Cluster, StopMode};
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
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use tracing::{debug, info};

pub use error::{Error, Result};

mod account;
mod builder;
mod error;
mod place;
mod postmaster;
mod programs;
mod server;

use account::Account;
pub use builder::ClusterBuilder;
use place::Place;
pub use postmaster::Postmaster;
use programs::Programs;

/// The superuser of a private cluster.
pub const SUPERUSER: &str = "postgres";

/// PostgreSQL's data directory, inside the one the user names.
pub const PGDATA: &str = "cluster";

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

/// A running private cluster. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    account: Option<Account>,
    place: Place,
    data_dir: PathBuf,
    port: u16,
    server_program: Option<PathBuf>,
    temporary: bool,
}

impl Cluster {
    /// Starts describing a cluster. Defaults: data under `.message_store`, the
    /// `pg_config` of the environment (`PG_CONFIG`, `PATH`, or the newest under
    /// `/usr/lib/postgresql`), PostgreSQL's settings but no TCP, port 5432 (it
    /// only names the file in a socket folder of our own, so nothing clashes).
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::new()
    }

    /// How to connect as the superuser: socket, port and user; database
    /// `postgres`, to be changed with `.dbname(...)`.
    pub fn connection_config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.socket_dir())
            .port(self.port)
            .user(SUPERUSER)
            .dbname("postgres");
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
        format!(
            "postgresql:///{database}?host={host}&port={}&user={SUPERUSER}",
            self.port
        )
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

    /// A program that is run as the server is: as its user, with none of our `PG*` variables, in its
    /// data directory, and out of the reach of our terminal's Ctrl-C.
    pub fn server_command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(self.program_dir().join(program));
        programs::prepare(&mut command, self.account.as_ref(), self.pgdata());
        command
    }

    /// The running server's first process, where it runs.
    pub fn postmaster(&self) -> Option<Postmaster> {
        Postmaster::find(self.pgdata())
    }

    /// Starts the server again after a stop or a crash; returns when it takes
    /// connections. Does nothing where it runs.
    ///
    /// # Errors
    /// [`Cluster`](Error::Cluster) with the end of the server's log.
    pub async fn start(&self) -> Result<()> {
        if self.postmaster().is_some() {
            return Ok(());
        }
        self.server().start().await
    }

    /// Stops the server and waits until it is gone.
    ///
    /// # Errors
    /// [`Cluster`](Error::Cluster) where it does not end within a minute.
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
    /// [`Cluster`](Error::Cluster) where a process does not die.
    pub async fn kill9(&self) -> Result<()> {
        self.server().kill9().await
    }

    /// Stops the server at once and removes its data.
    ///
    /// # Errors
    /// [`Cluster`](Error::Cluster), [`Io`](Error::Io) naming what could not be removed.
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
            socket_dir: self.socket_dir(),
            server_program: self.server_program.as_deref(),
            temporary: self.temporary,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(postmaster) = self.postmaster() {
            let signal = if self.temporary {
                Signal::SIGQUIT
            } else {
                Signal::SIGINT
            };
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
            debug!(%error);
        }
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
            info!(
                pid = left.pid,
                "the private PostgreSQL is still running; using it"
            );
            return Some(left);
        }
        info!(
            pid = left.pid,
            "stopping a private PostgreSQL that does not answer"
        );
        if let Err(error) = self.stop(StopMode::Fast).await {
            debug!("{error}");
        }
        None
    }
}
