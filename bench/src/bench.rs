//! What a work is given: how much to measure, a runtime, and a place where it notes its servers.

use std::cell::RefCell;

use tokio::runtime::Runtime;

use crate::server::ServerFacts;

/// One work's stay at the bench.
pub struct Bench {
    /// Interleaved rounds of each line-up.
    pub rounds: usize,
    /// Whether this only shows that everything runs, with sizes that measure nothing.
    pub quick: bool,
    runtime: Runtime,
    pub(crate) servers: RefCell<Vec<ServerFacts>>,
}

impl Bench {
    /// A bench without servers yet.
    pub fn new(rounds: usize, quick: bool) -> Self {
        Self {
            rounds,
            quick,
            runtime: Runtime::new().unwrap(),
            servers: RefCell::default(),
        }
    }

    /// The size to measure, or the tiny one that only shows that it runs.
    pub fn sized<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Waits for what is asynchronous: sessions live on in between.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Says what takes its time before the rounds: `filling a store with 20 million messages`.
    pub fn say(&self, text: &str) {
        eprintln!("{text}");
    }
}
