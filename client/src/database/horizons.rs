//! How far messages are settled, and in which history of the log.

use std::time::Duration;

use tokio_postgres::{Row, error::SqlState};
use uuid::Uuid;

use super::Database;
use crate::error::{Error, Result};

/// A transaction of its own, which need not wait for the disk or for a standby: what a crash takes of it
/// is proven again.
const RECORD: &str = "SELECT message_store.record_horizons() \
    FROM (SELECT pg_catalog.set_config('synchronous_commit', 'off', true) OFFSET 0) AS quickly";
const HORIZON: &str = "SELECT pg_catalog.pg_is_in_recovery(), position, \
        extract(epoch FROM pg_catalog.clock_timestamp() - proven_at)::double precision \
   FROM message_store.horizon($1)";

/// How far readers may go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Horizon {
    /// True where it is a standby's.
    pub is_standbys: bool,
    /// No message is still to come at or below this global position.
    pub position: i64,
    /// How long ago that was proven: nothing, but on a standby; `None` there where nothing was ever drawn.
    pub age: Option<Duration>,
}

/// An epoch in which messages of those before may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnconfirmedEpoch {
    /// Its name.
    pub epoch: Uuid,
    /// Why it began.
    pub reason: String,
    /// When that was noticed.
    pub began_at: String,
    /// Up to this global position nothing is missing.
    pub settled_up_to: i64,
}

impl Database {
    /// The newest epoch of which nobody has confirmed that nothing was lost when it began; `None` where there
    /// is none but the first.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn unconfirmed_epoch(&self) -> Result<Option<UnconfirmedEpoch>> {
        const LOOK: &str = "SELECT epoch, reason, began_at::pg_catalog.text, settled_up_to \
            FROM message_store.epochs \
            WHERE confirmed_at IS NULL AND number > (SELECT min(number) FROM message_store.epochs) \
            ORDER BY number DESC LIMIT 1";
        let action = "look whether messages may have been lost";
        let rows = match self.query(action, LOOK, &[]).await {
            // A store that 0.3 made.
            Err(error) if error.sql_state() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(None),
            rows => rows?,
        };
        let read = |row: &Row| {
            Ok(UnconfirmedEpoch {
                epoch: row.try_get(0)?,
                reason: row.try_get(1)?,
                began_at: row.try_get(2)?,
                settled_up_to: row.try_get(3)?,
            })
        };
        let epoch = rows.first().map(read).transpose();
        epoch.map_err(Error::database(action))
    }

    /// Writes down on the primary how far messages are settled, for readers on standbys; true where that
    /// is all that was drawn, else it is to be called again.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn record_horizons(&self) -> Result<bool> {
        let action = "write down how far messages are settled";
        let rows = self.query(action, RECORD, &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// How far readers of a category, or of all messages, may go.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn horizon(&self, category: Option<&str>) -> Result<Horizon> {
        let action = "look how far messages are settled";
        let rows = self.query(action, HORIZON, &[&category]).await?;
        let mut horizon = Horizon::default();
        for row in &rows {
            let read = || -> std::result::Result<Horizon, tokio_postgres::Error> {
                let seconds: Option<f64> = row.try_get(2)?;
                let age = seconds.map(Duration::try_from_secs_f64);
                Ok(Horizon {
                    is_standbys: row.try_get(0)?,
                    position: row.try_get(1)?,
                    age: age.map(std::result::Result::unwrap_or_default),
                })
            };
            horizon = read().map_err(Error::database(action))?;
        }
        Ok(horizon)
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
