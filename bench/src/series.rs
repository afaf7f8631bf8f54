//! How a cost grows along an axis of sizes: messages in the store, subscriptions, clients.

use serde::{Deserialize, Serialize};

use crate::comparison::{Contest, Identity};
use crate::goal::{Goal, Verdict};
use crate::spread::Spread;

/// The same line-up at several sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// What is measured: `a tick that finds ten messages`.
    pub label: String,
    /// What grows: `messages in the store`.
    pub axis: String,
    /// In rising order of sizes.
    pub points: Vec<Point>,
    /// How many times ours may become worse.
    pub growth_within: Option<f64>,
}

/// A line-up at one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The size.
    pub x: f64,
    /// Its label names the size: `1 million`.
    pub contest: Contest,
}

/// What one contestant does along the axis.
pub struct Line<'a> {
    /// Who it is.
    pub identity: &'a Identity,
    /// The size and the runs at it, point by point.
    pub points: Vec<(f64, Spread)>,
    /// How many times worse the worst median is than the one at the smallest size: 1 is no growth.
    pub growth: f64,
    /// Of ours, where there is a goal.
    pub verdict: Option<Verdict>,
}

impl Series {
    /// Of contests between the same contestants, with the size of each.
    pub fn new(
        label: &str,
        axis: &str,
        contests: impl IntoIterator<Item = (f64, Contest)>,
    ) -> Self {
        let mut points: Vec<Point> = contests
            .into_iter()
            .map(|(x, contest)| Point { x, contest })
            .collect();
        points.sort_by(|one, other| one.x.total_cmp(&other.x));
        let names = |point: &Point| -> Vec<String> {
            let contestants = point.contest.contestants();
            contestants.map(|who| who.identity.name.clone()).collect()
        };
        assert!(points.len() > 1, "a series of {} points", points.len());
        assert!(
            points
                .windows(2)
                .all(|two| names(&two[0]) == names(&two[1])),
            "{label}: the points have different contestants"
        );
        Self {
            label: label.to_owned(),
            axis: axis.to_owned(),
            points,
            growth_within: None,
        }
    }

    /// Holds ours to a growth.
    pub fn growth_within(mut self, times: f64) -> Self {
        self.growth_within = Some(times);
        self
    }

    /// The contest at each size, with a label that names the series too.
    pub fn settings(&self) -> Vec<(String, &Contest)> {
        let setting = |point: &Point| format!("{}, {}", self.label, point.contest.label);
        let points = self.points.iter();
        points
            .map(|point| (setting(point), &point.contest))
            .collect()
    }

    /// Ours first, then the others.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let first = &self.points[0].contest;
        let line = |(number, identity)| {
            let points: Vec<(f64, Spread)> = self
                .points
                .iter()
                .filter_map(|Point { x, contest }| {
                    let contestant = contest.contestants().nth(number)?;
                    Some((*x, Spread::of(&contestant.runs)))
                })
                .collect();
            let medians = points.iter().map(|(_, spread)| spread.median);
            let smallest = points[0].1.median;
            let growth = medians
                .map(|median| first.unit.times_better(smallest, median))
                .fold(1.0, f64::max);
            let goal = self.growth_within.filter(|_| number == 0).map(Goal::Within);
            Line {
                identity,
                points,
                growth,
                verdict: goal.map(|goal| goal.judge(growth)),
            }
        };
        let identities = first.contestants().map(|contestant| &contestant.identity);
        identities.enumerate().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::sample;

    #[test]
    fn growth_is_the_worst_median_by_the_one_at_the_smallest_size() {
        // Ours has the medians 10, 30 and 20.
        let series = sample::series();
        let growths: Vec<f64> = series.lines().iter().map(|line| line.growth).collect();
        assert_eq!(growths, [3.0, 4.0]);
    }

    #[test]
    fn only_ours_is_held_to_a_growth() {
        let series = sample::series().growth_within(2.5);
        let lines = series.lines();
        assert!(!lines[0].verdict.as_ref().unwrap().reached);
        assert!(lines[1].verdict.is_none());
        assert!(
            sample::series().growth_within(3.0).lines()[0]
                .verdict
                .as_ref()
                .unwrap()
                .reached
        );
    }

    #[test]
    fn points_stand_in_the_order_of_their_sizes() {
        let xs: Vec<f64> = sample::series()
            .points
            .iter()
            .map(|point| point.x)
            .collect();
        assert_eq!(xs, [10_000.0, 1_000_000.0, 20_000_000.0]);
    }
}
