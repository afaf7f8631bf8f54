//! What handlers would do to messages: tried, told of, and rolled back.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Database;
use crate::error::{Error, Result};

/// How long messages are tried one by one.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a trial came to.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Messages that there were to try.
    pub messages: usize,
    /// Those that would succeed.
    pub succeed: usize,
    /// The first changes that these would make to the declared read model.
    pub changes: Vec<Value>,
    /// True where there are more changes.
    pub has_more: bool,
    /// Why others would fail.
    pub failures: Vec<TrialFailure>,
}

/// Messages that would fail alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialFailure {
    /// The SQLSTATE of the handler's error.
    pub sqlstate: String,
    /// The handler's error.
    pub error: String,
    /// The messages.
    pub positions: Vec<i64>,
}

impl Trial {
    /// Messages that were not tried: for want of time, or because one before them fails.
    pub fn untried(&self) -> usize {
        let failed: usize = self.failures.iter().map(|one| one.positions.len()).sum();
        self.messages.saturating_sub(self.succeed + failed)
    }

    fn add(&mut self, failure: TrialFailure) {
        let like_it = |one: &&mut TrialFailure| {
            one.sqlstate == failure.sqlstate && one.error == failure.error
        };
        match self.failures.iter_mut().find(like_it) {
            Some(known) => known.positions.extend(failure.positions),
            None => self.failures.push(failure),
        }
    }
}

impl Database {
    /// Tries parked messages: together, and if that fails each alone, for 20 seconds at most.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`] where it is not a handler that fails.
    pub async fn try_parked(&self, subscriber_id: &str, positions: &[i64]) -> Result<Trial> {
        let mut trial = Trial {
            messages: positions.len(),
            ..Trial::default()
        };
        if positions.is_empty() || self.attempt(&mut trial, subscriber_id, positions).await? {
            return Ok(trial);
        }
        trial.failures.clear();
        let began = Instant::now();
        for position in positions {
            if began.elapsed() > PATIENCE {
                break;
            }
            self.attempt(&mut trial, subscriber_id, &[*position])
                .await?;
        }
        Ok(trial)
    }

    /// Tries some parked messages together; adds what they come to. True where they succeed.
    async fn attempt(
        &self,
        trial: &mut Trial,
        subscriber_id: &str,
        positions: &[i64],
    ) -> Result<bool> {
        let count = i64::try_from(positions.len()).unwrap_or(i64::MAX);
        let tried = self.preview(subscriber_id, count, true, Some(positions));
        match tried.await {
            Ok((changes, has_more)) => {
                trial.succeed += positions.len();
                trial.changes.extend(changes);
                trial.has_more |= has_more;
                Ok(true)
            }
            Err(error) => {
                trial.add(failure(error)?);
                Ok(false)
            }
        }
    }

    /// Tries the next messages, `most` at most, as far as the first that fails.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`] where it is not a handler that fails.
    pub async fn try_next(&self, subscriber_id: &str, most: i64) -> Result<Trial> {
        let messages: i64 = self
            .answer(
                format!("count the next messages of {subscriber_id}"),
                "SELECT least(coalesce(sum(lag), 0)::bigint, $2)
                 FROM message_store.subscription_status WHERE subscriber_id = $1",
                &[&subscriber_id, &most],
            )
            .await?;
        let mut trial = Trial {
            messages: usize::try_from(messages).unwrap_or(0),
            ..Trial::default()
        };
        // So many succeed, and so many do not; the first call is of all.
        let (mut good, mut bad, mut count) = (0, messages + 1, messages);
        while count > good {
            match self.preview(subscriber_id, count, false, None).await {
                Ok((changes, has_more)) => {
                    good = count;
                    (trial.changes, trial.has_more) = (changes, has_more);
                }
                Err(error) => {
                    bad = count;
                    trial.failures = vec![failure(error)?];
                }
            }
            count = good + (bad - good) / 2;
        }
        trial.succeed = usize::try_from(good).unwrap_or(0);
        Ok(trial)
    }
}

/// The handler's failure that an error tells of; else the error.
fn failure(error: Error) -> Result<TrialFailure> {
    let told = match &error {
        Error::Database { cause, .. } => cause.as_db_error(),
        _ => None,
    };
    let told =
        told.and_then(|told| read_failure(told.message(), told.detail().unwrap_or_default()));
    told.ok_or(error)
}

/// Of `... fails at global position 17: no <reason>` and `Its SQLSTATE is P0001.`, which may go on with
/// the DETAIL of the handler's error.
fn read_failure(message: &str, detail: &str) -> Option<TrialFailure> {
    let (_, place) = message.split_once(" fails at global position ")?;
    let (position, error) = place.split_once(": ")?;
    let sqlstate = detail.strip_prefix("Its SQLSTATE is ")?.get(..5)?;
    Some(TrialFailure {
        sqlstate: sqlstate.to_owned(),
        error: error.to_owned(),
        positions: vec![position.parse().ok()?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handlers_failure_is_read_and_alike_ones_are_one() {
        let read = |position: i64, error: &str| {
            let message =
                format!("a handler of \"s\" fails at global position {position}: {error}");
            read_failure(&message, "Its SQLSTATE is P0001.").unwrap()
        };
        let mut trial = Trial {
            messages: 5,
            succeed: 1,
            ..Trial::default()
        };
        for failure in [read(7, "no: x"), read(8, "other"), read(9, "no: x")] {
            trial.add(failure);
        }
        assert_eq!(trial.failures[0].positions, [7, 9]);
        assert_eq!(
            (&*trial.failures[0].error, &*trial.failures[0].sqlstate),
            ("no: x", "P0001")
        );
        assert_eq!((trial.failures.len(), trial.untried()), (2, 1));
        assert!(read_failure("something else", "").is_none());
        let detail = "Its SQLSTATE is 23505. Key (email)=(a) already exists.";
        let message = "a handler of \"s\" fails at global position 7: twice";
        assert_eq!(read_failure(message, detail).unwrap().sqlstate, "23505");
    }
}
