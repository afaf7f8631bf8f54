//! How long transactions have kept messages from being read. When they began
//! the database tells to their own role only, so we remember when we saw them first.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use message_store_client::database::HorizonBlocker;
use message_store_client::samples::Sample;

/// Who is seen, and since when.
#[derive(Debug, Default)]
pub(super) struct Blockers {
    since: HashMap<(Option<i32>, i64), SystemTime>,
}

impl Blockers {
    /// Takes a sample over. Who is not in it has ended.
    pub(super) fn see(&mut self, sample: &Sample) {
        let seen = sample.blockers.iter().map(|blocker| {
            let name = name(blocker);
            let since = self.since.get(&name).copied();
            (name, since.unwrap_or(sample.at))
        });
        self.since = seen.collect();
    }

    /// How long the oldest has been seen; zero where there is none.
    pub(super) fn oldest(&self, now: SystemTime) -> Duration {
        let ages = self.since.values();
        let ages = ages.map(|since| now.duration_since(*since).unwrap_or_default());
        ages.max().unwrap_or_default()
    }
}

/// A session holds back at another position in its next transaction.
fn name(blocker: &HorizonBlocker) -> (Option<i32>, i64) {
    (blocker.pid, blocker.holds_back_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: SystemTime, blockers: &[(i32, i64)]) -> Sample {
        let blockers = blockers.iter().map(|(pid, after)| HorizonBlocker {
            pid: Some(*pid),
            holds_back_after: *after,
            ..HorizonBlocker::default()
        });
        Sample {
            at,
            head: 0,
            write_rate: None,
            written: 0,
            unconfirmed_epoch: None,
            subscriptions: Vec::new(),
            blockers: blockers.collect(),
            orchestrators: Vec::new(),
            shards: Vec::new(),
            is_router: false,
        }
    }

    #[test]
    fn an_age_is_that_of_one_transaction_not_of_a_row_of_short_ones() {
        let start = SystemTime::UNIX_EPOCH;
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut blockers = Blockers::default();
        blockers.see(&sample(after(0), &[(1, 10), (2, 10)]));
        blockers.see(&sample(after(10), &[(1, 10), (2, 20)]));
        assert_eq!(blockers.oldest(after(15)), Duration::from_secs(15));
        blockers.see(&sample(after(20), &[(2, 20)]));
        assert_eq!(blockers.oldest(after(20)), Duration::from_secs(10));
        blockers.see(&sample(after(30), &[]));
        assert_eq!(blockers.oldest(after(40)), Duration::ZERO);
    }
}
