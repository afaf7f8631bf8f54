//! What a work finds out: contests of contestants, and how a cost grows along an axis.

use serde::{Deserialize, Serialize};

use crate::goal::{Goal, Verdict};
use crate::series::Series;
use crate::spread::Spread;

/// One finding of a work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Comparison {
    /// A line-up under one setting.
    Contest(Contest),
    /// A line-up along an axis of sizes.
    Series(Series),
}

impl From<Contest> for Comparison {
    fn from(contest: Contest) -> Self {
        Self::Contest(contest)
    }
}

impl From<Series> for Comparison {
    fn from(series: Series) -> Self {
        Self::Series(series)
    }
}

/// What runs are measured in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// In words: `messages a second`.
    pub name: String,
    /// Whether more or less of it is better.
    pub better: Better,
}

/// Which way is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Of a rate.
    Higher,
    /// Of a cost or a time.
    Lower,
}

impl Unit {
    /// So many of these in a time; more is better.
    pub fn rate(name: &str) -> Self {
        let name = name.to_owned();
        let better = Better::Higher;
        Self { name, better }
    }

    /// A time, or anything else that is used up; less is better.
    pub fn cost(name: &str) -> Self {
        let name = name.to_owned();
        let better = Better::Lower;
        Self { name, better }
    }

    /// How many times better this is than that: above 1 where it is better.
    pub fn times_better(&self, this: f64, that: f64) -> f64 {
        match self.better {
            Better::Higher => this / that,
            Better::Lower => that / this,
        }
    }
}

/// Who runs in a contest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// As it is called.
    pub name: String,
    /// Of what was measured, where it has one of its own.
    pub version: Option<String>,
    /// In a phrase, because contestants do not all promise the same.
    pub guarantees: String,
}

impl Identity {
    /// Somebody without a version of its own: it is a part of PostgreSQL, or ours.
    pub fn new(name: &str, guarantees: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
            guarantees: guarantees.to_owned(),
        }
    }

    /// Says which version was measured.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }
}

/// Somebody with what was measured of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contestant {
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// How many times better than this one ours is to be.
    pub goal: Option<f64>,
    /// A value per round, in the order of the rounds.
    pub runs: Vec<f64>,
}

/// One line-up under one setting, run in interleaved rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contest {
    /// The setting: `1 client, native fsync`.
    pub label: String,
    /// Of all runs.
    pub unit: Unit,
    /// Ours.
    pub ours: Contestant,
    /// Whom it is compared with.
    pub others: Vec<Contestant>,
    /// What ours is held to by itself, in the unit: to stay under it, or to come to it where more
    /// is better.
    pub held_to: Option<f64>,
}

/// How many times better ours is than another.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// The name of ours.
    pub ours: String,
    /// The name of the other.
    pub other: String,
    /// Round by round.
    pub rounds: Vec<f64>,
    /// Of the rounds.
    pub spread: Spread,
    /// Where there is a goal.
    pub verdict: Option<Verdict>,
}

impl Contest {
    /// Ours first, then the others.
    pub fn contestants(&self) -> impl Iterator<Item = &Contestant> {
        std::iter::once(&self.ours).chain(&self.others)
    }

    /// Another figure that the same runs found: for each contestant, in the order of the rounds.
    /// Goals do not come along.
    pub fn also(&self, label: &str, unit: Unit, runs: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let mut contestants =
            std::iter::zip(self.contestants(), runs).map(|(contestant, runs)| Contestant {
                identity: contestant.identity.clone(),
                goal: None,
                runs,
            });
        Self {
            label: label.to_owned(),
            unit,
            ours: contestants.next().expect("ours found the figure too"),
            others: contestants.collect(),
            held_to: None,
        }
    }

    /// Holds ours by itself to a cost.
    pub fn under(mut self, figure: f64) -> Self {
        assert_eq!(self.unit.better, Better::Lower, "{}", self.label);
        self.held_to = Some(figure);
        self
    }

    /// Holds ours by itself to a rate.
    pub fn reaching(mut self, figure: f64) -> Self {
        assert_eq!(self.unit.better, Better::Higher, "{}", self.label);
        self.held_to = Some(figure);
        self
    }

    /// Of ours by itself, where there is a goal.
    pub fn verdict(&self) -> Option<Verdict> {
        let unit = self.unit.name.clone();
        let goal = self.held_to.map(|figure| match self.unit.better {
            Better::Lower => Goal::Under { figure, unit },
            Better::Higher => Goal::Reach { figure, unit },
        });
        goal.map(|goal| goal.judge(Spread::of(&self.ours.runs).median))
    }

    /// Ours to each of the others, round by round, so that what slowed a round slowed both.
    pub fn ratios(&self) -> impl Iterator<Item = Ratio> {
        self.others.iter().map(|other| self.ratio_to(other))
    }

    /// Ours to one of the others.
    pub fn ratio_to(&self, other: &Contestant) -> Ratio {
        let rounds: Vec<f64> = std::iter::zip(&self.ours.runs, &other.runs)
            .map(|(ours, theirs)| self.unit.times_better(*ours, *theirs))
            .collect();
        let spread = Spread::of(&rounds);
        let goal = other.goal.map(Goal::AtLeast);
        Ratio {
            ours: self.ours.identity.name.clone(),
            other: other.identity.name.clone(),
            rounds,
            spread,
            verdict: goal.map(|goal| goal.judge(spread.median)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn above_one_ours_is_better_whether_more_or_less_of_the_unit_is() {
        let (ours, theirs) = (sample::OURS, [5.0, 10.0, 30.0]);
        let rate = sample::contest(Unit::rate("messages a second"), theirs, None);
        let ratio = rate.ratios().next().unwrap();
        assert_eq!(ours, [10.0, 20.0, 30.0]);
        assert_eq!(ratio.rounds, [2.0, 2.0, 1.0]);
        let cost = sample::contest(Unit::cost("ms"), theirs, None);
        assert_eq!(cost.ratios().next().unwrap().rounds, [0.5, 0.5, 1.0]);
    }

    #[test]
    fn ratios_are_taken_round_by_round_and_not_of_medians() {
        // The medians are 20 and 20.
        let contest = sample::contest(Unit::rate("messages a second"), [20.0, 10.0, 60.0], None);
        assert_eq!(contest.ratios().next().unwrap().spread.median, 0.5);
    }

    #[test]
    fn another_figure_of_the_same_runs_has_the_same_contestants_and_a_goal_of_its_own() {
        let contest = sample::contest(Unit::rate("messages a second"), sample::OURS, Some(2.0));
        let runs = [vec![1.0, 2.0, 3.0], vec![2.0, 2.0, 2.0]];
        let also = contest.also("delay", Unit::cost("ms"), runs).under(2.0);
        assert_eq!(also.others[0].identity, contest.others[0].identity);
        assert_eq!(also.ratios().next().unwrap().rounds, [2.0, 1.0, 2.0 / 3.0]);
        assert!(also.ratios().next().unwrap().verdict.is_none());
        assert!(!also.verdict().unwrap().reached);
        assert!(contest.verdict().is_none());
    }

    #[test]
    fn ours_by_itself_stays_under_a_cost_and_comes_to_a_rate() {
        for (unit, figure, reached) in [
            (Unit::cost("ms"), 20.0, false),
            (Unit::cost("ms"), 20.1, true),
            (Unit::rate("runs"), 20.0, true),
            (Unit::rate("runs"), 20.1, false),
        ] {
            let contest = sample::contest(unit, sample::OURS, None);
            let contest = match contest.unit.better {
                Better::Lower => contest.under(figure),
                Better::Higher => contest.reaching(figure),
            };
            assert_eq!(contest.verdict().unwrap().reached, reached, "{figure}");
        }
    }

    #[test]
    fn a_goal_is_held_against_the_median_ratio() {
        let unit = Unit::rate("messages a second");
        for (goal, reached) in [(2.0, true), (2.1, false)] {
            let contest = sample::contest(unit.clone(), [5.0, 10.0, 30.0], Some(goal));
            let verdict = contest.ratios().next().unwrap().verdict.unwrap();
            assert_eq!(
                (verdict.found, verdict.reached),
                (2.0, reached),
                "goal {goal}"
            );
        }
    }
}
