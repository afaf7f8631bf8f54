//! How far messages are settled.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::{Database, Source};
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

impl Database {
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

    /// Up to where no message of a source is still to come: of a stream, without an end.
    pub(super) async fn settled_position(&self, source: &Source) -> Result<i64> {
        let category = match source {
            Source::Stream(_) => return Ok(i64::MAX),
            Source::Category(name) => Some(name.as_str()),
            Source::All => None,
        };
        match self.horizon(category).await {
            // A store of 0.3 has none.
            Err(error) if error.sql_state() == Some(&SqlState::UNDEFINED_FUNCTION) => Ok(i64::MAX),
            horizon => Ok(horizon?.position),
        }
    }
}
