//! Whether the roles that tick may do what they must, and no more, and whether the store is shut
//! to everybody else.

use super::Finding;
use message_store_client::database::{Exposure, Rights};

const CHECK: &str = "privileges";

/// Of a role that may not even name what is in the schema.
pub(super) fn stranger(role: &str) -> Finding {
    Finding::problem(
        CHECK,
        format!("the role {role} may not use the schema message_store"),
        format!("GRANT message_store TO {role};"),
    )
}

/// Judges those that tick; where nobody does, whoever connects, as if it were to.
pub(super) fn check(rights: &[Rights], exposures: &[Exposure]) -> Vec<Finding> {
    let is_ticked = rights.iter().any(|rights| rights.ticks);
    let judged = rights.iter().filter(|rights| rights.ticks || !is_ticked);
    let mut findings: Vec<Finding> = judged.flat_map(judge).collect();
    findings.extend(exposures.iter().map(|door| {
        let told = match door.is_danger {
            true => Finding::problem,
            false => Finding::warning,
        };
        told(CHECK, door.finding.clone(), door.repair.clone())
    }));
    findings
}

/// Judges whoever connects, which is to tick; a superuser only where none may.
pub(super) fn check_ours(rights: &[Rights], allow_superuser: bool) -> Vec<Finding> {
    let is_judged = |rights: &&Rights| {
        let is_allowed = rights.powers.is_superuser && allow_superuser;
        rights.is_ours && !is_allowed
    };
    rights.iter().filter(is_judged).flat_map(judge).collect()
}

fn judge(rights: &Rights) -> Vec<Finding> {
    const REPAIR: &str = "Let orchestrator and applications connect as message_store, or as a role \
                          that was granted it and nothing else.";
    let role = &rights.powers.role;
    let mut findings = Vec::new();
    if !rights.missing.is_empty() {
        findings.push(Finding::problem(
            CHECK,
            format!("the role {role} may not call {}", rights.missing.join(", ")),
            &rights.grant,
        ));
    }
    let powers = rights.powers.all.join(", ");
    if rights.powers.is_superuser {
        let superuser = format!(
            "the role {role} is a superuser, or may become one ({powers}): it must never tick"
        );
        findings.push(Finding::problem(CHECK, superuser, REPAIR));
    } else if !powers.is_empty() {
        let powerful = format!("the role {role} has {powers}, and must not tick");
        findings.push(Finding::warning(CHECK, powerful, REPAIR));
    }
    if !rights.excess.is_empty() {
        let excess = rights.excess.join("; ");
        let finding = format!("the role {role} has more than it needs to tick: {excess}");
        findings.push(Finding::warning(CHECK, finding, REPAIR));
    }
    if findings.is_empty() {
        let finding = format!("the role {role} may call what it needs, and no more");
        findings.push(Finding::ok(CHECK, finding));
    }
    findings
}
