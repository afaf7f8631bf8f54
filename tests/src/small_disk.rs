//! A private cluster whose disk can be filled.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use crate::cluster::{GuardedFolder, find_pg_config};
use crate::orchestrator::{Ended, Running, orchestrator, orchestrator_program, run_to_end};
use crate::session::Session;

/// Room for a new cluster, its log and a few messages.
const DISK: &str = "size=160m";

/// `orchestrator up` on a small disk of its own: a file system in memory that only it and what it
/// starts can see, and that is gone with them.
pub struct SmallDisk {
    /// The orchestrator on it.
    pub up: Running,
    folder: GuardedFolder,
}

impl SmallDisk {
    /// Starts it; returns when it listens.
    pub fn start() -> Self {
        let folder = GuardedFolder::new("store/cluster/postmaster.pid");
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let store = folder.path().join("store");
        fs::create_dir(&store).unwrap();
        let mut up = Command::new("unshare");
        up.args(namespaces());
        // The program takes the shell's place, and so its process id; what was needed to mount
        // stays behind, so that it is a program like any other.
        let script = "mount -t tmpfs -o \"$0\" none \"$1\" && shift && \
                      exec setpriv --ambient-caps=-all --inh-caps=-all -- \"$@\"";
        up.args(["sh", "-c", script, DISK]).arg(&store);
        let program = orchestrator();
        up.arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => up.env(name, value),
                None => up.env_remove(name),
            };
        }
        up.args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&store);
        up.env("PG_CONFIG", find_pg_config());
        let up = Running::start(&mut up);
        up.home_page();
        Self { up, folder }
    }

    /// The disk, seen from here.
    pub fn disk(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.up.pid());
        let store = self.folder.path().join("store");
        Path::new(&root).join(store.strip_prefix("/").unwrap())
    }

    /// Writes until nothing more fits.
    pub fn fill(&self) -> PathBuf {
        let filler = self.disk().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        let zeroes = std::io::copy(&mut std::io::repeat(0), &mut file);
        let kind = zeroes.unwrap_err().kind();
        assert_eq!(kind, std::io::ErrorKind::StorageFull);
        filler
    }

    /// A session as the superuser, by the socket that is on the disk.
    pub async fn connect(&self, database: &str) -> Session {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.disk().join("socket"));
        Session::open(config.user("postgres").dbname(database)).await
    }

    /// A command for the private cluster, where its disk can be seen.
    pub fn say(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.up.pid().to_string()]);
        if !Uid::effective().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
            .arg("--")
            .arg(orchestrator_program())
            .args(arguments);
        command
            .arg("--data-dir")
            .arg(self.folder.path().join("store"));
        command.env_remove("DATABASE_URL");
        run_to_end(&mut command)
    }
}

/// Whoever is not root is it in a namespace of his own, as far as mounting goes.
fn namespaces() -> &'static [&'static str] {
    match Uid::effective().is_root() {
        true => &["--mount"],
        false => &["--user", "--map-current-user", "--keep-caps", "--mount"],
    }
}
