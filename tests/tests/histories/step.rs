//! What may happen in a history.

use super::application::APPLICATIONS;
use super::definition::{self, Definition, Draft, Policy, definition};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt;

/// What may be wrong with a message: the exception comes at once; passes by itself, some day; comes
/// at the end of the handlers' subtransaction; comes when it is not alone; comes every other time.
const FAULTS: [&str; 7] = [
    "raise",
    "raise",
    "raise",
    "transient",
    "deferred",
    "crowd",
    "flaky",
];

/// Which subscription a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The one under test.
    Live,
    /// The copy beside it, while there is one.
    Copy,
    /// The one that applications fetch, where there is one.
    Outside,
}

/// A call of the subscription API.
#[derive(Clone, Debug)]
pub enum Call {
    /// Batch size and member, where they are said.
    Tick(Subject, Option<i64>, Option<i64>),
    /// One message, by its place among those that were ever poisoned, or all.
    RetryParked(Subject, Option<usize>),
    /// The same.
    DiscardParked(Subject, Option<usize>),
    Rebuild,
    RebuildBeside,
    Promote,
    CancelRebuild,
    Resize(Subject, i64),
    Pause(Subject),
    Stop(Subject),
    Start(Subject),
    /// Other functions for the same types.
    AlterHandlers([&'static str; 3]),
    AlterPolicy(Policy),
    AlterBatchSize(i64),
    CreateAgain,
    /// Back to the start, with what was handled forgotten in the same transaction.
    Reset(Subject),
    Verify,
    DryRun,
    /// A message and a tick in one transaction.
    WriteAndTick(Draft),
}

/// How a transaction that was left open ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Commit,
    Rollback,
    /// Prepared; it ends when another step ends it.
    Prepare,
    /// Its server process is ended.
    Terminate,
}

/// What ends a tick in the middle of a handler's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    Terminate,
    Cancel,
    /// An immediate stop of the server.
    Crash,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// Messages in one transaction.
    Write(Vec<Draft>),
    /// The same by one of three writers, whose transaction stays open.
    OpenWrite(usize, Vec<Draft>),
    EndWrite(usize, Ending),
    Call(Call),
    /// A call taken back to a savepoint, then the same call again.
    CallTwice(Call),
    /// A call whose transaction stays open.
    Hold(Call),
    EndHeld(Ending),
    /// Two calls at the same time.
    Race(Call, Call),
    /// Ticks until there is nothing to do.
    Settle(Subject),
    /// Something is wrong with the message at a position: a place in the log, or one that may
    /// still be written.
    Poison(usize, &'static str),
    Heal(Option<usize>),
    /// An application asks for so many messages, of a member where it is said.
    Fetch(usize, i64, Option<i64>),
    /// It handles what it has fetched, up to this one of it, at which it may fail, in a transaction
    /// that ends so.
    Handle(usize, usize, bool, Ending),
    /// It keeps what it has fetched for longer.
    Renew(usize),
    /// All leases run out.
    RunOut,
    /// A tick that is struck while its handler runs.
    Strike(i64, Blow),
    /// An immediate stop of the server between calls.
    Crash,
}

/// A subscription and what happens to it.
#[derive(Clone)]
pub struct History {
    pub definition: Definition,
    pub steps: Vec<Step>,
    /// How it is brought to its end.
    pub ending: Finish,
}

impl fmt::Debug for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:?}", self.definition)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(formatter, "{number:4} {step:?}")?;
        }
        write!(formatter, " end {:?}", self.ending)
    }
}

/// What is done before the last look.
#[derive(Clone, Copy, Debug)]
pub struct Finish {
    /// What becomes of a copy: promoted, or given up.
    pub promotes: bool,
    /// The members of the group at the end.
    pub group_size: Option<i64>,
    /// Made anew from the first message, and looked at again.
    pub rebuilds: bool,
    /// Looked at by the store itself as well, which makes tables for it.
    pub verifies: bool,
    /// Of the last ticks, where they say it.
    pub batch_size: Option<i64>,
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![4 => Just(Subject::Live), 1 => Just(Subject::Copy)]
}

fn with_outside() -> impl Strategy<Value = Subject> {
    prop_oneof![3 => subject(), 1 => Just(Subject::Outside)]
}

fn tick() -> impl Strategy<Value = Call> {
    let batch = prop_oneof![1 => Just(None), 3 => (1..8_i64).prop_map(Some)];
    let member = prop_oneof![4 => Just(None), 1 => (0..4_i64).prop_map(Some)];
    (subject(), batch, member)
        .prop_map(|(subject, batch, member)| Call::Tick(subject, batch, member))
}

fn call() -> impl Strategy<Value = Call> {
    let which = || prop::option::of(0..16_usize);
    prop_oneof![
        24 => tick(),
        7 => (with_outside(), which()).prop_map(|(subject, which)| Call::RetryParked(subject, which)),
        4 => (with_outside(), which()).prop_map(|(subject, which)| Call::DiscardParked(subject, which)),
        2 => Just(Call::Rebuild),
        3 => Just(Call::RebuildBeside),
        3 => Just(Call::Promote),
        1 => Just(Call::CancelRebuild),
        4 => (1..5_i64).prop_map(|size| Call::Resize(Subject::Live, size)),
        1 => (1..5_i64).prop_map(|size| Call::Resize(Subject::Outside, size)),
        1 => with_outside().prop_map(Call::Pause),
        1 => with_outside().prop_map(Call::Stop),
        5 => with_outside().prop_map(Call::Start),
        2 => definition::shapes().prop_map(Call::AlterHandlers),
        1 => definition::policy().prop_map(Call::AlterPolicy),
        1 => (1..8_i64).prop_map(Call::AlterBatchSize),
        1 => Just(Call::CreateAgain),
        1 => Just(Call::Reset(Subject::Live)),
        1 => Just(Call::Reset(Subject::Outside)),
        1 => Just(Call::Verify),
        1 => Just(Call::DryRun),
        2 => definition::draft().prop_map(Call::WriteAndTick),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        5 => Just(Ending::Commit),
        3 => Just(Ending::Rollback),
        1 => Just(Ending::Prepare),
        1 => Just(Ending::Terminate),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let drafts = || vec(definition::draft(), 1..6);
    let who = || 0..APPLICATIONS;
    let member = prop::option::weighted(0.2, -3..4_i64);
    let settled = prop_oneof![
        6 => Just(Ending::Commit),
        1 => Just(Ending::Rollback),
        1 => Just(Ending::Terminate),
    ];
    let blow = prop_oneof![1 => Just(Blow::Terminate), 1 => Just(Blow::Cancel)];
    prop_oneof![
        30 => drafts().prop_map(Step::Write),
        10 => (0..3_usize, drafts()).prop_map(|(writer, drafts)| Step::OpenWrite(writer, drafts)),
        10 => (0..3_usize, ending()).prop_map(|(writer, ending)| Step::EndWrite(writer, ending)),
        70 => call().prop_map(Step::Call),
        5 => call().prop_map(Step::CallTwice),
        10 => call().prop_map(Step::Hold),
        8 => ending().prop_map(Step::EndHeld),
        2 => (tick(), call()).prop_map(|(first, second)| Step::Race(first, second)),
        6 => subject().prop_map(Step::Settle),
        18 => (0..64_usize, select(&FAULTS[..])).prop_map(|(at, kind)| Step::Poison(at, kind)),
        8 => prop::option::of(0..16_usize).prop_map(Step::Heal),
        12 => (who(), 1..6_i64, member)
            .prop_map(|(who, count, member)| Step::Fetch(who, count, member)),
        12 => (who(), 0..6_usize, prop::bool::weighted(0.2), settled)
            .prop_map(|(who, at, fails, ending)| Step::Handle(who, at, fails, ending)),
        1 => who().prop_map(Step::Renew),
        3 => Just(Step::RunOut),
        2 => (1..8_i64, blow).prop_map(|(batch, blow)| Step::Strike(batch, blow)),
    ]
}

/// A history; where it `crashes`, the server is stopped once, between calls or in a handler.
pub fn history(crashes: bool) -> impl Strategy<Value = History> {
    let crash = prop_oneof![
        1 => Just(Step::Crash),
        3 => (1..8_i64).prop_map(|batch| Step::Strike(batch, Blow::Crash)),
    ];
    let finish = (
        any::<bool>(),
        prop::option::weighted(0.3, 1..4_i64),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.15),
        prop::option::weighted(0.7, 10..40_i64),
    )
        .prop_map(
            |(promotes, group_size, rebuilds, verifies, batch_size)| Finish {
                promotes,
                group_size,
                rebuilds,
                verifies,
                batch_size,
            },
        );
    (definition(), vec(step(), 1..44), crash, 0..40_usize, finish).prop_map(
        move |(definition, mut steps, crash, at, ending)| {
            if crashes {
                steps.insert(at.min(steps.len()), crash);
            }
            History {
                definition,
                steps,
                ending,
            }
        },
    )
}
