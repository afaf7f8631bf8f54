//! Looks at a database and says what endangers a store in it, each with what to do.

use std::time::Duration;

use serde::Serialize;

use crate::error::Result;
use message_store_client::database::Database;

mod capacity;
mod clock;
mod collations;
mod durability;
mod horizon;
mod messages;
mod privileges;
mod sequence;
mod sessions;
mod versions;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// Messages or read models are in danger, or nothing works.
    Problem,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub finding: String,
    /// What to do, where something is to be done.
    pub repair: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            finding: finding.into(),
            repair: None,
        }
    }

    fn warning(check: &'static str, finding: impl Into<String>, repair: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Warning,
            finding: finding.into(),
            repair: Some(repair.into()),
        }
    }

    fn problem(check: &'static str, finding: impl Into<String>, repair: impl Into<String>) -> Self {
        Self {
            level: Level::Problem,
            ..Self::warning(check, finding, repair)
        }
    }
}

/// Makes every check that can be made. Without the extension, its tables, or the right to name them
/// there is nothing more to look at.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn examine(database: &Database, blocked_for: Duration) -> Result<Vec<Finding>> {
    let installed = database.installed().await?;
    let mut findings = versions::check(&installed);
    findings.extend(durability::check(database).await?);
    findings.push(clock::check(database).await?);
    findings.extend(sessions::check(database).await?);
    if installed.extension.is_none() || !installed.has_store {
        return Ok(findings);
    }
    if !installed.may_use_schema {
        findings.push(privileges::stranger());
        return Ok(findings);
    }
    let refused = messages::check(database.not_heeded().await?);
    let is_read = refused.is_empty();
    findings.extend(refused);
    let rights = database.rights().await?;
    let mut ours = rights.iter().filter(|rights| rights.is_ours);
    let is_client = ours.all(|rights| rights.missing.is_empty());
    let mut exposures = database.exposures().await?;
    // Who may not call anything may not see whose subscriptions there are.
    if is_client && is_read {
        exposures.extend(database.subscriptions_of_superusers().await?);
    }
    findings.extend(privileges::check(&rights, &exposures));
    findings.extend(collations::check(&database.changed_collations().await?));
    findings.extend(capacity::check(&database.capacity().await?));
    if !installed.is_standby && is_client && is_read {
        if database.has_own_sessions() {
            findings.extend(sequence::check(database).await?);
        }
        findings.extend(horizon::check(database, blocked_for).await?);
    }
    Ok(findings)
}
