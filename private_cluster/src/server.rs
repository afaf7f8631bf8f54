//! What is done to a server: made, started, stopped, killed.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, fchown},
    path::Path,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use postgresql_commands::{
    CommandBuilder,
    initdb::InitDbBuilder,
    pg_ctl::{Mode, PgCtlBuilder, ShutdownMode},
};
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::{
    SETTINGS_FILE, SUPERUSER, StopMode,
    account::Account,
    postmaster::{PID_FILE, Postmaster, processes_of},
    programs,
    programs::Programs,
};
use crate::error::{Error, Result};

/// The server's log, inside the data directory.
pub(super) const LOG_FILE: &str = "postgresql.log";

/// How long a start may take, recovery included: 600 s.
const START_PATIENCE_S: u64 = 600;

/// How long a stop may take: 60 s.
const STOP_PATIENCE_S: u64 = 60;

/// How long the orphans of a killed server may take to notice: 5 s.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);

/// The programs, the user and the data of one server.
pub(super) struct Server<'a> {
    pub(super) programs: &'a Programs,
    pub(super) account: Option<&'a Account>,
    pub(super) pgdata: &'a Path,
    pub(super) socket_dir: &'a Path,
    pub(super) server_program: Option<&'a Path>,
    pub(super) temporary: bool,
}

impl Server<'_> {
    /// Makes the data directory where there is none. It appears under its name
    /// only when complete, so an interrupted start leaves nothing half made.
    pub(super) async fn initialise_once(&self) -> Result<()> {
        if self.pgdata.join("PG_VERSION").exists() {
            return self.check_version();
        }
        info!(
            "making a private PostgreSQL {} cluster",
            self.programs.major_version
        );
        let fresh = self.pgdata.with_extension("new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(Error::io(format!("remove {}", fresh.display())))?;
        }
        let action = || format!("make {}", fresh.display());
        fs::create_dir(&fresh).map_err(Error::io(action()))?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o700))
            .map_err(Error::io(action()))?;
        if let Some(account) = self.account {
            account.own(&fresh)?;
        }
        let mut command = InitDbBuilder::new()
            .program_dir(&self.programs.dir)
            .pgdata(&fresh)
            .encoding("UTF8")
            .locale("C")
            .username(SUPERUSER)
            // The socket's folder is the lock: nobody else can reach it.
            .auth_local("trust")
            .auth_host("reject")
            .data_checksums()
            .no_instructions();
        if self.temporary {
            command = command.no_sync();
        }
        programs::run(command.build(), self.account, &fresh)
            .await
            .map_err(|problem| Error::Cluster { problem })?;
        self.include_settings(&fresh)?;
        fs::rename(&fresh, self.pgdata)
            .map_err(Error::io(format!("rename {} to cluster", fresh.display())))
    }

    fn check_version(&self) -> Result<()> {
        let file = self.pgdata.join("PG_VERSION");
        let made_by =
            fs::read_to_string(&file).map_err(Error::io(format!("read {}", file.display())))?;
        if made_by.trim() == self.programs.major_version.to_string() {
            return Ok(());
        }
        Err(Error::Cluster {
            problem: format!(
                "{} was made by PostgreSQL {}, and {} is PostgreSQL {}; name the other one with \
                 --pg-config, or choose another --data-dir",
                self.pgdata.display(),
                made_by.trim(),
                self.programs.dir.display(),
                self.programs.major_version
            ),
        })
    }

    fn include_settings(&self, fresh: &Path) -> Result<()> {
        let file = fresh.join("postgresql.conf");
        let mut text =
            fs::read_to_string(&file).map_err(Error::io(format!("read {}", file.display())))?;
        text.push_str(&format!("\ninclude_if_exists = '{SETTINGS_FILE}'\n"));
        self.replace_file(&file, &text)
    }

    /// Writes the settings the next start reads.
    pub(super) fn write_settings(&self, text: &str) -> Result<()> {
        self.replace_file(&self.pgdata.join(SETTINGS_FILE), text)
    }

    /// Puts a file of the server's user in place, whole or not at all. The
    /// folder is that user's: where we are root, no link it may have put there
    /// is followed.
    fn replace_file(&self, path: &Path, text: &str) -> Result<()> {
        let fresh = path.with_extension("new");
        let action = || format!("write {}", path.display());
        // Left by an interrupted start, if at all.
        let _ = fs::remove_file(&fresh);
        let mut file = fs::File::create_new(&fresh).map_err(Error::io(action()))?;
        file.write_all(text.as_bytes())
            .map_err(Error::io(action()))?;
        if let Some(account) = self.account {
            fchown(
                &file,
                Some(account.uid.as_raw()),
                Some(account.gid.as_raw()),
            )
            .map_err(Error::io(action()))?;
        }
        file.sync_all().map_err(Error::io(action()))?;
        fs::rename(&fresh, path).map_err(Error::io(action()))
    }

    /// Starts; returns when connections are taken.
    pub(super) async fn start(&self) -> Result<()> {
        self.clear_remains().await;
        let log_file = self.pgdata.join(LOG_FILE);
        let mut command = PgCtlBuilder::new()
            .program_dir(&self.programs.dir)
            .mode(Mode::Start)
            .pgdata(self.pgdata)
            .log(&log_file)
            .timeout(START_PATIENCE_S)
            .wait()
            .silent();
        if let Some(program) = self.server_program {
            command = command.path_to_postgres(program);
        }
        let started = programs::run(command.build(), self.account, self.pgdata).await;
        started.map(|_| ()).map_err(|problem| Error::Cluster {
            problem: format!(
                "{problem}\nthe end of {}:\n{}",
                log_file.display(),
                last_lines(&log_file, 12)
            ),
        })
    }

    /// A server that was killed leaves its lock files and, for a moment,
    /// processes. PostgreSQL would take a foreign process that got the same id,
    /// or the dead one where nobody collects it, for a running server and
    /// refuse to start. Ours alone may be in these folders, and it is gone.
    async fn clear_remains(&self) {
        if Postmaster::find(self.pgdata).is_some() {
            return;
        }
        let started = Instant::now();
        loop {
            let orphans = processes_of(self.pgdata);
            if orphans.is_empty() {
                break;
            }
            if started.elapsed() > ORPHAN_PATIENCE {
                signal_all(&orphans, Signal::SIGKILL);
            }
            if started.elapsed() > ORPHAN_PATIENCE * 2 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        if !Path::new("/proc/self/cwd").exists() {
            return;
        }
        let sockets = fs::read_dir(self.socket_dir)
            .into_iter()
            .flatten()
            .flatten();
        let files = sockets
            .map(|entry| entry.path())
            .chain([self.pgdata.join(PID_FILE)]);
        for stale in files {
            if fs::remove_file(&stale).is_ok() {
                debug!("removed {} of a server that was killed", stale.display());
            }
        }
    }

    /// Stops; returns when the server is gone.
    pub(super) async fn stop(&self, mode: StopMode) -> Result<()> {
        let mode = match mode {
            StopMode::Smart => ShutdownMode::Smart,
            StopMode::Fast => ShutdownMode::Fast,
            StopMode::Immediate => ShutdownMode::Immediate,
        };
        let command = PgCtlBuilder::new()
            .program_dir(&self.programs.dir)
            .mode(Mode::Stop)
            .pgdata(self.pgdata)
            .shutdown_mode(mode)
            .timeout(STOP_PATIENCE_S)
            .wait()
            .silent()
            .build();
        match programs::run(command, self.account, self.pgdata).await {
            // It may have ended by itself just before.
            Err(problem) if Postmaster::find(self.pgdata).is_some() => {
                Err(Error::Cluster { problem })
            }
            _ => Ok(()),
        }
    }

    /// Kills the first process, then every other, until none is left.
    pub(super) async fn kill9(&self) -> Result<()> {
        if let Some(postmaster) = Postmaster::find(self.pgdata) {
            // First, so that it cannot start another process for one that died.
            postmaster.signal(Signal::SIGKILL);
        }
        let started = Instant::now();
        while Postmaster::find(self.pgdata).is_some() || !processes_of(self.pgdata).is_empty() {
            signal_all(&processes_of(self.pgdata), Signal::SIGKILL);
            if started.elapsed() > ORPHAN_PATIENCE {
                return Err(Error::Cluster {
                    problem: format!("processes of {} do not die", self.pgdata.display()),
                });
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

fn signal_all(pids: &[i32], signal: Signal) {
    for pid in pids {
        // One that is gone already is what we want.
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

fn last_lines(file: &Path, count: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
