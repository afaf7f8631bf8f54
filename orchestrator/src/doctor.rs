//! Looks at a database and says what endangers a store in it, each with what to do.

use std::time::Duration;

use serde::Serialize;

use crate::{
    config::{Config, Subscription},
    error::Result,
};
use message_store_client::database::{Database, Lack};

mod capacity;
mod clock;
mod collations;
mod durability;
mod epochs;
mod horizon;
mod messages;
mod privileges;
mod sequence;
mod sessions;
mod subscriptions;
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
    // The functions of an older library refuse to be asked anything.
    let answers = versions::knows_the_sql(&installed);
    if installed.extension.is_none() || !installed.has_store || !answers {
        return Ok(findings);
    }
    if !installed.may_use_schema {
        findings.push(privileges::stranger(&installed.role));
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
    let sees_subscriptions = is_client && is_read;
    if sees_subscriptions {
        exposures.extend(database.subscriptions_of_superusers().await?);
    }
    findings.extend(privileges::check(&rights, &exposures));
    if sees_subscriptions {
        findings.extend(subscriptions::check(&database.lacks().await?));
    }
    findings.extend(collations::check(&database.changed_collations().await?));
    findings.extend(capacity::check(&database.capacity().await?));
    if is_client {
        findings.extend(epochs::check(database).await?);
    }
    if installed.is_standby {
        findings.push(horizon::check_standby(database).await?);
    } else if sees_subscriptions {
        if database.has_own_sessions() {
            findings.extend(sequence::check(database).await?);
        }
        findings.extend(horizon::check(database, blocked_for).await?);
    }
    Ok(findings)
}

/// Looks whether the role that connects can do what a file wants of it: what is not as it should be.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn examine_file(database: &Database, config: &Config) -> Result<Vec<Finding>> {
    let installed = database.installed().await?;
    if installed.extension.is_none() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    if installed.may_use_schema {
        let rights = database.rights().await?;
        findings.extend(privileges::check_ours(&rights, config.allow_superuser));
    } else {
        findings.push(privileges::stranger(&installed.role));
    }
    findings.retain(|finding| finding.level != Level::Ok);
    let may_create = findings
        .iter()
        .all(|finding| finding.level != Level::Problem);
    let declared = config.subscriptions.iter().map(Subscription::declared);
    let declared: Vec<_> = declared.collect();
    let mut lacks = database.lacks_of(&declared).await?;
    // The store has the last word on all that it takes.
    if may_create && installed.has_store && !installed.is_standby {
        for subscription in &declared {
            let id = subscription.subscriber_id;
            let is_known = |lack: &Lack| lack.subscriber_ids.iter().any(|known| known == id);
            if !lacks.iter().any(is_known) {
                lacks.extend(database.try_subscription(subscription).await?);
            }
        }
    }
    // One GRANT may repair both.
    lacks.retain(|lack| {
        let is_repair = |finding: &Finding| finding.repair.as_ref() == Some(&lack.repair);
        !findings.iter().any(is_repair)
    });
    findings.extend(lacks.iter().map(subscriptions::judge));
    Ok(findings)
}
