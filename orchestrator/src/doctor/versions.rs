//! Whether program, library and SQL belong together.

use std::cmp::Ordering;

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
            match compare(sql, files) {
                // The SQL does not go back.
                Ordering::Greater => format!(
                    "Install the extension {sql} in this server, as it was: the package \
                     postgresql-<major version>-message-store. Then connect again."
                ),
                _ => format!("ALTER EXTENSION message_store UPDATE TO '{files}';"),
            },
        ),
        (Some(sql), _) if sql != OURS => Finding::problem(
            CHECK,
            format!("the extension is {sql}, this program {OURS}"),
            match compare(sql, OURS) {
                Ordering::Greater => format!("Install the orchestrator {sql}."),
                _ => format!(
                    "Install the orchestrator {sql}, or the extension {OURS} and \
                     ALTER EXTENSION message_store UPDATE TO '{OURS}';"
                ),
            },
        ),
        (Some(sql), _) => Finding::ok(CHECK, format!("the extension is {sql}, as this program")),
    }
}

/// Whether the library that is installed knows what the SQL has made: it is not older.
pub(super) fn knows_the_sql(installed: &Installed) -> bool {
    let versions = installed.extension.as_ref().zip(installed.files.as_ref());
    versions.is_none_or(|(sql, files)| compare(sql, files) != Ordering::Greater)
}

/// Versions by their numbers: 0.10.0 is after 0.9.9.
fn compare(one: &str, other: &str) -> Ordering {
    let numbers = |version: &str| -> Vec<u64> {
        let numbers = version.split(['.', '-', '+']).take(3);
        numbers
            .map(|number| number.parse().unwrap_or_default())
            .collect()
    };
    numbers(one).cmp(&numbers(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn versions_that_differ_are_a_problem_whichever_is_older() {
        let update = format!("ALTER EXTENSION message_store UPDATE TO '{OURS}';");
        for (extension, files, level, repair) in [
            (None, None, Level::Problem, "make install"),
            (None, Some(OURS), Level::Problem, "CREATE EXTENSION"),
            (Some("0.1.1"), Some(OURS), Level::Problem, update.as_str()),
            (
                Some("0.10.0"),
                Some("0.9.9"),
                Level::Problem,
                "Install the extension 0.10.0 in this server",
            ),
            (
                Some("9.9.9"),
                Some("9.9.9"),
                Level::Problem,
                "Install the orchestrator 9.9.9.",
            ),
            (
                Some("0.1.1"),
                Some("0.1.1"),
                Level::Problem,
                "Install the orchestrator 0.1.1, or the extension",
            ),
            (Some(OURS), Some(OURS), Level::Ok, ""),
        ] {
            let installed = Installed {
                extension: extension.map(str::to_owned),
                files: files.map(str::to_owned),
                ..Installed::default()
            };
            let found = &check(&installed)[0];
            assert_eq!(found.level, level, "{found:?}");
            let said = found.repair.as_deref().unwrap_or_default();
            assert!(said.contains(repair), "{found:?}");
            // Nobody goes back by an update.
            let goes_back = extension != Some("0.1.1") && said.contains("UPDATE");
            assert!(!goes_back, "{found:?}");
        }
    }
}
