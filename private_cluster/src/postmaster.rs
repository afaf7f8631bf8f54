//! The server's first process, as `postmaster.pid` and the kernel describe it.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The file a server keeps in its data directory while it runs.
pub(super) const PID_FILE: &str = "postmaster.pid";

/// How often a dying process is looked at: every 20 ms.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postmaster {
    /// Its process id.
    pub pid: i32,
    /// The port it was started with.
    pub port: u16,
    /// The folder of its first socket.
    pub socket_dir: PathBuf,
}

impl Postmaster {
    /// The server of this data directory, where one runs. A file left by a
    /// dead server, or one whose process id belongs to another program by now,
    /// does not count.
    pub fn find(pgdata: &Path) -> Option<Self> {
        let found = Self::parse(&fs::read_to_string(pgdata.join(PID_FILE)).ok()?)?;
        found.serves(pgdata).then_some(found)
    }

    /// Lines: process id, data directory, start time, port, socket folder.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        Some(Self {
            pid: lines.first()?.trim().parse().ok().filter(|pid| *pid > 0)?,
            port: lines
                .get(3)
                .and_then(|line| line.trim().parse().ok())
                .unwrap_or(0),
            socket_dir: PathBuf::from(lines.get(4).copied().unwrap_or_default()),
        })
    }

    /// Sends a signal; nothing where the process is gone.
    pub fn signal(&self, signal: Signal) {
        // Gone is what the caller wanted, and a process that is not ours we leave.
        let _ = kill(Pid::from_raw(self.pid), signal);
    }

    /// Waits until it no longer serves `pgdata`; false where it still does
    /// after `patience`.
    pub fn wait_until_gone(&self, pgdata: &Path, patience: Duration) -> bool {
        let started = Instant::now();
        while self.serves(pgdata) {
            if started.elapsed() > patience {
                return false;
            }
            sleep(LOOK_INTERVAL);
        }
        true
    }

    fn serves(&self, pgdata: &Path) -> bool {
        match fs::read_link(format!("/proc/{}/cwd", self.pid)) {
            Ok(working_dir) => is_same(&working_dir, pgdata),
            // Gone, or dead and not yet collected by its parent.
            Err(_) if Path::new("/proc/self/cwd").exists() && !self.is_hidden() => false,
            Err(_) => matches!(
                kill(Pid::from_raw(self.pid), None),
                Ok(()) | Err(Errno::EPERM)
            ),
        }
    }

    /// True where the process is somebody else's and we may not look at it.
    fn is_hidden(&self) -> bool {
        kill(Pid::from_raw(self.pid), None) == Err(Errno::EPERM)
    }
}

/// Every process of the server of this data directory, orphans of a killed
/// one included. Empty where the system has no /proc.
pub(super) fn processes_of(pgdata: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            // A shell may well stand in the data directory.
            matches!(name.trim(), "postgres" | "postmaster")
                && fs::read_link(format!("/proc/{pid}/cwd"))
                    .is_ok_and(|working_dir| is_same(&working_dir, pgdata))
        })
        .collect()
}

fn is_same(working_dir: &Path, pgdata: &Path) -> bool {
    pgdata
        .canonicalize()
        .is_ok_and(|pgdata| pgdata == working_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_and_another_programs_process_is_not_a_server() {
        let text = format!(
            "{}\n/data\n1700000000\n5433\n/run/x\n\n",
            std::process::id()
        );
        let found = Postmaster::parse(&text);
        let expected = Postmaster {
            pid: std::process::id().cast_signed(),
            port: 5433,
            socket_dir: PathBuf::from("/run/x"),
        };
        assert_eq!(found, Some(expected.clone()));
        assert!(!expected.serves(Path::new("/proc")));
        assert_eq!(Postmaster::parse("garbage"), None);
        assert_eq!(Postmaster::parse("-1\n"), None);
    }
}
