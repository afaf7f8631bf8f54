//! What handlers would do to messages: tried, told of, and rolled back.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Database, Parameters,
    excerpt::{self, NAME},
};
use crate::error::Result;

/// What a trial came to.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Messages that would succeed.
    pub succeed: usize,
    /// Why others would fail.
    pub failures: Vec<TrialFailure>,
    /// Messages that would wait behind failed ones of their streams.
    pub waiting: usize,
    /// The first changes that those which succeed would make to the declared read model: `read_model`,
    /// `difference`, and how `before` and `after` begin, null where a row is not there (`had_row`,
    /// `has_row`) or too large.
    pub changes: Vec<Value>,
    /// True where there are more changes.
    pub has_more: bool,
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

/// What became of messages, as `dry_run` tells.
#[derive(Deserialize)]
#[serde(tag = "difference", content = "after", rename_all = "lowercase")]
enum Told {
    Handled {
        messages: usize,
    },
    Failed {
        global_position: i64,
        sqlstate: Option<String>,
        error: Option<String>,
    },
    Waiting {},
}

impl Trial {
    /// Messages that would fail.
    pub fn failed(&self) -> usize {
        self.failures.iter().map(|one| one.positions.len()).sum()
    }

    /// Messages that there were to try.
    pub fn messages(&self) -> usize {
        self.succeed + self.failed() + self.waiting
    }

    /// What the rows of `dry_run` tell, its changes as they are.
    pub fn of(rows: Vec<Value>) -> Self {
        let mut trial = Self::default();
        for row in rows {
            match Told::deserialize(&row) {
                Ok(told) => trial.add(told),
                Err(_) => trial.changes.push(row),
            }
        }
        trial
    }

    fn add(&mut self, told: Told) {
        match told {
            Told::Handled { messages } => self.succeed = messages,
            Told::Waiting {} => self.waiting += 1,
            Told::Failed {
                global_position,
                sqlstate,
                error,
            } => {
                let failure = TrialFailure {
                    sqlstate: sqlstate.unwrap_or_default(),
                    error: error.unwrap_or_default(),
                    positions: vec![global_position],
                };
                let like_it = |one: &&mut TrialFailure| {
                    one.sqlstate == failure.sqlstate && one.error == failure.error
                };
                match self.failures.iter_mut().find(like_it) {
                    Some(known) => known.positions.extend(failure.positions),
                    None => self.failures.push(failure),
                }
            }
        }
    }
}

impl Database {
    /// Has its own handlers try the next messages, `most` at most, or the parked ones at these
    /// positions; goes on where one fails.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::error::Error::Connect),
    /// [`Error::Database`](crate::error::Error::Database) where it is not a handler that fails.
    pub async fn try_messages(
        &self,
        subscriber_id: &str,
        most: i64,
        parked: Option<&[i64]>,
    ) -> Result<Trial> {
        const SHOWN: usize = 200;
        const CHARACTERS: i64 = 4_000;
        let sql = format!(
            "WITH d AS MATERIALIZED ( \
               SELECT * FROM message_store.dry_run($1, NULL, $2, false, $3, past_failures => true)) \
             SELECT jsonb_build_object('difference', d.difference, 'after', \
                      d.after - 'error' || jsonb_build_object('error', left(d.after->>'error', {CHARACTERS}))) \
             FROM d WHERE d.read_model IS NULL \
             UNION ALL \
             SELECT to_jsonb(t) FROM ( \
               SELECT left(d.read_model, {NAME}) AS read_model, d.difference, \
                 d.before IS NOT NULL AS had_row, d.after IS NOT NULL AS has_row, \
                 {} AS before, {} AS after \
               FROM d WHERE d.read_model IS NOT NULL LIMIT {SHOWN} + 1) t",
            excerpt::text("d.before", excerpt::LISTED_BYTES, CHARACTERS),
            excerpt::text("d.after", excerpt::LISTED_BYTES, CHARACTERS),
        );
        let action = format!("try the subscription {subscriber_id}");
        let given: Parameters<'_> = &[&subscriber_id, &most, &parked];
        let mut trial = Trial::of(self.rows(action, &sql, given).await?);
        trial.has_more = trial.changes.len() > SHOWN;
        trial.changes.truncate(SHOWN);
        Ok(trial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failures_alike_are_one_and_changes_are_none() {
        let failed = |position: i64, error: &str| {
            json!({"read_model": null, "difference": "failed", "before": null, "after": {
                "global_position": position, "stream_name": "a-1", "type": "T", "sqlstate": "P0001",
                "error": error, "error_details": null}})
        };
        let change = json!({"read_model": "t", "difference": "added", "before": null, "after": {}});
        let trial = Trial::of(vec![
            failed(7, "no: x"),
            failed(8, "other"),
            json!({"difference": "waiting", "after": {"global_position": 10, "error": null}}),
            failed(9, "no: x"),
            json!({"difference": "handled", "after": {"messages": 4, "error": null}}),
            change.clone(),
        ]);
        assert_eq!(trial.failures[0].positions, [7, 9]);
        assert_eq!(
            (&*trial.failures[0].error, &*trial.failures[0].sqlstate),
            ("no: x", "P0001")
        );
        let counts = (trial.failures.len(), trial.failed(), trial.messages());
        assert_eq!(counts, (2, 3, 8));
        assert_eq!(trial.changes, [change]);
    }
}
