//! Property tests against a server: seeded, so that a failure comes again.

use std::future::Future;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;

/// The seed, unless the environment variable PROMISES_SEED names another one.
const SEED: u64 = 20_260_730;

/// The seed of everything random: fixed, or from PROMISES_SEED. Print it.
pub fn seed() -> u64 {
    match std::env::var("PROMISES_SEED") {
        Ok(seed) => seed.parse().expect("PROMISES_SEED is a number"),
        Err(_) => SEED,
    }
}

/// Checks `property` for `cases` values of `strategy`; a failure is made as small as possible
/// and printed with the seed.
///
/// Must be called outside an async function: it drives `runtime` itself.
pub fn check_property<S, F>(
    runtime: &Runtime,
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> F,
) where
    S: Strategy,
    F: Future<Output = Result<(), TestCaseError>>,
{
    let seed = seed();
    println!("seed {seed}, {cases} cases");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(strategy, |value| runtime.block_on(property(value)));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, value)) => {
            panic!("PROMISES_SEED={seed}: {reason}\nsmallest case: {value:#?}")
        }
        Err(TestError::Abort(reason)) => panic!("PROMISES_SEED={seed}: gave up: {reason}"),
    }
}
