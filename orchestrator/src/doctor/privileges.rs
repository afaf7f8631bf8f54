//! Whether the role may do what it must, and no more.

use super::Finding;
use crate::database::Rights;

const CHECK: &str = "privileges";

/// Of a role that may not even name what is in the schema.
pub(super) fn stranger() -> Finding {
    Finding::problem(
        CHECK,
        "the role may not use the schema message_store",
        "GRANT message_store TO ...; names the role that connects.",
    )
}

pub(super) fn check(rights: &Rights, doors: &[String]) -> Vec<Finding> {
    let Rights {
        role,
        is_superuser,
        powers,
        is_owner,
        may_insert,
        missing,
    } = rights;
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(Finding::problem(
            CHECK,
            format!("the role {role} may not call {}", missing.join(", ")),
            format!("GRANT message_store TO {role};"),
        ));
    }
    let too_much = if *is_superuser {
        Some("is a superuser: it must never tick".to_owned())
    } else if !powers.is_empty() {
        Some(format!("has {}, and must not tick", powers.join(", ")))
    } else if *is_owner {
        Some("owns the log: it can change and delete messages".to_owned())
    } else if *may_insert {
        Some("may INSERT into the log: such messages can be skipped by readers".to_owned())
    } else {
        None
    };
    if let Some(too_much) = too_much {
        findings.push(Finding::warning(
            CHECK,
            format!("the role {role} {too_much}"),
            "Let orchestrator and applications connect as message_store, or as a role that was \
             granted it and nothing else.",
        ));
    }
    findings.extend(doors.iter().map(|door| {
        let repair = "REVOKE what nobody needs, or give it to a role that has nothing else; \
                      SECURITY.md says who needs what.";
        Finding::warning(CHECK, door.clone(), repair)
    }));
    if findings.is_empty() {
        let finding = format!("the role {role} may call what it needs, and no more");
        findings.push(Finding::ok(CHECK, finding));
    }
    findings
}
