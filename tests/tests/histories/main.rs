//! Promise: whatever happens, a read model is a plain fold over the log.
//!
//! Histories are made at random: writes that overtake each other, ticks, handlers that fail, parked
//! messages retried and discarded, rebuilds, promotions, groups resized, applications that fetch,
//! acknowledge and park while leases run out, transactions left open and taken back, sessions ended in the middle of a handler, servers stopped at once. In between and at
//! the end the read model must hold exactly the messages that the log, the positions and the parked
//! messages say, each once and in order.
//!
//! `HISTORIES=100000` makes more of them; `GO_ON=1` does not end at the first that fails, and counts. A history that fails is made as small as possible and
//! printed with what brings it back: `PROMISES_SEED=... HISTORY=...`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on must fail loudly; its modules are for nobody else"
)]

mod act;
mod application;
mod definition;
mod ledger;
mod model;
mod run;
mod step;
mod world;

use definition::Definition;
use ledger::Counts;
use promises::{Cluster, seed};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;
use step::history;
use world::World;

/// Histories, unless the environment variable HISTORIES says another number.
const HISTORIES: u32 = 4_000;
/// Histories with a crash of the server; one in so many of the others, and no fewer than this.
const CRASHES: u32 = 60;
const ONE_CRASH_IN: u32 = 500;
/// More than the processors: a history waits for the server, and the server for it.
const WORKERS: u32 = 4;
/// Attempts at making a history smaller.
const SHRINKING: u32 = 1_000;

#[test]
fn the_read_model_is_a_fold_over_the_log_in_every_history() {
    let cluster = Cluster::start(&[("log_min_duration_statement", "0")]);
    run_all(&[&cluster; WORKERS as usize], histories(), false);
}

#[test]
fn the_read_model_is_a_fold_over_the_log_when_the_server_is_stopped_at_once() {
    let clusters = [Cluster::start(&[]), Cluster::start(&[])];
    let crashes = CRASHES.max(histories() / ONE_CRASH_IN);
    let counts = run_all(&[&clusters[0], &clusters[1]], crashes, true);
    if only().is_none() {
        assert!(counts["crash"] >= u64::from(crashes), "{counts:?}");
    }
}

fn variable(name: &str) -> Option<u32> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
    )
}

fn histories() -> u32 {
    variable("HISTORIES").unwrap_or(HISTORIES)
}

/// The one history to run.
fn only() -> Option<u32> {
    variable("HISTORY")
}

/// Whether to go on after a failure, with no time spent on making it smaller.
fn goes_on() -> bool {
    variable("GO_ON").is_some()
}

/// Runs histories, a worker a cluster, and fails with the first that fails.
fn run_all(clusters: &[&Cluster], histories: u32, crashes: bool) -> Counts {
    let (started, seed) = (Instant::now(), seed());
    let (next, histories) = match only() {
        Some(number) => (number, number + 1),
        None => (0, histories),
    };
    let next = AtomicU32::new(next);
    let has_failed = AtomicBool::new(false);
    let (all, failures) = (Mutex::new(Counts::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for (worker, cluster) in clusters.iter().enumerate() {
            let (next, has_failed, all, failures) = (&next, &has_failed, &all, &failures);
            scope.spawn(move || {
                let mut worker = Worker::new(cluster, format!("histories_{worker}"));
                while !has_failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= histories {
                        break;
                    }
                    if let Err(failure) = worker.run(seed, number, crashes) {
                        has_failed.store(!goes_on(), Ordering::Relaxed);
                        failures.lock().unwrap().push(failure);
                    }
                }
                let mut all = all.lock().unwrap();
                for (what, count) in worker.counts.take() {
                    *all.entry(what).or_default() += count;
                }
            });
        }
    });
    let counts = all.into_inner().unwrap();
    println!(
        "seed {seed}, {:.1} s: {counts:#?}",
        started.elapsed().as_secs_f64()
    );
    let failures = failures.into_inner().unwrap();
    let failed = failures.len();
    assert!(failed == 0, "{}\n{failed} failed", failures.join("\n\n"));
    counts
}

/// A thread's database.
struct Worker<'c> {
    cluster: &'c Cluster,
    database: String,
    runtime: tokio::runtime::Runtime,
    world: RefCell<Option<World<'c>>>,
    counts: RefCell<Counts>,
}

impl<'c> Worker<'c> {
    fn new(cluster: &'c Cluster, database: String) -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            cluster,
            database,
            runtime: runtime.enable_all().build().unwrap(),
            world: RefCell::new(None),
            counts: RefCell::default(),
        }
    }

    fn run(&mut self, seed: u64, number: u32, crashes: bool) -> Result<(), String> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&number.to_le_bytes());
        bytes[12] = u8::from(crashes);
        let config = Config {
            max_shrink_iters: if goes_on() { 0 } else { SHRINKING },
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let tree = history(crashes).new_tree(&mut runner).unwrap();
        let kind = RefCell::new(None);
        let outcome = runner.run_one(tree, |history| {
            // Where a history fails, or panics, its sessions are of no more use.
            let world = self.world.borrow_mut().take();
            let (mut world, result) = self.runtime.block_on(async {
                let mut world = match world {
                    Some(world) => world,
                    None => World::open(self.cluster, &self.database).await,
                };
                let result = world.run(&history).await;
                (world, result)
            });
            let counts = std::mem::take(&mut world.ledger.counts);
            for (what, count) in counts {
                *self.counts.borrow_mut().entry(what).or_default() += count;
            }
            if result.is_ok() {
                self.world.replace(Some(world));
            }
            // A smaller history must fail in the same way.
            match result {
                Err(reason)
                    if *kind.borrow_mut().get_or_insert(kind_of(&reason)) == kind_of(&reason) =>
                {
                    Err(TestCaseError::fail(reason))
                }
                _ => Ok(()),
            }
        });
        match outcome {
            Ok(_) => Ok(()),
            Err(TestError::Fail(reason, history)) => {
                let smallest = if goes_on() {
                    String::new()
                } else {
                    format!("\n{history:?}")
                };
                Err(format!(
                    "PROMISES_SEED={seed} HISTORY={number}: {reason}{smallest}"
                ))
            }
            Err(TestError::Abort(reason)) => Err(format!("history {number} gave up: {reason}")),
        }
    }
}

/// What a failure is like, whatever its numbers.
fn kind_of(reason: &str) -> String {
    let end = reason.find(", at ").unwrap_or(reason.len());
    let end = reason.find(':').map_or(end, |colon| colon.min(end));
    reason[..end]
        .chars()
        .filter(|letter| !letter.is_numeric())
        .collect()
}
