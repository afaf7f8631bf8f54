//! Somebody who looks at the home page ten times a second and never forgets what it showed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ureq::Agent;

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many viewings may have been written by now: raised before a write begins, so that a page
/// that shows more shows what was never written.
#[derive(Clone, Default)]
pub struct Written(Arc<AtomicI64>);

/// A running observer. A count that is lower than one before, or higher than what was written,
/// fails the test at [`Observer::stop`].
pub struct Observer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Observed>,
}

/// What an observer saw.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How often it looked.
    pub looks: u32,
    /// The longest time to a page's last byte.
    pub slowest: Duration,
    /// The last count.
    pub count: i64,
}

impl Written {
    /// So many viewings are about to be written.
    pub fn add(&self, viewings: i64) {
        self.0.fetch_add(viewings, Ordering::SeqCst);
    }

    /// All that may have been written.
    pub fn total(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Observer {
    /// Starts to look at the home page at this address.
    pub fn start(home_page: &str, written: &Written) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_over_for_it, written) = (Arc::clone(&is_over), written.clone());
        let url = home_page.to_owned();
        let thread = std::thread::spawn(move || look(&url, &written, &is_over_for_it));
        Self { is_over, thread }
    }

    /// Ends it; returns what it saw.
    pub fn stop(self) -> Observed {
        self.is_over.store(true, Ordering::SeqCst);
        match self.thread.join() {
            Ok(observed) => observed,
            Err(wrong) => std::panic::resume_unwind(wrong),
        }
    }
}

fn look(url: &str, written: &Written, is_over: &AtomicBool) -> Observed {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let mut observed = Observed::default();
    loop {
        // One look more, so that the last one is at the end of it all.
        let is_last = is_over.load(Ordering::SeqCst);
        let started = Instant::now();
        let mut answer = agent.get(url).call().unwrap();
        let page = answer.body_mut().read_to_string().unwrap();
        let took = started.elapsed();
        let (count, most) = (count_on(&page), written.total());
        assert!(
            (observed.count..=most).contains(&count),
            "look {}: the home page counts {count} after {}, and {most} are written",
            observed.looks,
            observed.count
        );
        observed.looks += 1;
        observed.slowest = observed.slowest.max(took);
        observed.count = count;
        if is_last {
            return observed;
        }
        std::thread::sleep(LOOK_EVERY.saturating_sub(took));
    }
}

/// The count as the text of a home page has it.
pub fn count_on(page: &str) -> i64 {
    let after = page.split("id=\"videos-watched\"").nth(1).unwrap();
    let number = after.split("value=\"").nth(1).unwrap();
    number.split('"').next().unwrap().parse().unwrap()
}
