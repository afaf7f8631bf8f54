//! Which history of the log positions are of.

use tokio_postgres::{Row, error::SqlState};
use uuid::Uuid;

use super::Database;
use crate::error::{Error, Result};

const EPOCHS: &str = "SELECT last.number, doubted.epoch, doubted.reason, \
        pg_catalog.to_json(doubted.began_at) OPERATOR(pg_catalog.#>>) '{}', doubted.settled_up_to, \
        extract(epoch FROM pg_catalog.clock_timestamp() - doubted.began_at)::double precision \
   FROM (SELECT number FROM message_store.epochs ORDER BY number DESC LIMIT 1) AS last \
   LEFT JOIN LATERAL (SELECT * FROM message_store.epochs \
                       WHERE confirmed_at IS NULL \
                         AND number > (SELECT pg_catalog.min(number) FROM message_store.epochs) \
                       ORDER BY number DESC LIMIT 1) AS doubted ON true";

/// The epochs of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Epochs {
    /// That of the newest: another one where an epoch began since.
    pub number: i64,
    /// The newest of which nobody has confirmed that nothing was lost when it began; never the first.
    pub unconfirmed: Option<UnconfirmedEpoch>,
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
    /// The epochs; `None` where none has begun yet, and where the store is one of 0.3.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn epochs(&self) -> Result<Option<Epochs>> {
        let action = "look whether messages may have been lost";
        let rows = match self.query(action, EPOCHS, &[]).await {
            Err(error) if error.sql_state() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(None),
            rows => rows?,
        };
        let epochs = rows.first().map(read).transpose();
        epochs.map_err(Error::database(action))
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

fn read(row: &Row) -> std::result::Result<Epochs, tokio_postgres::Error> {
    let epoch: Option<Uuid> = row.try_get(1)?;
    let unconfirmed = epoch.map(|epoch| {
        Ok(UnconfirmedEpoch {
            epoch,
            reason: row.try_get(2)?,
            began_at: row.try_get(3)?,
            settled_up_to: row.try_get(4)?,
            seconds_ago: row.try_get(5)?,
        })
    });
    Ok(Epochs {
        number: row.try_get(0)?,
        unconfirmed: unconfirmed.transpose()?,
    })
}
