//! `orchestrator doctor`: what endangers the store, and what to do.

use std::{fmt::Write, time::Duration};

use super::{read::print_line, table::print_text, target_of};
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
        print_text(&text(&findings))?;
    }
    let problems = findings
        .iter()
        .filter(|finding| finding.level == Level::Problem)
        .count();
    match problems {
        0 => Ok(()),
        problems => Err(Error::Unwell { problems }),
    }
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{level:8} {:12} {}",
            finding.check,
            printable(&finding.finding)
        );
        if let Some(repair) = &finding.repair {
            let _ = writeln!(text, "{:21} {}", "", printable(repair));
        }
    }
    text.trim_end().to_owned()
}
