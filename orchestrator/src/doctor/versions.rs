//! Whether program, library and SQL belong together.

use super::Finding;
use message_store_client::database::Installed;

const CHECK: &str = "versions";
/// Of this program.
const OURS: &str = env!("CARGO_PKG_VERSION");

pub(super) fn check(installed: &Installed) -> Vec<Finding> {
    let mut findings = vec![extension(installed)];
    if installed.extension.is_some() && !installed.has_store {
        findings.push(Finding::problem(
            CHECK,
            "the database has no store",
            "SELECT message_store.create_store(); `orchestrator run` does it by itself where its \
             role may.",
        ));
    }
    if installed.is_standby {
        findings.push(Finding::warning(
            CHECK,
            "the server is a standby: nothing is written or ticked here",
            "To write or to tick, name the primary with --url; reading is done here.",
        ));
    }
    findings
}

fn extension(installed: &Installed) -> Finding {
    match (&installed.extension, &installed.files) {
        (None, None) => Finding::problem(
            CHECK,
            "the extension message_store is not installed in this server",
            "Install it there: the package postgresql-<major version>-message-store, or \
             make install PG_CONFIG=/path/to/its/pg_config",
        ),
        (None, Some(_)) => Finding::problem(
            CHECK,
            "the extension is not created in this database",
            "CREATE EXTENSION message_store; SELECT message_store.create_store();",
        ),
        (Some(sql), Some(files)) if sql != files => Finding::problem(
            CHECK,
            format!("the extension's SQL is {sql}, its library {files}"),
            format!("ALTER EXTENSION message_store UPDATE TO '{files}';"),
        ),
        (Some(sql), _) if sql != OURS => Finding::problem(
            CHECK,
            format!("the extension is {sql}, this program {OURS}"),
            format!(
                "Install the orchestrator {sql}, or the extension {OURS} and \
                 ALTER EXTENSION message_store UPDATE TO '{OURS}';"
            ),
        ),
        (Some(sql), _) => Finding::ok(CHECK, format!("the extension is {sql}, as this program")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn versions_that_differ_are_a_problem_whichever_is_older() {
        let levels = [
            (None, None),
            (None, Some(OURS)),
            (Some("0.1.1"), Some(OURS)),
            (Some("9.9.9"), Some("9.9.9")),
            (Some(OURS), Some(OURS)),
        ]
        .map(|(extension, files)| {
            let installed = Installed {
                extension: extension.map(str::to_owned),
                files: files.map(str::to_owned),
                ..Installed::default()
            };
            check(&installed)[0].level
        });
        let problem = Level::Problem;
        assert_eq!(levels, [problem, problem, problem, problem, Level::Ok]);
    }
}
