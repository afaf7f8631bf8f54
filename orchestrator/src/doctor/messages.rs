//! What is on the table of messages that the functions refuse.

use super::Finding;
use message_store_client::database::NotHeeded;

const CHECK: &str = "messages";

pub(super) fn check(not_heeded: Vec<NotHeeded>) -> Vec<Finding> {
    let findings = not_heeded.into_iter().map(|NotHeeded { what, repair }| {
        let finding = format!("messages has {what}: nothing is written and nothing read");
        Finding::problem(CHECK, finding, repair)
    });
    findings.collect()
}
