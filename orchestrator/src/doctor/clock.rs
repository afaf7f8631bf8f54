//! Whether the server's clock is ours.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Finding;
use message_store_client::{database::Database, error::Result};

const CHECK: &str = "clock";
/// How many seconds apart are worth a word.
const APART: f64 = 2.0;

pub(super) async fn check(database: &Database) -> Result<Finding> {
    let before = now();
    let server = database.clock().await?;
    let after = now();
    Ok(judge(before, server, after))
}

/// The server read its clock somewhere between the two looks at ours.
fn judge(before: f64, server: f64, after: f64) -> Finding {
    let apart = (server - after).max(before - server).max(0.0);
    if apart < APART {
        return Finding::ok(CHECK, "the server's clock and this machine's agree");
    }
    let which = if server > after { "ahead of" } else { "behind" };
    Finding::warning(
        CHECK,
        format!("the server's clock is {apart:.0} s {which} this machine's"),
        "Positions do not depend on clocks, but times in messages, lags and retries do: let both \
         follow NTP.",
    )
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        assert_eq!(judge(100.0, 105.0, 110.0).level, Level::Ok);
        let ahead = judge(100.0, 115.0, 110.0);
        assert!(ahead.finding.contains("5 s ahead"), "{ahead:?}");
        let behind = judge(100.0, 90.0, 110.0);
        assert!(behind.finding.contains("10 s behind"), "{behind:?}");
    }
}
