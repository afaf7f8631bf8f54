//! A program of the workspace, built while the test runs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// How it is built.
#[derive(Clone, Copy)]
pub enum Profile {
    /// As the tests are.
    Dev,
    /// As it is released.
    Release,
}

/// Builds the program that has the name of its package, and says where it stands. Fails the test
/// where it does not build.
pub fn build_program(package: &str, profile: Profile) -> PathBuf {
    let (profile, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // What cargo says to us of our own package is none of its business: some crates are compiled
    // anew where it changes, and once more by the next cargo without it.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&variable);
        }
    }
    let target = target_folder();
    build
        .args(["build", "--locked", "--quiet", "--profile", profile])
        .args(["--package", package])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let built = build.status();
    assert!(built.unwrap().success(), "{package} does not build");
    target.join(folder).join(package)
}

/// A test is `<target>/<profile>/deps/<name>`, a program of `tests/` stands above that.
fn target_folder() -> PathBuf {
    let ourselves = std::env::current_exe().unwrap();
    let mut folders = ourselves.ancestors().skip(1);
    let profile = folders.find(|folder| !folder.ends_with("deps")).unwrap();
    profile.parent().map(Path::to_owned).unwrap()
}
