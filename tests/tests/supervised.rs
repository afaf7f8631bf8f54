//! Promise: systemd, or whoever else supervises the orchestrator by `NOTIFY_SOCKET`, is told when it
//! is ready, every second that it lives and what it is at, and when it ends.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;
use promises::{Cluster, HOME_PAGE, Running, orchestrator};
use tempfile::TempDir;

/// How long a word may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom an orchestrator talks to.
struct Supervisor {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Supervisor {
    fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { folder, socket }
    }

    fn start(&self, command: &mut std::process::Command) -> Running {
        Running::start(command.env("NOTIFY_SOCKET", self.folder.path().join("notify")))
    }

    /// What is said next, each word in a line.
    fn hear(&self) -> String {
        let mut words = [0; 4096];
        let length = self.socket.recv(&mut words).unwrap();
        String::from_utf8(words[..length].to_vec()).unwrap()
    }

    /// Blocks until it is said.
    fn hear_until(&self, wanted: &str) {
        while self.hear().trim_end() != wanted {}
    }
}

#[tokio::test]
async fn a_supervisor_hears_that_it_is_ready_lives_and_ends() {
    let database = Cluster::shared().create_store().await;
    let supervisor = Supervisor::listen();
    let deployment = database.deploy(HOME_PAGE);
    let mut running = supervisor.start(&mut deployment.run());
    assert_eq!(supervisor.hear().trim_end(), "READY=1");
    for _ in 0..2 {
        supervisor.hear_until("WATCHDOG=1\nSTATUS=ticking what is started");
    }
    running.signal(Signal::SIGTERM);
    supervisor.hear_until("STOPPING=1");
    assert_eq!(running.wait_for_exit().code(), Some(0));
}

#[test]
fn a_database_that_is_away_keeps_nobody_from_being_ready_and_alive() {
    let supervisor = Supervisor::listen();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[web]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let nowhere = format!("postgresql:///shop?host={}", folder.path().display());
    let mut command = orchestrator();
    command.arg("run").arg("--config").arg(&file);
    let running = supervisor.start(command.args(["--url", &nowhere]));
    assert_eq!(supervisor.hear().trim_end(), "READY=1");
    for _ in 0..2 {
        supervisor.hear_until("WATCHDOG=1\nSTATUS=not connected to the database");
    }
    running.stop();
}

#[test]
fn a_file_that_cannot_be_used_is_never_ready() {
    let supervisor = Supervisor::listen();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[database]\npoolsize = 4\n").unwrap();
    let mut command = orchestrator();
    let mut running = supervisor.start(command.arg("run").arg("--config").arg(&file));
    assert_eq!(running.wait_for_exit().code(), Some(3));
    supervisor.socket.set_nonblocking(true).unwrap();
    assert!(supervisor.socket.recv(&mut [0; 64]).is_err());
}
