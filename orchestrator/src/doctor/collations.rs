//! Whether text is still sorted as it was when the indexes were built.

use super::Finding;
use message_store_client::database::ChangedCollation;

const CHECK: &str = "collations";

pub(super) fn check(changed: &[ChangedCollation]) -> Vec<Finding> {
    if changed.is_empty() {
        let finding = "text is sorted as it was when the indexes were built";
        return vec![Finding::ok(CHECK, finding)];
    }
    let finding = |changed: &ChangedCollation| {
        let ChangedCollation {
            index,
            collation,
            recorded,
            actual,
        } = changed;
        let refresh = match collation.as_str() {
            "default" => "ALTER DATABASE ... REFRESH COLLATION VERSION;".to_owned(),
            other => format!("ALTER COLLATION {other} REFRESH VERSION;"),
        };
        Finding::problem(
            CHECK,
            format!(
                "the collation {collation} under {index} was {recorded} and is {actual}: streams \
                 may not be found, and be written twice"
            ),
            format!("Stop writers; REINDEX INDEX {index}; then {refresh}"),
        )
    };
    changed.iter().map(finding).collect()
}
