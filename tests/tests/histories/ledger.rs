//! What we know of a history from what we did ourselves, not from what the store says.

use super::definition::{Definition, Duties, Outside, Policy, STREAMS};
use super::step::{Call, Subject};
use promises::Session;
use std::collections::{BTreeMap, BTreeSet};

/// How often what happened, over all histories.
pub type Counts = BTreeMap<&'static str, u64>;

/// Facts of one history.
#[derive(Default)]
pub struct Ledger {
    /// Which member of a group reads each stream: a number to divide by the group's size.
    hashes: Vec<Option<i64>>,
    /// Positions drawn, those of rolled back messages included.
    pub drawn: i64,
    /// The position it began after.
    pub start_position: i64,
    /// Messages committed to each stream.
    pub committed: Vec<usize>,
    /// What is wrong with which message now.
    pub poison: BTreeMap<i64, &'static str>,
    /// What ever was.
    pub poisoned: BTreeMap<i64, BTreeSet<&'static str>>,
    /// What its handlers do besides.
    pub duties: Duties,
    /// What applications fetch beside it.
    pub outside: Option<Outside>,
    /// Messages that were discarded.
    pub discarded: BTreeSet<i64>,
    /// Those of the copy.
    pub discarded_of_copy: BTreeSet<i64>,
    /// Messages may have been handled after later ones of their stream.
    pub reorders: bool,
    /// Failures may have been parked.
    pub parks: bool,
    /// The fewest retries there ever were.
    pub retries: i64,
    /// There was a copy.
    pub had_copy: bool,
    /// There was a group.
    pub had_group: bool,
    /// Somebody stopped it.
    pub was_stopped: bool,
    /// Times it went back to the start.
    pub replays: usize,
    /// How often one or the other was asked for.
    turn: usize,
    /// Over all histories.
    pub counts: Counts,
}

impl Ledger {
    pub fn new(hashes: Vec<Option<i64>>) -> Self {
        Self {
            hashes,
            ..Self::default()
        }
    }

    /// Forgets the history; what was counted stays.
    pub fn clear(&mut self) {
        *self = Self {
            hashes: std::mem::take(&mut self.hashes),
            counts: std::mem::take(&mut self.counts),
            committed: vec![0; STREAMS.len()],
            ..Self::default()
        };
    }

    /// Message DB's hash of each stream's cardinal id, by PostgreSQL's own md5.
    pub async fn hashes(session: &Session) -> Vec<Option<i64>> {
        let mut hashes = Vec::new();
        for stream in STREAMS {
            let id = stream
                .split_once('-')
                .map(|(_, id)| id.split('+').next().unwrap_or(id));
            let hash = match id {
                None => None,
                Some(id) => {
                    let sql = format!("SELECT ('x' || left(md5('{id}'), 16))::bit(64)::bigint");
                    Some(session.bigint(&sql).await)
                }
            };
            hashes.push(hash);
        }
        hashes
    }

    /// Which member of a group of `size` reads a stream.
    pub fn member_of(&self, stream: &str, size: i64) -> i64 {
        let number = STREAMS.iter().position(|known| *known == stream);
        let hash = number.and_then(|number| self.hashes[number]);
        hash.map_or(0, |hash| (hash % size).abs())
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// One or the other, by turns.
    pub fn coin<T>(&mut self, first: T, second: T) -> T {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            second
        } else {
            first
        }
    }

    /// These messages are committed.
    pub fn written(&mut self, streams: &[usize]) {
        for stream in streams {
            self.committed[*stream] += 1;
        }
    }

    pub fn begin(&mut self, definition: &Definition) {
        self.retries = i64::MAX;
        self.allow(definition.policy);
        self.duties = definition.duties;
        self.outside = definition.outside;
        self.had_group = definition.group_size > 1;
    }

    /// A policy applies from here on.
    pub fn allow(&mut self, policy: Policy) {
        self.reorders |= policy.reorders();
        self.parks |= policy.parks;
        self.retries = self.retries.min(policy.retries);
    }

    pub fn poison(&mut self, position: i64, kind: &'static str) {
        self.poison.insert(position, kind);
        self.poisoned.entry(position).or_default().insert(kind);
    }

    /// A position that was ever poisoned.
    pub fn pick_poisoned(&self, pick: usize) -> Option<i64> {
        let number = pick.checked_rem(self.poisoned.len())?;
        self.poisoned.keys().nth(number).copied()
    }

    /// The transaction of a call has committed. `number`: of the step.
    pub async fn called(&mut self, watch: &Session, call: &Call, number: usize) {
        match call {
            Call::DiscardParked(subject, _) => {
                let sql = format!(
                    "SELECT global_position FROM message_store.parked \
                     WHERE status = 'discarded' AND reason = 'step {number}'"
                );
                let rows = watch.run(&sql).await.unwrap();
                let positions = rows
                    .iter()
                    .filter_map(|row| row[0].as_deref()?.parse::<i64>().ok());
                match subject {
                    Subject::Live => self.discarded.extend(positions),
                    Subject::Copy => self.discarded_of_copy.extend(positions),
                    Subject::Outside => {}
                }
            }
            Call::Promote => {
                let of_copy = std::mem::take(&mut self.discarded_of_copy);
                self.discarded.extend(of_copy);
            }
            Call::CancelRebuild => self.discarded_of_copy.clear(),
            Call::RebuildBeside => {
                self.had_copy = true;
                self.discarded_of_copy.clear();
            }
            Call::Rebuild | Call::Reset(Subject::Live) => self.replays += 1,
            Call::Resize(Subject::Live, _) => self.had_group = true,
            Call::Stop(_) => self.was_stopped = true,
            _ => {}
        }
    }
}
