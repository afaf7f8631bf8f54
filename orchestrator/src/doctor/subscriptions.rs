//! Whether subscriptions have what they need: functions, tables, and the rights to use them.

use super::Finding;
use message_store_client::database::Lack;

const CHECK: &str = "subscriptions";

/// More subscriptions with the same lack are counted, not named.
const NAMED: usize = 3;

pub(super) fn check(lacks: &[Lack]) -> Vec<Finding> {
    if lacks.is_empty() {
        let well = "their functions, tables and owners' rights are there";
        return vec![Finding::ok(CHECK, well)];
    }
    lacks.iter().map(judge).collect()
}

pub(super) fn judge(lack: &Lack) -> Finding {
    let ids = &lack.subscriber_ids;
    let mut whose = ids[..ids.len().min(NAMED)].join(", ");
    match ids.len().saturating_sub(NAMED) {
        0 => {}
        1 => whose.push_str(" and 1 other"),
        others => whose.push_str(&format!(" and {others} others")),
    }
    Finding::problem(CHECK, format!("{whose}: {}", lack.finding), &lack.repair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding_of(subscriptions: usize) -> String {
        let lack = Lack {
            subscriber_ids: (0..subscriptions).map(|id| format!("s:{id}")).collect(),
            finding: "it lacks".to_owned(),
            repair: String::new(),
        };
        judge(&lack).finding
    }

    #[test]
    fn what_many_lack_is_told_once() {
        assert_eq!(finding_of(1), "s:0: it lacks");
        assert_eq!(finding_of(4), "s:0, s:1, s:2 and 1 other: it lacks");
        assert_eq!(finding_of(99), "s:0, s:1, s:2 and 96 others: it lacks");
    }
}
