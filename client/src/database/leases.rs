//! Messages that this program handles itself: fetched under a lease, acknowledged, or parked.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Database, StoredMessage};
use crate::error::{Error, Result};

/// A message under a lease.
#[derive(Debug)]
pub struct FetchedMessage {
    /// The message.
    pub message: StoredMessage,
    /// The lease, which says to `ack`, `renew` and `park` whose message it is.
    pub lease: i64,
    /// Which attempt it is, from 1; more for a parked message that is retried.
    pub attempt: i64,
}

impl FetchedMessage {
    /// Its data, read into what it is expected to be.
    ///
    /// # Errors
    /// What serde says of data that is something else, or NULL.
    pub fn data<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        let data = self.message.data.as_ref();
        serde_json::from_str(data.map_or("null", |data| data.get()))
    }
}

impl Database {
    /// The next messages of a subscription without handlers, at most `batch_size`, which nobody
    /// else gets while the lease lasts. None: there is nothing to do, the subscription is paused,
    /// or somebody else has them.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Database`], among others for a subscription that is not there
    /// (42704), or has handlers (55000).
    pub async fn fetch(
        &self,
        subscriber_id: &str,
        batch_size: i64,
        lease: Duration,
    ) -> Result<Vec<FetchedMessage>> {
        let action = format!("fetch messages of {subscriber_id}");
        let sql = format!(
            "SELECT {}, lease, attempt FROM message_store.fetch($1, $2, $3::text::interval)",
            StoredMessage::COLUMNS
        );
        let lease = interval(lease);
        let rows = self
            .query(&action, &sql, &[&subscriber_id, &batch_size, &lease])
            .await?;
        let fetched = rows.iter().map(|row| {
            Ok(FetchedMessage {
                message: StoredMessage::from_row(row)?,
                lease: row.try_get("lease")?,
                attempt: row.try_get("attempt")?,
            })
        });
        fetched
            .collect::<Result<_, tokio_postgres::Error>>()
            .map_err(Error::database(action))
    }

    /// Stores that the fetched message at this global position is handled, and those before it.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Database`]: 55000 where the lease ran out.
    pub async fn acknowledge(&self, subscriber_id: &str, position: i64, lease: i64) -> Result<()> {
        self.call(
            format!("acknowledge message {position} for {subscriber_id}"),
            "SELECT message_store.ack($1, $2, $3)",
            &[&subscriber_id, &position, &lease],
        )
        .await
    }

    /// Lets a lease last so long from now.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Database`]: 55000 where it ran out.
    pub async fn renew(&self, subscriber_id: &str, lease: i64, lasts: Duration) -> Result<()> {
        self.call(
            format!("renew the lease on messages of {subscriber_id}"),
            "SELECT message_store.renew($1, $2::text::interval, $3)",
            &[&subscriber_id, &interval(lasts), &lease],
        )
        .await
    }

    /// Parks the fetched message at this global position, which cannot be handled. Later messages of its stream wait behind
    /// it; the lease ends.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Database`]: 55000 where the lease ran out.
    pub async fn park(
        &self,
        subscriber_id: &str,
        position: i64,
        problem: &str,
        lease: i64,
    ) -> Result<()> {
        self.call(
            format!("park message {position} of {subscriber_id}"),
            "SELECT message_store.park($1, $2, $3, $4)",
            &[&subscriber_id, &position, &problem, &lease],
        )
        .await
    }
}

fn interval(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
