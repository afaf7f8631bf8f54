//! Which history of the log positions are of.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use tokio_postgres::{Row, error::SqlState};
use uuid::Uuid;

use super::{Database, Session};
use crate::error::{Error, Result};

const UNCONFIRMED: &str = "SELECT epoch, reason, pg_catalog.to_json(began_at) OPERATOR(pg_catalog.#>>) '{}', \
        extract(epoch FROM pg_catalog.clock_timestamp() - began_at)::double precision, settled_up_to \
   FROM message_store.epochs \
  WHERE confirmed_at IS NULL AND number > (SELECT pg_catalog.min(number) FROM message_store.epochs) \
  ORDER BY number DESC LIMIT 1";

/// What is kept with a position: the name of an epoch, or, of a router, those of all its shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch(Vec<Uuid>);

impl FromStr for Epoch {
    type Err = uuid::Error;

    fn from_str(text: &str) -> std::result::Result<Self, uuid::Error> {
        let names = text.split(',').map(Uuid::parse_str);
        names.collect::<std::result::Result<_, _>>().map(Self)
    }
}

impl Display for Epoch {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Uuid::to_string).collect();
        formatter.write_str(&names.join(","))
    }
}

/// An epoch in which messages of those before may be missing.
#[derive(Clone, Debug, PartialEq)]
pub struct UnconfirmedEpoch {
    /// Its name.
    pub epoch: Uuid,
    /// Why it began.
    pub reason: String,
    /// When that was noticed, as JSON has times.
    pub began_at: String,
    /// How many seconds ago that was.
    pub seconds_ago: f64,
    /// Up to this global position nothing is missing.
    pub settled_up_to: i64,
}

impl Database {
    /// The newest epoch of which nobody has confirmed that nothing was lost when it began; `None` where there
    /// is none but the first, and where the store is one of 0.3.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn unconfirmed_epoch(&self) -> Result<Option<UnconfirmedEpoch>> {
        let action = "look whether messages may have been lost";
        let rows = match self.query(action, UNCONFIRMED, &[]).await {
            Err(error) if error.sql_state() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(None),
            rows => rows?,
        };
        let epoch = rows.first().map(read).transpose();
        epoch.map_err(Error::database(action))
    }

    /// The epoch of the log, to be kept with every position that is kept outside of the database; `None` on
    /// a standby that none has come to.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn epoch(&self) -> Result<Option<Epoch>> {
        let action = "ask for the epoch";
        let sql = "SELECT message_store.epoch()::pg_catalog.text";
        let rows = self.query(action, sql, &[]).await?;
        let epoch = rows.first().map(|row| row.try_get::<_, Option<String>>(0));
        let epoch = epoch.transpose().map_err(Error::database(action))?;
        Ok(epoch.flatten().and_then(|text| text.parse().ok()))
    }

    /// Returns a global position that was kept with an epoch, if what lies before it is in this log for
    /// certain.
    ///
    /// # Errors
    /// [`Error::Database`] with SQLSTATE 55000, which says from where to begin again.
    pub async fn check_position(&self, epoch: &Epoch, position: i64) -> Result<i64> {
        let action = "look whether the position is of this log";
        // A store takes a uuid and a router a text; such a literal is either.
        let sql = format!("SELECT message_store.check_position('{epoch}', $1)");
        let rows = self.query(action, &sql, &[&position]).await?;
        Ok(rows.first().map_or(position, |row| row.get(0)))
    }
}

impl Session {
    /// Says how it is known that nothing was lost when the epoch of now began.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn confirm_epoch(&self, reason: &str) -> Result<()> {
        const CONFIRM: &str = "SELECT message_store.confirm_epoch(message_store.epoch(), $1)";
        let confirmed = self.client.execute(CONFIRM, &[&reason]).await;
        confirmed
            .map(drop)
            .map_err(Error::database("confirm that nothing was lost"))
    }
}

fn read(row: &Row) -> std::result::Result<UnconfirmedEpoch, tokio_postgres::Error> {
    Ok(UnconfirmedEpoch {
        epoch: row.try_get(0)?,
        reason: row.try_get(1)?,
        began_at: row.try_get(2)?,
        seconds_ago: row.try_get(3)?,
        settled_up_to: row.try_get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_one_name_or_one_of_each_shard() {
        let one = "6f1c0000-0000-4000-8000-000000000001";
        let two = "6f1c0000-0000-4000-8000-000000000001,6f1c0000-0000-4000-8000-000000000002";
        for text in [one, two] {
            let epoch: Option<Epoch> = text.parse().ok();
            assert_eq!(epoch.map(|epoch| epoch.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "6f1c",
            "6f1c0000-0000-4000-8000-000000000001,",
            "'); DROP TABLE",
        ] {
            assert!(text.parse::<Epoch>().is_err(), "{text}");
        }
    }
}
