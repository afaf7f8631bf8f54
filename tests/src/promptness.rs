//! How long a page takes to its last byte.

use std::time::{Duration, Instant};

use ureq::Agent;

/// How often a page is asked for.
const REQUESTS: usize = 1000;

/// Asks for a page 1,000 times, one after the other; returns what 99 of 100 did not exceed.
pub fn p99_of_page(url: &str) -> Duration {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut times: Vec<Duration> = (0..REQUESTS)
        .map(|_| {
            let started = Instant::now();
            let mut answer = agent.get(url).call().unwrap();
            answer.body_mut().read_to_vec().unwrap();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[REQUESTS * 99 / 100 - 1]
}
