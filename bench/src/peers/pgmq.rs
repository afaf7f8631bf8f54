//! pgmq, a queue of jobs: the SQL that its Python package ships.

use std::fs;

use super::driver::{Client, Language};
use super::leave_out;
use super::scripted::Scripted;
use crate::comparison::Identity;

/// pgmq, where its package is installed.
pub fn pgmq() -> Option<Scripted> {
    let language = Language::Python;
    if !language.is_installed() {
        leave_out("pgmq");
        return None;
    }
    let identity = Identity::new(
        "pgmq",
        "a queue: no versions, no streams; a message that is handled is gone",
    )
    .version(&version_of_sql(language));
    Some(Scripted {
        identity,
        folder: "pgmq",
        fill: "write_batch",
        installer: Some(Client {
            language,
            target: "pgmq",
        }),
    })
}

/// The package has a version of its own; that of the SQL is beside the SQL.
fn version_of_sql(language: Language) -> String {
    let mut libraries = fs::read_dir(language.folder().join(".venv/lib")).unwrap();
    let version = libraries.find_map(|library| {
        let file = library
            .unwrap()
            .path()
            .join("site-packages/pgmq/sql/VERSION");
        fs::read_to_string(file).ok()
    });
    version.expect("pgmq says its version").trim().to_owned()
}
