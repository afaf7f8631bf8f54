//! Which history of the log positions are of.

use tokio_postgres::{Row, error::SqlState};
use uuid::Uuid;

use super::{Database, Session};
use crate::error::{Error, Result};

const UNCONFIRMED: &str = "SELECT epoch, reason, pg_catalog.to_json(began_at) OPERATOR(pg_catalog.#>>) '{}', \
        extract(epoch FROM pg_catalog.clock_timestamp() - began_at)::double precision, settled_up_to \
   FROM message_store.epochs \
  WHERE confirmed_at IS NULL AND number > (SELECT pg_catalog.min(number) FROM message_store.epochs) \
  ORDER BY number DESC LIMIT 1";

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
    pub async fn epoch(&self) -> Result<Option<Uuid>> {
        let action = "ask for the epoch";
        let rows = self
            .query(action, "SELECT message_store.epoch()", &[])
            .await?;
        let epoch = rows.first().map(|row| row.try_get(0)).transpose();
        epoch.map(Option::flatten).map_err(Error::database(action))
    }

    /// Returns a global position that was kept with an epoch, if what lies before it is in this log for
    /// certain.
    ///
    /// # Errors
    /// [`Error::Database`] with SQLSTATE 55000, which says from where to begin again.
    pub async fn check_position(&self, epoch: Uuid, position: i64) -> Result<i64> {
        let action = "look whether the position is of this log";
        let sql = "SELECT message_store.check_position($1, $2)";
        let rows = self.query(action, sql, &[&epoch, &position]).await?;
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
