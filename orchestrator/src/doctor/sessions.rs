//! What the database sets for its sessions, and whose sessions they are.

use std::collections::HashMap;

use super::Finding;
use message_store_client::{database::Database, error::Result};

const CHECK: &str = "sessions";

const ISOLATION: &str = "default_transaction_isolation";
const READ_ONLY: &str = "default_transaction_read_only";
const TIMEOUT: &str = "statement_timeout";
const ENCODING: &str = "server_encoding";

pub(super) async fn check(database: &Database) -> Result<Vec<Finding>> {
    let names = [ISOLATION, READ_ONLY, TIMEOUT, ENCODING];
    let settings = database.settings(&names).await?;
    Ok(judge(&settings, database.has_own_sessions()))
}

fn judge(settings: &HashMap<String, String>, has_own_sessions: bool) -> Vec<Finding> {
    let value = |name: &str| settings.get(name).map_or("", String::as_str);
    let mut findings = Vec::new();
    let reset = |name: &str| {
        format!("ALTER DATABASE ... RESET {name}; for a role: ALTER ROLE ... RESET {name};")
    };
    if value(ENCODING) != "UTF8" {
        findings.push(Finding::problem(
            CHECK,
            format!(
                "the database's encoding is {}: names of streams and types are compared wrongly",
                value(ENCODING)
            ),
            "Move the store into a database with ENCODING 'UTF8'.",
        ));
    }
    if value(READ_ONLY) == "on" {
        findings.push(Finding::problem(
            CHECK,
            format!("{READ_ONLY} is on: nothing is written and nothing delivered (25006)"),
            reset(READ_ONLY),
        ));
    }
    if value(ISOLATION) != "read committed" {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "{ISOLATION} is {}: an application that reads categories must choose READ COMMITTED \
                 itself (25001); the orchestrator does",
                value(ISOLATION)
            ),
            reset(ISOLATION),
        ));
    }
    if value(TIMEOUT) != "0" {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "{TIMEOUT} is {} ms: it ends a handler that takes longer, and no attempt is counted",
                value(TIMEOUT)
            ),
            format!(
                "Set it for the roles that need it, not for the one that ticks: {}",
                reset(TIMEOUT)
            ),
        ));
    }
    if !has_own_sessions {
        findings.push(Finding::warning(
            CHECK,
            "the address leads to a pooler: the connection that waits for messages cannot go through it",
            "Name the server itself in [database] wait_url.",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            "sessions begin as the store needs them: UTF8, read committed, no limit of time",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn levels(encoding: &str, read_only: &str, isolation: &str, timeout: &str) -> Vec<Level> {
        let settings = [
            (ENCODING, encoding),
            (READ_ONLY, read_only),
            (ISOLATION, isolation),
            (TIMEOUT, timeout),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let findings = judge(&HashMap::from(settings), true);
        findings.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn what_stops_everything_is_a_problem_and_what_surprises_a_warning() {
        use Level::{Ok, Problem, Warning};
        assert_eq!(levels("UTF8", "off", "read committed", "0"), [Ok]);
        assert_eq!(levels("LATIN1", "off", "read committed", "0"), [Problem]);
        assert_eq!(levels("UTF8", "on", "read committed", "0"), [Problem]);
        assert_eq!(
            levels("UTF8", "off", "serializable", "5000"),
            [Warning, Warning]
        );
    }
}
