//! A private PostgreSQL: made in a temporary directory, reached through a socket only, gone with
//! the test, however the test ends.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::guardian::Guardian;
pub(crate) use private_cluster::SUPERUSER;
pub use private_cluster::StopMode;

/// What every cluster is set to, before the test's own settings.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    // Tests of one binary share it, and each session of a router keeps one with every shard.
    ("max_connections", "200"),
    ("max_prepared_transactions", "20"),
    ("shared_buffers", "64MB"),
    ("autovacuum", "off"),
    ("deadlock_timeout", "200ms"),
];

/// Ends the server of a folder by its process id, and removes the folder.
const REMOVE_SERVER: &str = r#"
pid=$(head -n 1 "$1/$2" 2> /dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2> /dev/null
  tries=0
  while kill -0 "$pid" 2> /dev/null && [ "$tries" -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
fi
rm -rf "$1"
"#;

/// A running private server. Dropping it stops it and removes its data.
pub struct Cluster {
    server: private_cluster::Cluster,
    pg_config: PathBuf,
    // Dropped last: the server is gone by then.
    _folder: GuardedFolder,
}

impl Cluster {
    /// The one cluster of a test binary, with default settings; started by the first who asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Makes and starts a cluster. `settings` come after [the defaults](SETTINGS) and win.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_of(find_pg_config(), settings)
    }

    /// The same of the PostgreSQL of this `pg_config`.
    pub fn start_of(pg_config: PathBuf, settings: &[(&str, &str)]) -> Self {
        let folder = GuardedFolder::new("cluster/postmaster.pid");
        Self::start_in(folder, pg_config, server_program(), settings)
    }

    /// The same, where `program` is started as the server. A server looks for its folders from where it
    /// is itself.
    pub fn start_program(program: PathBuf, settings: &[(&str, &str)]) -> Self {
        let folder = GuardedFolder::new("cluster/postmaster.pid");
        Self::start_in(folder, find_pg_config(), Some(program), settings)
    }

    fn start_in(
        folder: GuardedFolder,
        pg_config: PathBuf,
        program: Option<PathBuf>,
        settings: &[(&str, &str)],
    ) -> Self {
        let describe = private_cluster::Cluster::builder()
            .data_dir(folder.path())
            .pg_config(Some(pg_config.clone()))
            .settings(SETTINGS.iter().copied())
            .settings(settings.iter().copied())
            .server_program(program)
            .temporary();
        Self {
            server: block_on(describe.start()),
            pg_config,
            _folder: folder,
        }
    }

    /// A standby of this server, which follows it.
    pub fn start_standby(&self, settings: &[(&str, &str)]) -> Self {
        self.start_copy(settings, |data| {
            let mut copying = self.server_command("pg_basebackup");
            copying
                .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
                .arg("--pgdata")
                .arg(data)
                .arg("--host")
                .arg(self.socket_dir())
                .args(["--username", SUPERUSER]);
            output_of(&mut copying);
        })
    }

    /// Another server, with the data that `fill` puts into its data directory.
    pub fn start_copy(&self, settings: &[(&str, &str)], fill: impl FnOnce(&Path)) -> Self {
        let folder = GuardedFolder::new("cluster/postmaster.pid");
        // The server's user gets to it.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join(private_cluster::PGDATA);
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        let ours = fs::metadata(self.data_dir()).unwrap();
        chown(&data, Some(ours.uid()), Some(ours.gid())).unwrap();
        fill(&data);
        Self::start_in(folder, self.pg_config.clone(), server_program(), settings)
    }

    /// Starts a server that was stopped; returns when it takes connections.
    pub fn start_again(&self) {
        block_on(self.server.start());
    }

    /// Stops the server and waits until it is gone.
    pub fn stop(&self, mode: StopMode) {
        block_on(self.server.stop(mode));
    }

    /// Stops and starts.
    pub fn restart(&self, mode: StopMode) {
        block_on(self.server.restart(mode));
    }

    /// The folder of the socket; also PGHOST.
    pub fn socket_dir(&self) -> &Path {
        self.server.socket_dir()
    }

    /// PostgreSQL's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.server.pgdata().to_owned()
    }

    /// The folder of PostgreSQL's programs.
    pub fn bin_dir(&self) -> &Path {
        self.server.program_dir()
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
        let log = fs::read(self.server.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// A client program of PostgreSQL (`psql`, `pg_dump`, `createdb`, ...) that finds this
    /// cluster by its environment, as the superuser. It runs as us, not as the server's user.
    pub fn client_command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin_dir().join(program));
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
            .env("PATH", path_with(self.bin_dir()));
    }

    /// A program of the server, run as the user PostgreSQL lets it.
    pub fn server_command(&self, program: impl AsRef<Path>) -> Command {
        self.server.server_command(program)
    }
}

/// Runs a future to its end, wherever it is called: in a test that has a runtime of its own, too.
fn block_on<T: Send>(future: impl Future<Output = private_cluster::Result<T>> + Send) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let wait = move || {
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(future)
    };
    let waited = std::thread::scope(|scope| scope.spawn(wait).join().unwrap());
    waited.unwrap_or_else(|error| panic!("{error}"))
}

/// A folder with a short path for a server, which is ended, and the folder removed, however we
/// end.
pub struct GuardedFolder {
    path: PathBuf,
    _guardian: Guardian,
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
        let guardian = Guardian::start(REMOVE_SERVER, [path.as_os_str(), pid_file.as_ref()]);
        Self {
            path,
            _guardian: guardian,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What is started instead of PostgreSQL's server, and starts that: PROMISES_SERVER. It is slower,
/// as `tests/valgrind/postgres` is.
pub fn server_program() -> Option<PathBuf> {
    std::env::var_os("PROMISES_SERVER").map(PathBuf::from)
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

/// The `pg_config` of another major version, in which our extension is installed too:
/// PROMISES_OTHER_PG_CONFIG. Tests that go from one version to another are left out without it.
pub fn other_pg_config() -> Option<PathBuf> {
    let path = std::env::var_os("PROMISES_OTHER_PG_CONFIG")?;
    Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty())
}

/// The folder of its programs.
pub fn bin_dir() -> PathBuf {
    PathBuf::from(output_of(Command::new(find_pg_config()).arg("--bindir")))
}

fn path_with(programs: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap()
}

/// Keeps what libpq would read of our environment from a program.
pub fn remove_pg_variables(command: &mut Command) {
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
