//! Somebody who looks at what a query shows, from a thread and a session of its own, and keeps when
//! he saw it change.

use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::{Scope, ScopedJoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime};

use promises::Database;
use tokio::runtime;

/// How long nothing may change while something is still to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any value: the end is not known yet.
const OPEN: i64 = i64::MAX;
/// Less than any value: nobody waits for the end any more.
const GIVEN_UP: i64 = i64::MIN;

/// What a query showed from some moment on.
pub struct Sighting {
    /// When it was seen, which is after it was so.
    pub at: SystemTime,
    /// A value per row.
    pub values: Vec<i64>,
}

/// Somebody who looks until every value has come to an end that is told.
pub struct Observer<'scope> {
    looking: Option<ScopedJoinHandle<'scope, Vec<Sighting>>>,
    end: &'scope AtomicI64,
}

/// The end of an observation, before it is known.
pub fn open_end() -> AtomicI64 {
    AtomicI64::new(OPEN)
}

impl<'scope> Observer<'scope> {
    /// Looks at a query that has one bigint in each of its rows. The pause between two looks leaves
    /// the processor to those who are looked at; half of it is how much too late something is seen
    /// on the average.
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        database: &'scope Database<'_>,
        query: &'scope str,
        pause: Duration,
        end: &'scope AtomicI64,
    ) -> Self {
        let looking = scope.spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(look(database, query, pause, end))
        });
        let looking = Some(looking);
        Self { looking, end }
    }

    /// Waits until every value has come to `end`; returns what was seen, in order. Fails where
    /// nothing moves any more before.
    pub fn until(mut self, end: i64) -> Vec<Sighting> {
        self.end.store(end, Ordering::Release);
        let looking = self.looking.take();
        looking.map_or_else(Vec::new, |looking| looking.join().unwrap())
    }
}

impl Drop for Observer<'_> {
    /// The scope waits for the thread, also where somebody else has failed.
    fn drop(&mut self) {
        self.end.store(GIVEN_UP, Ordering::Release);
    }
}

async fn look(
    database: &Database<'_>,
    query: &str,
    pause: Duration,
    end: &AtomicI64,
) -> Vec<Sighting> {
    let session = database.connect().await;
    let statement = session.prepare(query).await.unwrap();
    let mut sightings: Vec<Sighting> = Vec::new();
    let mut moved = Instant::now();
    loop {
        let rows = session.query(&statement, &[]).await.unwrap();
        let at = SystemTime::now();
        let values: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let end = end.load(Ordering::Acquire);
        let is_there = end < OPEN && values.iter().all(|value| *value >= end);
        if sightings.last().is_none_or(|last| last.values != values) {
            moved = Instant::now();
            sightings.push(Sighting { at, values });
        }
        if is_there {
            return sightings;
        }
        let waited = moved.elapsed();
        assert!(
            end == OPEN || waited < PATIENCE,
            "nothing moves: {query}\n{:?}, but not {end}",
            sightings.last().map(|last| &last.values)
        );
        // On a thread where nobody else runs.
        sleep(pause);
    }
}
