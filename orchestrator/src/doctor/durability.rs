//! Settings with which a crash loses what was acknowledged.

use super::Finding;
use message_store_client::{database::Database, error::Result};

const CHECK: &str = "durability";

struct Setting {
    name: &'static str,
    /// The value that loses something.
    bad: &'static str,
    /// What it loses.
    loses: &'static str,
    is_fatal: bool,
}

const SETTINGS: [Setting; 4] = [
    Setting {
        name: "fsync",
        bad: "off",
        loses: "a crash of the machine can destroy the whole log",
        is_fatal: true,
    },
    Setting {
        name: "full_page_writes",
        bad: "off",
        loses: "a crash of the machine can leave pages half written",
        is_fatal: true,
    },
    Setting {
        name: "synchronous_commit",
        bad: "off",
        loses: "a crash loses the last messages whose writers were told that they are written",
        is_fatal: true,
    },
    Setting {
        name: "autovacuum",
        bad: "off",
        loses: "progress and read models are updated all the time, and grow without bounds",
        is_fatal: false,
    },
];

pub(super) async fn check(database: &Database) -> Result<Vec<Finding>> {
    let names = SETTINGS.each_ref().map(|setting| setting.name);
    let server = database.settings(&names).await?;
    let mut findings = Vec::new();
    for Setting {
        name,
        bad,
        loses,
        is_fatal,
    } in SETTINGS
    {
        if server.get(name).is_some_and(|value| value == bad) {
            let finding = format!("{name} is {bad}: {loses}");
            let repair = format!("ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();");
            findings.push(if is_fatal {
                Finding::problem(CHECK, finding, repair)
            } else {
                Finding::warning(CHECK, finding, repair)
            });
        }
    }
    for own in database.overrides(&["synchronous_commit"]).await? {
        if own.setting.ends_with("=off") {
            findings.push(Finding::problem(
                CHECK,
                format!(
                    "{} has {}: a crash loses the last messages it wrote",
                    own.of, own.setting
                ),
                "ALTER ROLE ... RESET synchronous_commit; for a database: ALTER DATABASE ... RESET \
                 synchronous_commit;",
            ));
        }
    }
    if findings.is_empty() {
        let text = "what is acknowledged survives a crash: fsync, full_page_writes and \
                    synchronous_commit are on";
        findings.push(Finding::ok(CHECK, text));
    }
    Ok(findings)
}
