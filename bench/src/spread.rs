//! What several rounds measured, in three numbers.

use serde::Serialize;

/// Values of interleaved rounds: their median and range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The lowest one.
    pub lowest: f64,
    /// The highest one.
    pub highest: f64,
}

impl Spread {
    /// Of at least one value, in any order.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Self {
            median,
            lowest: sorted[0],
            highest: sorted[sorted.len() - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_range_the_ends() {
        let spread = Spread::of(&[3.0, 1.0, 10.0]);
        assert_eq!(
            (spread.lowest, spread.median, spread.highest),
            (1.0, 3.0, 10.0)
        );
    }

    #[test]
    fn of_an_even_number_of_values_the_median_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 100.0]).median, 3.0);
    }

    #[test]
    fn one_value_is_its_own_median_and_range() {
        let spread = Spread::of(&[7.0]);
        assert_eq!(
            (spread.lowest, spread.median, spread.highest),
            (7.0, 7.0, 7.0)
        );
    }
}
