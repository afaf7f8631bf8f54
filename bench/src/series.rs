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
    /// How much ours may grow from its smallest to its largest median.
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
    /// The largest median by the smallest one, wherever they are: 1 is no growth.
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
            let medians: Vec<f64> = points.iter().map(|(_, spread)| spread.median).collect();
            let range = Spread::of(&medians);
            let growth = range.highest / range.lowest;
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
    fn growth_is_the_largest_median_by_the_smallest_wherever_they_are() {
        // Ours has the medians 10, 30 and 20.
        let series = sample::series();
        let growths: Vec<f64> = series.lines().iter().map(|line| line.growth).collect();
        assert_eq!(growths, [3.0, 4.0]);
    }

    #[test]
    fn only_ours_is_held_to_a_growth() {
        let series = sample::series().growth_within(2.5);
        let lines = series.lines();
        assert!(!lines[0].verdict.unwrap().reached);
        assert!(lines[1].verdict.is_none());
        assert!(
            sample::series().growth_within(3.0).lines()[0]
                .verdict
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
