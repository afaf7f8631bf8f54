//! Whether positions are handed out in the order that readers rely on.

use std::time::Duration;

use super::Finding;
use message_store_client::{
    database::{Database, PositionSequence},
    error::Result,
};

const CHECK: &str = "sequence";
const NAME: &str = "message_store.messages_global_position_seq";

pub(super) async fn check(database: &Database) -> Result<Vec<Finding>> {
    let sequence = database.position_sequence().await?;
    // Whoever waits for what lies behind no position is told the last one at once.
    let session = database.session().await?;
    let drawn = session.wait_for_messages(-1, Duration::ZERO).await?;
    Ok(judge(&sequence, drawn))
}

fn judge(sequence: &PositionSequence, drawn: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refused = |what: String, repair: &str| {
        let finding = format!("the sequence of positions {what}: writes are refused");
        let repair = format!("ALTER SEQUENCE {NAME} {repair};");
        findings.push(Finding::problem(CHECK, finding, repair));
    };
    if sequence.cache_size != 1 {
        refused(format!("has CACHE {}", sequence.cache_size), "CACHE 1");
    }
    if sequence.increment_by < 1 {
        let what = format!("has INCREMENT {}", sequence.increment_by);
        refused(what, "INCREMENT 1");
    }
    if sequence.cycle {
        refused("has CYCLE".to_owned(), "NO CYCLE");
    }
    let highest = sequence.highest;
    if drawn < highest {
        findings.push(Finding::problem(
            CHECK,
            format!(
                "the sequence of positions was set back to {drawn}, behind message {highest}: \
                 writes are refused"
            ),
            format!("SELECT setval('{NAME}', {highest});"),
        ));
    }
    if findings.is_empty() {
        let finding = format!("positions are handed out in order; the last one is {drawn}");
        findings.push(Finding::ok(CHECK, finding));
    }
    findings
}
