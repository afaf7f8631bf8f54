//! How long to pause after a failure.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::config::Delivery;

/// Pauses that double from the pace's `retry_min` to its `retry_max`. Each is
/// shortened at random, by up to half, so that many clients of a database that
/// comes back do not all knock at once.
pub struct Retry {
    builder: ExponentialBuilder,
    pauses: ExponentialBackoff,
    longest: Duration,
    failures: u64,
}

impl Retry {
    /// Starts with no failure behind it. The jitter adds up to a delay to each,
    /// so the delays handed to it are halves.
    pub fn new(pace: &Delivery) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(pace.retry_min / 2)
            .with_max_delay(pace.retry_max / 2)
            .with_factor(2.0)
            .without_max_times()
            .with_jitter();
        Self {
            builder,
            pauses: builder.build(),
            longest: pace.retry_max,
            failures: 0,
        }
    }

    /// True where nothing failed since the last success.
    pub fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    /// The pause after one more failure in a row.
    pub fn next_pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.pauses.next().unwrap_or(self.longest)
    }

    /// After a success: the next failure starts with the shortest pause again.
    /// True where there were failures before it.
    pub fn reset(&mut self) -> bool {
        let recovered = !self.is_fresh();
        if recovered {
            self.failures = 0;
            self.pauses = self.builder.build();
        }
        recovered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Delivery {
        Delivery {
            wait_timeout: Duration::from_secs(1),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_millis(1000),
        }
    }

    #[test]
    fn pauses_grow_to_the_limit_and_never_end() {
        let mut retry = Retry::new(&pace());
        let pauses: Vec<u128> = (0..40).map(|_| retry.next_pause().as_millis()).collect();
        assert!((50..=100).contains(&pauses[0]), "{pauses:?}");
        assert!((500..=1000).contains(&pauses[39]), "{pauses:?}");
    }

    #[test]
    fn a_success_starts_over_and_says_that_there_was_trouble() {
        let mut retry = Retry::new(&pace());
        assert!(!retry.reset());
        for _ in 0..10 {
            retry.next_pause();
        }
        assert!(retry.reset());
        assert!(retry.next_pause() <= Duration::from_millis(100));
    }
}
