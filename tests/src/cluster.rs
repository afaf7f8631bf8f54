//! A private PostgreSQL: made in a temporary directory, reached through a socket only, gone with
//! the test, however the test ends.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use nix::unistd::{Uid, User};

/// The superuser of every test cluster.
pub(crate) const SUPERUSER: &str = "postgres";

/// What every cluster is set to, before the test's own settings.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("fsync", "off"),
    ("max_connections", "60"),
    ("max_prepared_transactions", "20"),
    ("shared_buffers", "64MB"),
    ("autovacuum", "off"),
    ("deadlock_timeout", "200ms"),
];

/// The guardian waits for its standard input to end, which happens when the test process is
/// gone, in whatever way. Then it ends the server by its process id and removes the data.
const GUARDIAN: &str = r#"
cat > /dev/null
pid=$(head -n 1 "$1/$2" 2> /dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2> /dev/null
  tries=0
  while kill -0 "$pid" 2> /dev/null && [ "$tries" -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
fi
rm -rf "$1"
"#;

/// How a server is stopped, in PostgreSQL's words.
#[derive(Clone, Copy, Debug)]
pub enum StopMode {
    /// Rolls back what runs and shuts down cleanly.
    Fast,
    /// Ends without a checkpoint; the next start recovers from the log.
    Immediate,
}

/// A running private server. Dropping it stops it and removes its data.
pub struct Cluster {
    folder: GuardedFolder,
    programs: PathBuf,
    pg_config: PathBuf,
}

impl Cluster {
    /// The one cluster of a test binary, with default settings; started by the first who asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Makes and starts a cluster. `settings` come after [the defaults](SETTINGS) and win.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let pg_config = find_pg_config();
        let programs = PathBuf::from(output_of(Command::new(&pg_config).arg("--bindir")));
        let folder = GuardedFolder::new("data/postmaster.pid");
        if let Some(user) = server_user() {
            folder.give_to(&user);
        }
        let cluster = Self {
            folder,
            programs,
            pg_config,
        };
        cluster.initialise(settings);
        cluster.start_again();
        cluster
    }

    fn initialise(&self, settings: &[(&str, &str)]) {
        let mut initdb = self.server_command("initdb");
        initdb.args([
            "--no-sync",
            "--no-instructions",
            "--auth=trust",
            "--encoding=UTF8",
        ]);
        initdb
            .args(["--locale=C", "--username", SUPERUSER, "--pgdata"])
            .arg(self.data_dir());
        output_of(&mut initdb);
        let socket_dir = self.socket_dir().to_string_lossy().into_owned();
        let ours = [("unix_socket_directories", socket_dir.as_str())];
        let file = self.data_dir().join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
        for (name, value) in SETTINGS.iter().chain(&ours).chain(settings) {
            writeln!(file, "{name} = '{}'", value.replace('\'', "''")).unwrap();
        }
    }

    /// Starts a server that was stopped; returns when it takes connections.
    pub fn start_again(&self) {
        let mut start = self.server_command("pg_ctl");
        start
            .args(["start", "--wait", "--silent", "--pgdata"])
            .arg(self.data_dir());
        start.arg("--log").arg(self.log_file());
        if let Some(server) = server_program() {
            start.arg("-p").arg(server).args(["--timeout", "600"]);
        }
        assert!(
            start.status().unwrap().success(),
            "the server does not start:\n{}",
            self.log()
        );
    }

    /// Stops the server and waits until it is gone.
    pub fn stop(&self, mode: StopMode) {
        let mode = match mode {
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        let mut stop = self.server_command("pg_ctl");
        stop.args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"])
            .arg(self.data_dir());
        output_of(&mut stop);
    }

    /// Stops and starts.
    pub fn restart(&self, mode: StopMode) {
        self.stop(mode);
        self.start_again();
    }

    /// The folder of the socket; also PGHOST.
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// PostgreSQL's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of PostgreSQL's programs.
    pub fn bin_dir(&self) -> &Path {
        &self.programs
    }

    /// The `pg_config` this cluster was made with.
    pub fn pg_config(&self) -> &Path {
        &self.pg_config
    }

    /// One answer of `pg_config`, such as `--pgxs`.
    pub fn pg_config_value(&self, option: &str) -> String {
        output_of(Command::new(&self.pg_config).arg(option))
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A client program of PostgreSQL (`psql`, `pg_dump`, `createdb`, ...) that finds this
    /// cluster by its environment, as the superuser. It runs as us, not as the server's user.
    pub fn client_command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.set_client_environment(&mut command);
        command
    }

    /// Points any program that uses libpq at this cluster.
    pub fn set_client_environment(&self, command: &mut Command) {
        remove_pg_variables(command);
        command
            .env("PGHOST", self.socket_dir())
            .env("PGUSER", SUPERUSER)
            .env("PGOPTIONS", "-c client_min_messages=warning")
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", path_with(&self.programs));
    }

    /// A program of the server, run as the user PostgreSQL lets it.
    pub fn server_command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        remove_pg_variables(&mut command);
        command.env("LC_ALL", "C").current_dir(self.folder.path());
        command.stdin(Stdio::null()).process_group(0);
        if let Some(user) = server_user() {
            command
                .uid(user.uid.as_raw())
                .gid(user.gid.as_raw())
                .env("HOME", self.folder.path());
        }
        command
    }
}

/// A folder with a short path for a server, which is ended, and the folder removed, however we
/// end.
pub struct GuardedFolder {
    path: PathBuf,
    guardian: Mutex<Child>,
}

impl GuardedFolder {
    /// Makes one. `pid_file` is where the server writes its process id, from the folder on.
    pub fn new(pid_file: &str) -> Self {
        // Not TMPDIR: the socket's whole path must stay below 107 bytes.
        let path = tempfile::Builder::new()
            .prefix("promises")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        let guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian"])
            .arg(&path)
            .arg(pid_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            path,
            guardian: Mutex::new(guardian),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes another user its owner.
    pub fn give_to(&self, user: &User) {
        std::os::unix::fs::chown(&self.path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .unwrap();
    }
}

impl Drop for GuardedFolder {
    fn drop(&mut self) {
        let guardian = self
            .guardian
            .get_mut()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        drop(guardian.stdin.take());
        let _ = guardian.wait();
    }
}

/// What is started instead of PostgreSQL's server, and starts that: PROMISES_SERVER. It is slower,
/// as `tests/valgrind/postgres` is.
pub fn server_program() -> Option<PathBuf> {
    std::env::var_os("PROMISES_SERVER").map(PathBuf::from)
}

/// PostgreSQL refuses to run as root: then its servers run as `postgres`.
fn server_user() -> Option<User> {
    Uid::effective().is_root().then(|| {
        User::from_name("postgres")
            .unwrap()
            .expect("as root, the tests run PostgreSQL as the user postgres, which is missing")
    })
}

/// The `pg_config` of the PostgreSQL under test: PG_CONFIG, else the one our scripts find.
pub fn find_pg_config() -> PathBuf {
    if let Some(path) = std::env::var_os("PG_CONFIG").filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/find-pg-config");
    let found = output_of(&mut Command::new(script));
    assert!(
        !found.is_empty(),
        "no pg_config: install PostgreSQL or set PG_CONFIG"
    );
    PathBuf::from(found)
}

fn path_with(programs: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap()
}

fn remove_pg_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
}

/// Runs a program to its end and returns what it printed, trimmed; a failure fails the test.
pub(crate) fn output_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{printed}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}
