//! The programs of tests/peers/, each as a command that takes its arguments. `make setup-test` has
//! installed what they need; where something is missing, the test fails and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use promises::{Profile, build_program};

const JDBC_DRIVER: &str = "/usr/share/java/postgresql.jar";
/// Debian's Go packages.
const GO_PATH: &str = "/usr/share/gocode";

pub fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// What runs the program with this source.
pub fn command(source: &str) -> Command {
    let path = peers().join(source);
    match source.rsplit_once('.').unwrap().1 {
        "py" => {
            require(&peers().join(".venv/installed"));
            interpreted(&peers().join(".venv/bin/python"), &path)
        }
        "rb" => interpreted(Path::new("/usr/bin/ruby"), &path),
        "mjs" => node(&[], &path),
        // Its address is built in.
        "cjs" => node(
            &[
                Path::new("--require"),
                &path.with_file_name("at_pg_host.cjs"),
            ],
            &path,
        ),
        "java" => java(&path),
        "go" => go(&path),
        "rs" => {
            let client = source.split('/').next().unwrap();
            let package = format!("peer_{}", client.replace('-', "_"));
            Command::new(build_program(&package, Profile::Dev))
        }
        _ => panic!("nothing runs {source}"),
    }
}

fn interpreted(interpreter: &Path, program: &Path) -> Command {
    require(interpreter);
    let mut command = Command::new(interpreter);
    command.arg(program);
    command
}

fn node(options: &[&Path], program: &Path) -> Command {
    require(&peers().join("node_modules/pg"));
    let mut command = Command::new("node");
    command.args(options).arg(program);
    command
}

fn java(source: &Path) -> Command {
    require(Path::new(JDBC_DRIVER));
    let classes = compiled().join("jdbc");
    run(Command::new("javac")
        .args(["-cp", JDBC_DRIVER, "-d"])
        .arg(&classes)
        .arg(source));
    let mut command = Command::new("java");
    let path = format!("{JDBC_DRIVER}:{}", classes.display());
    command.args(["-cp", &path, "Client"]);
    command
}

fn go(source: &Path) -> Command {
    require(&Path::new(GO_PATH).join("src/github.com/jackc/pgx/v4"));
    let program = compiled().join("pgx");
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(source)
        // Debian's packages, and none from elsewhere.
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PATH)
        .env("GOCACHE", compiled().join("go")));
    Command::new(program)
}

/// For what is compiled; it is kept between runs.
fn compiled() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn require(what: &Path) {
    assert!(
        what.exists(),
        "{} is missing: make setup-test installs it",
        what.display()
    );
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; make setup-test installs it"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}
