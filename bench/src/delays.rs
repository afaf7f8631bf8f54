//! Many delays, and those that are told of them.

use std::time::{Duration, SystemTime};

/// In milliseconds, in rising order.
pub struct Delays(Vec<f64>);

impl Delays {
    /// Of at least one, in any order.
    pub fn new(delays: impl IntoIterator<Item = Duration>) -> Self {
        let delays = delays.into_iter();
        let mut sorted: Vec<f64> = delays.map(|delay| delay.as_secs_f64() * 1e3).collect();
        assert!(!sorted.is_empty(), "nothing was delayed");
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    /// Half of them are shorter.
    pub fn p50_ms(&self) -> f64 {
        self.percentile(50)
    }

    /// One of a hundred is longer.
    pub fn p99_ms(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

/// From one moment to another; what was seen before it was heard of is not delayed at all.
pub fn delay(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_delays() {
        let delays = (1..=101).rev().map(Duration::from_millis);
        let delays = Delays::new(delays);
        assert_eq!((delays.p50_ms(), delays.p99_ms()), (51.0, 100.0));
        let one = Delays::new([Duration::from_millis(7)]);
        assert_eq!((one.p50_ms(), one.p99_ms()), (7.0, 7.0));
    }

    #[test]
    fn what_was_seen_before_it_was_heard_of_is_not_delayed() {
        let earlier = SystemTime::now();
        let later = earlier + Duration::from_millis(3);
        assert_eq!(delay(earlier, later), Duration::from_millis(3));
        assert_eq!(delay(later, earlier), Duration::ZERO);
    }
}
