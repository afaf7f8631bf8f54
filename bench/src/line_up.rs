//! Who runs against whom, and the rounds in which they run.

use crate::bench::Bench;
use crate::comparison::{Contest, Contestant, Identity, Unit};
use crate::progress::Progress;

/// Contestants under one setting, ready to run: a run is a closure that does the work once and
/// returns what it measured, in the line-up's unit.
pub struct LineUp<'a> {
    label: String,
    unit: Unit,
    warmed_up: bool,
    entrants: Vec<Entrant<'a>>,
}

struct Entrant<'a> {
    contestant: Contestant,
    run: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> LineUp<'a> {
    /// Ours alone.
    pub fn new(label: &str, unit: Unit, ours: Identity, run: impl FnMut() -> f64 + 'a) -> Self {
        let line_up = Self {
            label: label.to_owned(),
            unit,
            warmed_up: false,
            entrants: Vec::new(),
        };
        line_up.against(ours, run)
    }

    /// Adds somebody to compare with.
    pub fn against(mut self, identity: Identity, run: impl FnMut() -> f64 + 'a) -> Self {
        self.entrants.push(Entrant {
            contestant: Contestant {
                identity,
                goal: None,
                runs: Vec::new(),
            },
            run: Box::new(run),
        });
        self
    }

    /// Ours is to be so many times better than the one who was added last.
    pub fn at_least(mut self, times: f64) -> Self {
        let others = self.entrants.get_mut(1..).and_then(<[_]>::last_mut);
        let last = others.expect("a goal follows the one it is held against");
        last.contestant.goal = Some(times);
        self
    }

    /// Lets everybody run once before the rounds that count: it fills caches.
    pub fn warmed_up(mut self) -> Self {
        self.warmed_up = true;
        self
    }

    /// Runs the rounds.
    pub fn interleave(self, bench: &Bench) -> Contest {
        interleave(bench, vec![self]).swap_remove(0)
    }

    fn into_contest(self) -> Contest {
        let mut contestants = self.entrants.into_iter().map(|entrant| entrant.contestant);
        Contest {
            label: self.label,
            unit: self.unit,
            ours: contestants.next().expect("a line-up begins with ours"),
            others: contestants.collect(),
            held_to: None,
        }
    }
}

/// Runs several line-ups in the same rounds: a round runs everybody once, one after another, so
/// that what else the machine does falls on all. Each round begins with another one, so that
/// nobody always runs in the wake of the same.
pub fn interleave(bench: &Bench, mut line_ups: Vec<LineUp<'_>>) -> Vec<Contest> {
    let labels: Vec<&str> = line_ups.iter().map(|one| one.label.as_str()).collect();
    let label = labels.join(" and ");
    let cold = line_ups.iter_mut().filter(|line_up| line_up.warmed_up);
    let mut cold: Vec<_> = cold.flat_map(|line_up| &mut line_up.entrants).collect();
    if !cold.is_empty() {
        let progress = Progress::of(&label, cold.len());
        progress.round("warming up");
        for entrant in &mut cold {
            measure(entrant, &progress);
        }
    }
    let everybody = line_ups.iter_mut();
    let mut everybody: Vec<_> = everybody
        .flat_map(|line_up| &mut line_up.entrants)
        .collect();
    let progress = Progress::of(&label, bench.rounds * everybody.len());
    for round in 0..bench.rounds {
        progress.round(&format!("round {} of {}", round + 1, bench.rounds));
        for turn in 0..everybody.len() {
            let next = (round + turn) % everybody.len();
            let measured = measure(everybody[next], &progress);
            everybody[next].contestant.runs.push(measured);
        }
    }
    line_ups.into_iter().map(LineUp::into_contest).collect()
}

fn measure(entrant: &mut Entrant<'_>, progress: &Progress) -> f64 {
    let name = &entrant.contestant.identity.name;
    progress.run(name);
    let measured = (entrant.run)();
    progress.ran();
    assert!(
        measured.is_finite() && measured > 0.0,
        "{name} measured {measured}, of which there is no ratio"
    );
    measured
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Runs line-ups of these sizes; returns the order of runs and the contests.
    fn run(rounds: usize, sizes: &[usize], warmed_up: bool) -> (Vec<String>, Vec<Contest>) {
        let order = RefCell::new(Vec::new());
        let identity = |name: &str| Identity::new(name, "nothing");
        let runner = |name: String| {
            let order = &order;
            move || {
                order.borrow_mut().push(name.clone());
                order.borrow().len() as f64
            }
        };
        let line_ups = sizes.iter().enumerate().map(|(number, size)| {
            let letter = ["a", "b"][number];
            let name = |place| format!("{letter}{place}");
            let unit = Unit::rate("runs");
            let mut line_up = LineUp::new(letter, unit, identity(&name(0)), runner(name(0)));
            for place in 1..*size {
                line_up = line_up.against(identity(&name(place)), runner(name(place)));
            }
            LineUp {
                warmed_up,
                ..line_up
            }
        });
        let contests = interleave(&Bench::new(rounds, true), line_ups.collect());
        (order.into_inner(), contests)
    }

    #[test]
    fn each_round_runs_everybody_once_and_begins_with_another_one() {
        let (order, contests) = run(3, &[3], false);
        assert_eq!(
            order,
            ["a0", "a1", "a2", "a1", "a2", "a0", "a2", "a0", "a1"]
        );
        assert_eq!(contests[0].ours.runs, [1.0, 6.0, 8.0]);
        assert_eq!(contests[0].others[1].runs, [3.0, 5.0, 7.0]);
    }

    #[test]
    fn line_ups_share_rounds_and_keep_their_own_runs() {
        let (order, contests) = run(2, &[2, 1], false);
        assert_eq!(order, ["a0", "a1", "b0", "a1", "b0", "a0"]);
        assert_eq!(contests[1].ours.runs, [3.0, 5.0]);
    }

    #[test]
    fn warming_up_does_not_count() {
        let (order, contests) = run(1, &[2], true);
        assert_eq!(order, ["a0", "a1", "a0", "a1"]);
        assert_eq!(contests[0].ours.runs, [3.0]);
    }

    #[test]
    #[should_panic(expected = "of which there is no ratio")]
    fn a_run_that_measured_nothing_fails_loudly() {
        let nothing = Identity::new("nothing", "nothing");
        LineUp::new("none", Unit::rate("runs"), nothing, || 0.0).interleave(&Bench::new(1, true));
    }
}
