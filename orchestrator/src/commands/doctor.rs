//! `orchestrator doctor`: what endangers the store, and what to do.

use std::time::Duration;

use super::{
    read::print_line,
    table::{print_text, wrap},
    target_of,
    terminal::Size,
};
use crate::{
    cli::DoctorArgs,
    doctor::{Finding, Level, examine},
    error::{Error, Result},
};
use message_store_client::database::Database;
use printable::printable;

pub(super) async fn doctor(args: DoctorArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let findings = examine(&database, Duration::from_secs(args.blocked_for)).await?;
    if args.json {
        print_line(&findings)?;
    } else {
        print_findings(&findings)?;
    }
    require_well(&findings)
}

/// Prints findings for people.
pub(super) fn print_findings(findings: &[Finding]) -> Result<()> {
    let columns = Size::of_output().map(|size| size.columns);
    print_text(&text(findings, columns))
}

/// [`Error::Unwell`] where something has to be repaired.
pub(super) fn require_well(findings: &[Finding]) -> Result<()> {
    let problems = findings
        .iter()
        .filter(|finding| finding.level == Level::Problem)
        .count();
    match problems {
        0 => Ok(()),
        problems => Err(Error::Unwell { problems }),
    }
}

/// A finding a line; on a terminal of so many columns, long ones on several.
fn text(findings: &[Finding], columns: Option<usize>) -> String {
    const BEFORE: usize = 23;
    const NARROWEST: usize = 20;
    let mut lines = Vec::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        let mut begin = format!("{level:8} {:13} ", finding.check);
        for part in [Some(&finding.finding), finding.repair.as_ref()] {
            let part = printable(part.map_or("", String::as_str));
            let parts = match columns {
                Some(columns) => wrap(&part, columns.saturating_sub(BEFORE).max(NARROWEST)),
                None => vec![part.into_owned()],
            };
            for part in parts.iter().filter(|part| !part.is_empty()) {
                lines.push(format!("{begin}{part}"));
                begin = " ".repeat(BEFORE);
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_finding_is_broken_on_a_terminal_only() {
        let finding = Finding {
            check: "durability",
            level: Level::Problem,
            finding: "word ".repeat(40),
            repair: Some("SELECT 1;".to_owned()),
        };
        let whole = text(std::slice::from_ref(&finding), None);
        assert_eq!(whole.lines().count(), 2, "{whole}");
        let broken = text(&[finding], Some(80));
        assert!(broken.lines().all(|line| line.len() <= 80), "{broken}");
        assert!(
            broken.ends_with("\n                       SELECT 1;"),
            "{broken}"
        );
    }
}
