//! Numbers as people read them.

use indicatif::HumanCount;

use crate::spread::Spread;

/// About three digits; thousands are parted by commas.
pub fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => return HumanCount(value.round() as u64).to_string(),
        size if size >= 9.995 => 1,
        size if size >= 0.095 || size == 0.0 => 2,
        size => 1 + (-size.log10()).ceil() as usize,
    };
    format!("{value:.decimals$}")
}

/// A ratio: `18.1x`.
pub fn times(ratio: f64) -> String {
    format!("{}x", figure(ratio))
}

/// A ratio with its range, where it has one: `18.1x (17.2–20.3)`.
pub fn times_with_range(ratio: &Spread) -> String {
    if ratio.lowest == ratio.highest {
        return times(ratio.median);
    }
    format!(
        "{} ({}–{})",
        times(ratio.median),
        figure(ratio.lowest),
        figure(ratio.highest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_about_three_digits() {
        for (value, expected) in [
            (4_321_987.4, "4,321,987"),
            (463.4, "463"),
            (99.96, "100"),
            (18.12, "18.1"),
            (9.999, "10.0"),
            (1.214, "1.21"),
            (0.934, "0.93"),
            (0.0123, "0.012"),
            (0.0, "0.00"),
        ] {
            assert_eq!(figure(value), expected);
        }
    }

    #[test]
    fn a_ratio_comes_with_its_range() {
        let ratio = Spread::of(&[1.11, 1.21, 1.23]);
        assert_eq!(times_with_range(&ratio), "1.21x (1.11–1.23)");
        assert_eq!(times_with_range(&Spread::of(&[2.0])), "2.00x");
    }
}
