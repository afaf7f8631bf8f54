//! Which subscription is ticked next, and when: no clock, no database, only
//! the rules.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use message_store_client::database::{Outcome, Started};

mod entry;

use entry::{Entry, Pause};

/// So many subscriptions are all ticked at every wake-up.
const FEW: u32 = 10;
/// Those that take all there is share 1,000 ticks a second; of more than a few, those that find
/// nothing share as many. A tick costs much the same for one message and for a hundred, and what
/// ticks take from the processor, writers do not have.
const TURN: Duration = Duration::from_millis(1);

/// Every started subscription and what it waits for.
pub struct Schedule {
    entries: HashMap<Arc<str>, Entry>,
    due: VecDeque<Arc<str>>,
    /// Counted, so that a wake-up during a tick leads to another one.
    wakes: u64,
    /// The most ticks of one subscription at a time, whatever its group.
    most_ticks: usize,
}

/// One tick to be run. Hand it back to [`Schedule::finish`].
pub struct Job {
    /// Whom to tick.
    pub subscriber_id: Arc<str>,
    wakes: u64,
}

/// What a tick came to.
#[derive(Clone, Copy, Debug)]
pub struct Ticked {
    /// In a word.
    pub outcome: Outcome,
    /// Messages that it read.
    pub scanned: i64,
    /// When a failing handler is called again.
    pub retry_in: Option<Duration>,
}

/// What a list brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Not in the schedule before.
    pub added: Vec<Started>,
    /// No longer started, by their ids.
    pub removed: Vec<Arc<str>>,
}

/// What a tick that came to no result leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The database is away: a wake-up says that it is back.
    ConnectionLost,
    /// The statement was refused. New messages do not repair that.
    Refused,
}

impl Schedule {
    /// An empty one. `most_ticks` is how many connections there are.
    pub fn new(most_ticks: usize) -> Self {
        Self {
            entries: HashMap::new(),
            due: VecDeque::new(),
            wakes: 0,
            most_ticks,
        }
    }

    /// Takes over the list of what is started. What is new, changed, or was
    /// found ended since, is due.
    pub fn list(&mut self, rows: Vec<Started>) -> Changes {
        let mut changes = Changes::default();
        for entry in self.entries.values_mut() {
            entry.is_listed = false;
        }
        for row in rows {
            let id: Arc<str> = row.subscriber_id.as_str().into();
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.is_listed = true;
                if entry.take_over(row, self.most_ticks) {
                    self.make_due(&id);
                }
            } else {
                let entry = Entry::new(row.clone(), self.most_ticks);
                self.entries.insert(id.clone(), entry);
                self.make_due(&id);
                changes.added.push(row);
            }
        }
        self.entries.retain(|id, entry| {
            if !entry.is_listed {
                changes.removed.push(id.clone());
            }
            // A running tick comes back to its entry.
            entry.is_listed || entry.running > 0
        });
        changes
    }

    /// New messages, whose ever they are: all that wait for some are due, those
    /// that found none lately not before their turn.
    pub fn wake(&mut self, now: Instant) {
        self.wakes += 1;
        let turn = self.turn();
        self.make_all_due(|entry| {
            let waits = !matches!(entry.pause, Pause::Until(_) | Pause::List);
            waits && !entry.wait_for_turn(turn, now)
        });
    }

    /// Makes due whose moment has come.
    pub fn expire(&mut self, now: Instant) {
        self.make_all_due(|entry| entry.pause.moment().is_some_and(|moment| moment <= now));
    }

    /// Makes due the few that were not ticked for the longest time: a rebuild,
    /// a reset or a retry of parked messages wakes nobody.
    pub fn probe(&mut self, most: usize, now: Instant) {
        let mut resting: Vec<(Option<Instant>, Arc<str>)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.may_be_probed(now))
            .map(|(id, entry)| (entry.ticked_at, id.clone()))
            .collect();
        resting.sort_unstable();
        for (_, id) in resting.into_iter().take(most) {
            self.make_due(&id);
        }
    }

    /// The moment of the next [`Schedule::expire`] that will find something.
    pub fn next_moment(&self) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| !entry.is_due);
        waiting.filter_map(|entry| entry.pause.moment()).min()
    }

    /// The next tick to run, the longest due first.
    pub fn take(&mut self, now: Instant) -> Option<Job> {
        while let Some(id) = self.due.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            // Dropped and declared again it may be in the queue twice.
            let is_due = std::mem::take(&mut entry.is_due);
            if !is_due || !entry.is_listed {
                continue;
            }
            entry.running += 1;
            entry.ticked_at = Some(now);
            self.make_due(&id);
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.ask_for_help(now);
            }
            return Some(Job {
                subscriber_id: id,
                wakes: self.wakes,
            });
        }
        None
    }

    /// A subscription as it was listed last.
    #[cfg(feature = "opentelemetry")]
    pub fn row(&self, subscriber_id: &str) -> Option<&Started> {
        self.entries.get(subscriber_id).map(|entry| &entry.row)
    }

    /// What follows a tick. Idle is the proof that everything drawn before it
    /// is processed, so only then may a subscription rely on the next wake-up.
    pub fn finish(&mut self, job: &Job, ticked: Ticked, now: Instant) {
        let woken = self.wakes > job.wakes;
        let (turn, rest) = (self.turn(), self.rest(now));
        let Some(entry) = self.end(job) else { return };
        let is_due = entry.finish(ticked, rest, woken, now);
        if is_due && !(ticked.outcome == Outcome::Idle && entry.wait_for_turn(turn, now)) {
            self.make_due(&job.subscriber_id);
        }
    }

    /// What follows a tick that raised an error.
    pub fn fail(&mut self, job: &Job, failure: Failure, pause: Duration, now: Instant) {
        let Some(entry) = self.end(job) else { return };
        entry.fail(failure, now + pause);
    }

    /// `None` where the subscription has gone meanwhile.
    fn end(&mut self, job: &Job) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&job.subscriber_id)?;
        entry.running -= 1;
        if !entry.is_listed {
            if entry.running == 0 {
                self.entries.remove(&job.subscriber_id);
            }
            return None;
        }
        self.entries.get_mut(&job.subscriber_id)
    }

    /// How long a subscription that finds nothing rests between two ticks, so
    /// that one busy category does not keep all others ticking.
    fn turn(&self) -> Duration {
        match u32::try_from(self.entries.len()) {
            Ok(count) if count > FEW => TURN * count,
            _ => Duration::ZERO,
        }
    }

    /// How long a subscription rests that took all there was, so that the next tick finds more.
    fn rest(&self, now: Instant) -> Duration {
        let busy = self
            .entries
            .values()
            .filter(|entry| entry.found_lately(now));
        TURN * u32::try_from(busy.count().max(1)).unwrap_or(u32::MAX)
    }

    fn make_all_due(&mut self, mut which: impl FnMut(&mut Entry) -> bool) {
        for (id, entry) in &mut self.entries {
            if which(entry) && entry.become_due_beside_others() {
                self.due.push_back(id.clone());
            }
        }
    }

    fn make_due(&mut self, id: &Arc<str>) {
        if self.entries.get_mut(id).is_some_and(Entry::become_due) {
            self.due.push_back(id.clone());
        }
    }
}

#[cfg(test)]
mod tests;
