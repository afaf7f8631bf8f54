//! Which values an axis shows, where, and with which ticks.

use crate::figure::figure;

/// More than so many times from the lowest to the highest value asks for a logarithmic axis.
const WIDE: f64 = 8.0;
/// Ticks on an axis, at most.
const TICKS: usize = 9;

/// A range of values, shown from 0 to 1.
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// All these values, which are above zero, with a little room on both sides.
    pub(super) fn around(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        if high / low > WIDE {
            return Self {
                low: low / 1.2,
                high: high * 1.2,
                logarithmic: true,
            };
        }
        let room = if high > low {
            (high - low) * 0.08
        } else {
            high * 0.5
        };
        Self {
            low: (low - room).max(0.0),
            high: high + room,
            logarithmic: false,
        }
    }

    /// The same, but an axis that is not logarithmic begins at zero.
    pub(super) fn from_zero(values: &[f64]) -> Self {
        let axis = Self::around(values);
        Self {
            low: if axis.logarithmic { axis.low } else { 0.0 },
            ..axis
        }
    }

    /// Where a value is, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high, value) = if self.logarithmic {
            (self.low.ln(), self.high.ln(), value.ln())
        } else {
            (self.low, self.high, value)
        };
        (value - low) / (high - low)
    }

    /// Round values between the ends, in rising order.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let finest = [&[1, 2, 5][..], &[1, 3], &[1]];
            let ticks = finest.iter().map(|steps| self.powers_of_ten(steps));
            let mut ticks = ticks.skip_while(|ticks| ticks.len() > TICKS);
            return ticks.next().unwrap_or_else(|| self.powers_of_ten(&[1]));
        }
        let range = self.high - self.low;
        let power = 10_f64.powf(range.log10().floor() - 1.0);
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| range / step < TICKS as f64);
        self.multiples_of(step.unwrap_or(range))
    }

    fn powers_of_ten(&self, steps: &[i32]) -> Vec<f64> {
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        powers
            .flat_map(|power| {
                steps
                    .iter()
                    .map(move |step| f64::from(*step) * 10_f64.powi(power))
            })
            .filter(|tick| (self.low..=self.high).contains(tick))
            .collect()
    }

    fn multiples_of(&self, step: f64) -> Vec<f64> {
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|number| number as f64 * step).collect()
    }
}

/// A tick in figures: `0.5`, `20`.
pub(super) fn label_of(tick: f64) -> String {
    let label = figure(tick);
    if label.contains('.') {
        label.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_far_apart_are_shown_by_their_magnitude() {
        let axis = Axis::around(&[1.0, 100.0]);
        let middle = axis.place(10.0);
        assert!((middle - 0.5).abs() < 1e-9, "{middle}");
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn values_close_together_are_shown_as_they_are() {
        let axis = Axis::around(&[0.5, 1.5]);
        let middle = axis.place(1.0);
        assert!((middle - 0.5).abs() < 1e-9, "{middle}");
        let ticks: Vec<String> = axis.ticks().into_iter().map(label_of).collect();
        assert_eq!(ticks, ["0.6", "0.8", "1", "1.2", "1.4"]);
    }

    #[test]
    fn every_axis_has_some_ticks_and_all_values_between_its_ends() {
        for values in [
            &[1.0][..],
            &[1.0, 1.0001],
            &[0.002, 7_000_000.0],
            &[0.93, 1.0, 7.4],
            &[1.0, 8.1],
            &[12_345.0, 20_000.0],
        ] {
            for axis in [Axis::around(values), Axis::from_zero(values)] {
                let ticks = axis.ticks();
                assert!((2..=10).contains(&ticks.len()), "{values:?}: {ticks:?}");
                for value in values.iter().chain(&ticks) {
                    let place = axis.place(*value);
                    assert!((0.0..=1.0).contains(&place), "{values:?}: {value}");
                }
            }
        }
    }
}
