//! An orchestrator that is watched: its metrics and its health, as a scraper sees them.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::database::Database;
use crate::orchestrator::Running;

/// Longer than two samples are apart.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Serves metrics on any free port.
pub const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";

/// Status and text of a page.
pub fn get(url: &str) -> (u16, String) {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut response = agent.get(url).call().unwrap();
    let status = response.status().as_u16();
    (status, response.body_mut().read_to_string().unwrap())
}

/// Asks again and again until the answer will do; fails when the time is up.
pub fn wait_for<T: std::fmt::Debug>(ask: impl Fn() -> T, will_do: impl Fn(&T) -> bool) -> T {
    let began = Instant::now();
    loop {
        let answer = ask();
        if will_do(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "still {answer:#?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What a program that ends by itself says to what it is given, and whether it found it good.
pub fn ask(command: &mut Command, input: &str) -> (bool, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?}: {error}; `scripts/setup test` installs it");
        });
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

/// A page of metrics.
#[derive(Debug)]
pub struct Scrape(pub String);

impl Scrape {
    /// The value of one series, written as on the page.
    pub fn value(&self, series: &str) -> Option<f64> {
        let mut lines = self.0.lines();
        let rest = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        rest.map(|value| value.parse().unwrap())
    }

    /// The value of a series with one label, the subscriber's id.
    pub fn of(&self, name: &str, subscriber_id: &str) -> Option<f64> {
        self.value(&format!("{name}{{subscriber_id=\"{subscriber_id}\"}}"))
    }
}

impl Running {
    /// What is on its page of metrics now.
    pub fn scrape(&self) -> Scrape {
        let (status, text) = get(&format!("{}/metrics", self.metrics()));
        assert_eq!(status, 200, "{text}");
        Scrape(text)
    }

    /// What is on the page as soon as it has what is wanted.
    pub fn scrape_until(&self, is_wanted: impl Fn(&Scrape) -> bool) -> Scrape {
        wait_for(|| self.scrape(), is_wanted)
    }
}

impl Database<'_> {
    /// An orchestrator that serves metrics beside these subscriptions.
    pub fn start_watched(&self, subscriptions: &str) -> Running {
        self.deploy(&format!("{METRICS}{subscriptions}")).start()
    }
}
