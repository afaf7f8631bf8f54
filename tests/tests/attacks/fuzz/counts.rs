//! What came of the calls, by encoding, state and function.

use std::collections::BTreeMap;

use super::disturber::Disturbances;
use super::states::{ALL, State};

/// Errors that come from beyond the checks of arguments, by class or whole: constraints, the
/// transaction's and the object's state, serialization, what the function itself raises. An error
/// of any other kind counts as a refusal, also one about a missing right or a missing object.
const PAST: [&str; 5] = ["23", "25", "40", "55", "P0"];
const NOT_PAST: [&str; 2] = ["25P02", "55P03"];

/// Calls, and those that got past the checks of their arguments.
#[derive(Default)]
struct Count {
    calls: u64,
    succeeded: u64,
    past: u64,
}

/// All counts.
#[derive(Default)]
pub struct Counts {
    encodings: BTreeMap<String, Count>,
    states: BTreeMap<State, Count>,
    functions: BTreeMap<String, Count>,
    sqlstates: BTreeMap<String, u64>,
    disturbances: Disturbances,
}

impl Counts {
    /// Notes a call by its errors. One whose errors nobody is told is not past.
    pub fn note(&mut self, encoding: &str, state: State, function: &str, sqlstates: &[&str]) {
        let succeeded = state.tells() && sqlstates.is_empty();
        let past = state.tells() && sqlstates.iter().all(|sqlstate| is_past(sqlstate));
        for count in [
            self.encodings.entry(encoding.to_owned()).or_default(),
            self.states.entry(state).or_default(),
            self.functions.entry(function.to_owned()).or_default(),
        ] {
            count.calls += 1;
            count.succeeded += u64::from(succeeded);
            count.past += u64::from(past);
        }
        for sqlstate in sqlstates {
            *self.sqlstates.entry((*sqlstate).to_owned()).or_default() += 1;
        }
    }

    /// Adds what was done to the players meanwhile.
    pub fn disturb(&mut self, others: Disturbances) {
        let sum = &mut self.disturbances;
        sum.mistakes += others.mistakes;
        sum.blows += others.blows;
        sum.terminations += others.terminations;
        sum.cancellations += others.cancellations;
    }

    /// Adds those of another player.
    pub fn add(&mut self, other: Self) {
        add(&mut self.encodings, other.encodings);
        add(&mut self.states, other.states);
        add(&mut self.functions, other.functions);
        self.disturb(other.disturbances);
        for (sqlstate, number) in other.sqlstates {
            *self.sqlstates.entry(sqlstate).or_default() += number;
        }
    }

    /// Prints them.
    pub fn print(&self) {
        println!("{:>9} {:>9} {:>9}", "calls", "success", "past");
        for (of, name, count) in self.all() {
            let Count {
                calls,
                succeeded,
                past,
            } = count;
            println!("{calls:>9} {succeeded:>9} {past:>9} {of} {name}");
        }
        println!("errors: {:?}", self.sqlstates);
        println!("meanwhile: {:?}", self.disturbances);
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, String, &Count)> {
        let encodings = self.encodings.iter();
        let states = self.states.iter();
        let functions = self.functions.iter();
        encodings
            .map(|(name, count)| ("encoding", name.clone(), count))
            .chain(states.map(|(state, count)| ("state", format!("{state:?}"), count)))
            .chain(functions.map(|(name, count)| ("function", name.clone(), count)))
    }

    /// Requires that enough calls were more than refused.
    pub fn require_depth(&self) {
        let calls: u64 = self.encodings.values().map(|count| count.calls).sum();
        let past: u64 = self.encodings.values().map(|count| count.past).sum();
        println!("{past} of {calls} calls past the checks of their arguments");
        assert!(past * 10 >= calls * 3, "too few get past the checks");
    }

    /// Requires that every function got past its checks, and that every state was tried.
    pub fn require_breadth(&self) {
        let functions = self.functions.iter();
        let never = functions.filter(|(_, count)| count.past == 0);
        let never: Vec<&String> = never.map(|(name, _)| name).collect();
        assert!(never.is_empty(), "never past its checks: {never:?}");
        assert_eq!(self.states.len(), ALL.len(), "a state was never tried");
    }
}

fn is_past(sqlstate: &str) -> bool {
    !NOT_PAST.contains(&sqlstate) && PAST.iter().any(|class| sqlstate.starts_with(class))
}

fn add<K: Ord>(sums: &mut BTreeMap<K, Count>, others: BTreeMap<K, Count>) {
    for (key, other) in others {
        let sum = sums.entry(key).or_default();
        sum.calls += other.calls;
        sum.succeeded += other.succeeded;
        sum.past += other.past;
    }
}
