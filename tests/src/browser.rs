//! Scenarios in headless Chromium: programs for Node in tests/browser/, which know the pages by
//! their addresses and the database by psql.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cluster::output_of;
use crate::database::Database;

/// What Debian and others call it; CHROMIUM names another one.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A scenario of tests/browser/, to be run against a database.
pub struct Scenario {
    command: Command,
}

impl Scenario {
    /// Prepares one. `psql` in it reaches the database as the superuser.
    pub fn new(name: &str, database: &Database<'_>) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
        assert!(
            folder.join("node_modules").exists(),
            "no browser driver: scripts/setup test installs what the tests need"
        );
        // The kernel ends Node with the thread that starts it; Chromium ends with Node.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "node"])
            .arg(folder.join(name).with_extension("mjs"));
        database.cluster.set_client_environment(&mut command);
        command
            .env("PGDATABASE", &database.name)
            .env("CHROMIUM", browser())
            .env("SCREENSHOTS", screenshots())
            .stdin(Stdio::null());
        Self { command }
    }

    /// Tells the scenario something by the environment.
    pub fn with(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end and returns what it printed; a failure of it fails the test.
    pub fn run(mut self) -> String {
        output_of(&mut self.command)
    }
}

fn browser() -> PathBuf {
    if let Some(path) = std::env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    found.expect("no Chromium: scripts/setup test installs it; CHROMIUM=/path/to/it names another")
}

/// Where pictures go: `<target>/screenshots`, where a test is `<target>/<profile>/deps/<name>`.
fn screenshots() -> PathBuf {
    let ourselves = std::env::current_exe().unwrap();
    let folder = ourselves.ancestors().nth(3).unwrap().join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
