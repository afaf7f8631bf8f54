//! What becomes of a message whose handler fails. Pure.

use std::time::Duration;

/// What a subscription does about failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a handler is called again before it is given up.
    pub retries: i64,
    /// The pause before the first of these; doubled each time.
    pub retry_delay: Duration,
    /// The longest pause.
    pub retry_max_delay: Duration,
    /// How long transient errors are retried without counting.
    pub transient_limit: Duration,
    /// What is given up is parked; else the subscription stops.
    pub parks: bool,
    /// Later messages of a parked message's stream wait behind it.
    pub holds_stream: bool,
    /// Messages are only tried: what fails is told of by whoever asked, and not in the log.
    pub is_trial: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retries: 10,
            retry_delay: Duration::from_millis(100),
            retry_max_delay: Duration::from_secs(30),
            transient_limit: Duration::from_secs(600),
            parks: false,
            holds_stream: true,
            is_trial: false,
        }
    }
}

/// What comes after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Called again after this pause.
    Retry {
        /// How long.
        after: Duration,
        /// Whether this attempt counts.
        counts: bool,
    },
    /// No more: parked or stopped.
    GiveUp,
}

/// Errors that pass by themselves: serialization failure, deadlock, lock timeout, too many
/// connections, and a server that shuts down or starts.
const TRANSIENT: [&str; 7] = [
    "40001", "40P01", "55P03", "53300", "57P01", "57P02", "57P03",
];

impl Policy {
    /// What to do after a failure: `counted` failed attempts before it, the first one `failing_for`
    /// ago. `jitter` is from 0 to 1: 0 halves a pause, 1 leaves it whole.
    pub fn decide(
        &self,
        sqlstate: &str,
        counted: i64,
        failing_for: Duration,
        jitter: f64,
    ) -> Decision {
        if TRANSIENT.contains(&sqlstate) && failing_for < self.transient_limit {
            // As long again as it has lasted: doubling, with no counter to keep.
            let pause = failing_for.clamp(self.retry_delay, self.longest_pause());
            return Decision::Retry {
                after: cut(pause, jitter),
                counts: false,
            };
        }
        if counted >= self.retries {
            return Decision::GiveUp;
        }
        let doublings = u32::try_from(counted.clamp(0, 30)).unwrap_or(30);
        let pause = self.retry_delay.saturating_mul(1 << doublings);
        Decision::Retry {
            after: cut(pause.min(self.longest_pause()), jitter),
            counts: true,
        }
    }

    /// The same for messages that are only tried, each once: `goes_on` where one that fails is left
    /// behind.
    pub fn try_once(&mut self, goes_on: bool) {
        (self.retries, self.parks, self.is_trial) = (0, goes_on, true);
        if goes_on {
            self.transient_limit = Duration::ZERO;
        }
    }

    fn longest_pause(&self) -> Duration {
        self.retry_max_delay.max(self.retry_delay)
    }
}

fn cut(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AGO: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_end_in_giving_up() {
        let policy = Policy {
            retries: 4,
            retry_max_delay: Duration::from_millis(500),
            ..Policy::default()
        };
        let pauses: Vec<_> = (0..5)
            .map(|counted| policy.decide("P0001", counted, AGO, 1.0))
            .collect();
        let retry = |ms| Decision::Retry {
            after: Duration::from_millis(ms),
            counts: true,
        };
        assert_eq!(
            pauses,
            [
                retry(100),
                retry(200),
                retry(400),
                retry(500),
                Decision::GiveUp
            ]
        );
    }

    #[test]
    fn a_transient_error_counts_only_after_its_limit() {
        let policy = Policy::default();
        let within = policy.decide("40001", 10, Duration::from_secs(599), 0.0);
        assert!(matches!(within, Decision::Retry { counts: false, .. }));
        let beyond = policy.decide("40001", 10, Duration::from_secs(600), 0.0);
        assert_eq!(beyond, Decision::GiveUp);
    }

    #[test]
    fn a_statement_timeout_and_lack_of_memory_count_at_once() {
        for sqlstate in ["57014", "53200"] {
            let decision = Policy::default().decide(sqlstate, 10, AGO, 0.0);
            assert_eq!(decision, Decision::GiveUp);
        }
    }

    #[test]
    fn what_is_tried_once_is_left_behind_only_where_the_trial_goes_on() {
        for goes_on in [false, true] {
            let mut policy = Policy {
                retries: 4,
                parks: !goes_on,
                ..Policy::default()
            };
            policy.try_once(goes_on);
            assert!(policy.is_trial);
            assert_eq!(policy.parks, goes_on);
            assert_eq!(policy.decide("P0001", 0, AGO, 0.0), Decision::GiveUp);
            let may_pass = policy.decide("40001", 0, AGO, 0.0);
            assert_eq!(may_pass == Decision::GiveUp, goes_on);
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_between_half_of_the_delay_and_the_longest(
            counted in 0..200_i64,
            delay in 0..100_000_u64,
            longest in 0..100_000_u64,
            jitter in 0.0..=1.0,
            sqlstate in prop::sample::select(vec!["40001", "P0001"]),
        ) {
            let policy = Policy {
                retries: i64::MAX,
                retry_delay: Duration::from_millis(delay),
                retry_max_delay: Duration::from_millis(longest),
                ..Policy::default()
            };
            let Decision::Retry { after, .. } = policy.decide(sqlstate, counted, AGO, jitter) else {
                panic!("given up with endless retries");
            };
            prop_assert!(after >= policy.retry_delay.mul_f64(0.5));
            prop_assert!(after <= policy.retry_max_delay.max(policy.retry_delay));
        }
    }
}
