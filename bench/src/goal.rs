//! What a comparison is to reach, and whether it does.

use std::fmt;

use serde::Serialize;

use crate::figure::times;

/// What a ratio is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Ours is so many times better, or more.
    AtLeast(f64),
    /// A cost grows so many times over its axis, or less.
    Within(f64),
}

/// A goal beside what was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What was wanted.
    pub goal: Goal,
    /// The median ratio, or the growth.
    pub found: f64,
    /// Whether that is enough.
    pub reached: bool,
}

impl Goal {
    /// Holds a ratio to the goal.
    pub fn judge(self, found: f64) -> Verdict {
        let reached = match self {
            Self::AtLeast(wanted) => found >= wanted,
            Self::Within(wanted) => found <= wanted,
        };
        Verdict {
            goal: self,
            found,
            reached,
        }
    }

    /// The ratio that is just enough.
    pub fn wanted(self) -> f64 {
        match self {
            Self::AtLeast(wanted) | Self::Within(wanted) => wanted,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(wanted) => write!(formatter, "at least {}", times(*wanted)),
            Self::Within(wanted) => write!(formatter, "within {}", times(*wanted)),
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
        ] {
            assert_eq!(verdict.to_string(), expected);
        }
    }
}
