//! Whether there is room, and what stands in the way of others.

use super::Finding;
use message_store_client::database::Capacity;

const CHECK: &str = "capacity";
/// What an orchestrator of the default `pool_size` connects with, at most.
const NEEDED: i64 = 11;

pub(super) fn check(capacity: &Capacity) -> Vec<Finding> {
    let Capacity {
        connections,
        taken,
        idle_in_transaction,
        prepared,
        unlogged,
        without_autovacuum,
    } = capacity;
    let mut findings = Vec::new();
    let free = connections - taken;
    if free < NEEDED {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "{free} of {connections} connections are free; an orchestrator takes up to {NEEDED}"
            ),
            "ALTER SYSTEM SET max_connections = ...; and restart, or put a pool before the \
             applications.",
        ));
    }
    if !idle_in_transaction.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "sessions stand in an open transaction for more than a minute: {}",
                listed(idle_in_transaction)
            ),
            "They keep VACUUM from its work, and readers back if they have written: \
             SELECT pg_terminate_backend(pid); or SET idle_in_transaction_session_timeout.",
        ));
    }
    if !prepared.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "prepared transactions are older than a minute: {}",
                prepared.join(", ")
            ),
            "COMMIT PREPARED '...'; or ROLLBACK PREPARED '...';",
        ));
    }
    for table in unlogged {
        findings.push(Finding::problem(
            CHECK,
            format!("message_store.{table} is unlogged: a crash empties it"),
            format!("ALTER TABLE message_store.{table} SET LOGGED;"),
        ));
    }
    for table in without_autovacuum {
        findings.push(Finding::warning(
            CHECK,
            format!("message_store.{table} is left alone by autovacuum"),
            format!("ALTER TABLE message_store.{table} RESET (autovacuum_enabled);"),
        ));
    }
    if findings.is_empty() {
        let finding = format!("{free} of {connections} connections are free");
        findings.push(Finding::ok(CHECK, finding));
    }
    findings
}

fn listed(pids: &[i32]) -> String {
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    pids.join(", ")
}
