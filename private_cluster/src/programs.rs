//! PostgreSQL's programs: which ones, and how they are run.

use std::{
    ffi::OsStr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use postgresql_commands::{CommandBuilder, postgres::PostgresBuilder};

use super::account::Account;
use crate::error::{Error, Result};

/// The oldest major version the extension is built for.
const OLDEST: u32 = 15;

/// The programs of one PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) dir: PathBuf,
    pub(super) major_version: u32,
}

impl Programs {
    /// Finds them by the given `pg_config`; else by `PG_CONFIG`, `PATH`, and
    /// last the newest under `/usr/lib/postgresql`. A `pg_config` without a
    /// server beside it counts only where it was asked for by name.
    pub(super) async fn find(pg_config: Option<&Path>) -> Result<Self> {
        let from_env = std::env::var_os("PG_CONFIG").filter(|value| !value.is_empty());
        if let Some(chosen) = pg_config
            .map(Path::to_owned)
            .or(from_env.map(PathBuf::from))
        {
            let dir = bindir(&chosen).await.map_err(|problem| Error::Unusable {
                origin: format!("pg_config {}", chosen.display()),
                problem,
            })?;
            return Self::in_dir(dir).await;
        }
        if let Ok(dir) = bindir(Path::new("pg_config")).await
            && has_server(&dir)
        {
            return Self::in_dir(dir).await;
        }
        let newest = newest_debian_dir().ok_or_else(|| Error::Unusable {
            origin: "PostgreSQL".to_owned(),
            problem: format!(
                "no server found (PostgreSQL {OLDEST} or newer). On Debian or Ubuntu: \
                 `apt install postgresql`; elsewhere name its pg_config with --pg-config"
            ),
        })?;
        Self::in_dir(newest).await
    }

    async fn in_dir(dir: PathBuf) -> Result<Self> {
        let fail = |problem: String| Error::Unusable {
            origin: format!("PostgreSQL in {}", dir.display()),
            problem,
        };
        if !has_server(&dir) {
            return Err(fail(
                "initdb, pg_ctl and postgres are not all there; install the server \
                             package (on Debian or Ubuntu: `apt install postgresql`)"
                    .to_owned(),
            ));
        }
        let command = PostgresBuilder::new().program_dir(&dir).version().build();
        let output = run(command, None, Path::new("/")).await.map_err(fail)?;
        // "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "... 18beta1"
        let digits: String = output
            .split_whitespace()
            .nth(2)
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let major_version = digits
            .parse()
            .map_err(|_| fail(format!("its version is not understood: {output:?}")))?;
        if major_version < OLDEST {
            return Err(fail(format!(
                "it is PostgreSQL {major_version}; {OLDEST} or newer is needed"
            )));
        }
        Ok(Self { dir, major_version })
    }
}

/// Runs a program to its end, as `account` where given; returns its output.
///
/// It sees none of our `PG*` variables, which would change what it does, and
/// it is not in our terminal's process group: Ctrl-C is for us to act on.
///
/// # Errors
/// What the program said, or why it could not be run.
pub(super) async fn run(
    mut command: Command,
    account: Option<&Account>,
    current_dir: &Path,
) -> std::result::Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    prepare(&mut command, account, current_dir);
    let output = tokio::process::Command::from(command)
        .output()
        .await
        .map_err(|error| format!("{name} cannot be run: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = if stderr.is_empty() { stdout } else { stderr };
    Err(format!("{name} failed ({}): {said}", output.status))
}

/// How every program of PostgreSQL is run; see [`run`].
pub(super) fn prepare(command: &mut Command, account: Option<&Account>, current_dir: &Path) {
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("PG") {
            command.env_remove(variable);
        }
    }
    command
        .env("LC_ALL", "C")
        .current_dir(current_dir)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(account) = account {
        account.apply(command);
    }
}

async fn bindir(pg_config: &Path) -> std::result::Result<PathBuf, String> {
    let mut command = Command::new(pg_config);
    command.arg("--bindir");
    run(command, None, Path::new("/")).await.map(PathBuf::from)
}

fn has_server(dir: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|name| dir.join(name).is_file())
}

fn newest_debian_dir() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| has_server(&path.join("bin")))
        .max_by_key(|path| {
            path.file_name()
                .and_then(OsStr::to_str)
                .and_then(|name| name.parse::<u32>().ok())
        })
        .map(|path| path.join("bin"))
}
