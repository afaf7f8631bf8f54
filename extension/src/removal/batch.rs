//! Messages that go in one call, and who needs them still.

use crate::account::Account;
use crate::error::Error;
use crate::subscription::removed;
use crate::tables::deletions::{self, Of};
use crate::tables::joined::unhandled::{self, Unhandled};
use crate::tables::messages::removal::{self, Candidate};
use crate::tables::tombstones;

/// Messages that may go, of one category or stream, oldest first.
pub struct Batch<'a> {
    of: Of<'a>,
    positions: Vec<i64>,
    unhandled: Vec<Unhandled>,
}

impl<'a> Batch<'a> {
    /// Looks who needs them. Nobody else may be deleting.
    pub fn of(of: Of<'a>, candidates: &[Candidate]) -> Result<Self, Error> {
        let mut positions: Vec<i64> = candidates
            .iter()
            .map(|candidate| candidate.global_position)
            .collect();
        positions.sort_unstable();
        let unhandled = match positions.is_empty() {
            true => Vec::new(),
            false => unhandled::of(of, &positions)?,
        };
        Ok(Self {
            of,
            positions,
            unhandled,
        })
    }

    /// 55000 where somebody needs one of them.
    pub fn require_handled(&self) -> Result<(), Error> {
        if self.unhandled.is_empty() {
            return Ok(());
        }
        let needs = self.unhandled.iter().map(|need| {
            let Unhandled {
                subscriber_id,
                first,
                is_parked,
            } = need;
            match is_parked {
                true => format!("{subscriber_id} has parked the message at {first}."),
                false => format!("{subscriber_id} has still to handle messages from {first} on."),
            }
        });
        let what = match self.of.stream_name {
            Some(name) => format!("stream {}", String::from_utf8_lossy(name)),
            None => format!("category {}", String::from_utf8_lossy(self.of.category)),
        };
        Err(Error::StillNeeded(what, needs.collect()))
    }

    /// Keeps those from the first on that somebody needs; returns who is in the way.
    pub fn leave_unhandled(&mut self) -> Option<String> {
        let nearest = self.unhandled.iter().min_by_key(|need| need.first)?;
        let kept = self
            .positions
            .partition_point(|position| *position < nearest.first);
        self.positions.truncate(kept);
        Some(nearest.subscriber_id.clone())
    }

    /// What is parked of them is never handled. A copy that lacks them would be promoted in the place of
    /// a read model that has them.
    pub fn skip(&self, reason: &str) -> Result<(), Error> {
        for need in &self.unhandled {
            let is_given_up = removed::give_up_copy(&need.subscriber_id)?;
            if need.is_parked && !is_given_up {
                removed::discard_parked(&need.subscriber_id, &self.positions, reason)?;
            }
        }
        Ok(())
    }

    /// Deletes them, and keeps that they were; returns how many.
    pub fn delete(&self, account: &Account) -> Result<i64, Error> {
        let Some(last) = self.positions.last() else {
            return Ok(0);
        };
        tombstones::put(&removal::delete(&self.positions)?)?;
        let count = i64::try_from(self.positions.len()).unwrap_or(i64::MAX);
        deletions::note(self.of, *last, count, account)?;
        Ok(count)
    }
}
