//! What a comparison is to reach, and whether it does.

use std::fmt;

use serde::Serialize;

use crate::figure::{figure, times};

/// What a ratio, or a figure of ours by itself, is held to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Ours is so many times better, or more.
    AtLeast(f64),
    /// A cost grows so many times over its axis, or less.
    Within(f64),
    /// A rate of ours comes to so many of its unit.
    Reach {
        /// How many.
        figure: f64,
        /// Of what, in words.
        unit: String,
    },
    /// A figure of ours stays under so many of its unit.
    Under {
        /// How many.
        figure: f64,
        /// Of what, in words.
        unit: String,
    },
}

/// A goal beside what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What was wanted.
    pub goal: Goal,
    /// The median ratio, the growth, or the median of ours.
    pub found: f64,
    /// Whether that is enough.
    pub reached: bool,
}

impl Goal {
    /// Holds what was found to the goal.
    pub fn judge(self, found: f64) -> Verdict {
        let reached = match &self {
            Self::AtLeast(wanted) | Self::Reach { figure: wanted, .. } => found >= *wanted,
            Self::Within(wanted) => found <= *wanted,
            Self::Under { figure, .. } => found < *figure,
        };
        Verdict {
            goal: self,
            found,
            reached,
        }
    }

    /// Where enough begins.
    pub fn wanted(&self) -> f64 {
        match self {
            Self::AtLeast(wanted) | Self::Within(wanted) => *wanted,
            Self::Reach { figure, .. } | Self::Under { figure, .. } => *figure,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(wanted) => write!(formatter, "at least {}", times(*wanted)),
            Self::Within(wanted) => write!(formatter, "within {}", times(*wanted)),
            Self::Reach {
                figure: wanted,
                unit,
            } => write!(formatter, "at least {} {unit}", figure(*wanted)),
            Self::Under {
                figure: wanted,
                unit,
            } => write!(formatter, "under {} {unit}", figure(*wanted)),
        }
    }
}

impl fmt::Display for Verdict {
    /// `at least 25.0x: not reached, 28% below`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.found / self.goal.wanted() - 1.0) * 100.0;
        let outcome = if self.reached {
            "reached"
        } else {
            "not reached"
        };
        let side = if percent < 0.0 { "below" } else { "above" };
        let distance = percent.abs();
        write!(formatter, "{}: {outcome}, {distance:.0}% {side}", self.goal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_exactly_the_goal_reaches_it() {
        assert!(Goal::AtLeast(25.0).judge(25.0).reached);
        assert!(Goal::Within(1.2).judge(1.2).reached);
    }

    fn under_2_ms() -> Goal {
        Goal::Under {
            figure: 2.0,
            unit: "ms".to_owned(),
        }
    }

    fn a_million_runs() -> Goal {
        Goal::Reach {
            figure: 1e6,
            unit: "runs".to_owned(),
        }
    }

    #[test]
    fn a_figure_of_exactly_the_goal_is_not_under_it_but_comes_to_it() {
        assert!(!under_2_ms().judge(2.0).reached);
        assert!(under_2_ms().judge(1.99).reached);
        assert!(a_million_runs().judge(1e6).reached);
        assert!(!a_million_runs().judge(999_999.0).reached);
    }

    #[test]
    fn a_verdict_says_how_far_off_the_ratio_is() {
        for (verdict, expected) in [
            (
                Goal::AtLeast(25.0).judge(18.0),
                "at least 25.0x: not reached, 28% below",
            ),
            (
                Goal::AtLeast(0.5).judge(0.75),
                "at least 0.50x: reached, 50% above",
            ),
            (
                Goal::Within(1.2).judge(1.08),
                "within 1.20x: reached, 10% below",
            ),
            (
                Goal::Within(1.2).judge(2.4),
                "within 1.20x: not reached, 100% above",
            ),
            (under_2_ms().judge(1.6), "under 2.00 ms: reached, 20% below"),
            (
                a_million_runs().judge(2e6),
                "at least 1,000,000 runs: reached, 100% above",
            ),
        ] {
            assert_eq!(verdict.to_string(), expected);
        }
    }
}
