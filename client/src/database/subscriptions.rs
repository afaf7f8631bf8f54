//! What is done to subscriptions: declared, steered, moved, rebuilt.

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::Json;

use super::{Database, Parameters, ParkedFilter};
use crate::error::{Error, Result};

/// What a promotion does to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// Its name, with the schema.
    pub read_model: String,
    /// Rows that come.
    pub added: i64,
    /// Rows that go.
    pub removed: i64,
    /// Rows that stay with other values.
    pub changed: i64,
}

impl Database {
    /// Declares a subscription, or brings the stored declaration up to date.
    /// True where something changed.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database) where a handler is unknown, or where the subscriber
    /// already reads another source or belongs to another role.
    pub async fn create_subscription(
        &self,
        subscriber_id: &str,
        source: &str,
        handlers: &Value,
        options: &Value,
    ) -> Result<bool> {
        self.answer_to_people(
            format!("create the subscription {subscriber_id}"),
            "SELECT message_store.create_subscription($1, $2, $3, $4)",
            &[&subscriber_id, &source, &Json(handlers), &Json(options)],
        )
        .await
    }

    /// Changes handlers or merges options; the position stays. True where
    /// something changed.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn alter_subscription(
        &self,
        subscriber_id: &str,
        handlers: Option<&Value>,
        options: Option<&Value>,
    ) -> Result<bool> {
        self.answer_to_people(
            format!("alter the subscription {subscriber_id}"),
            "SELECT message_store.alter_subscription($1, $2, $3)",
            &[&subscriber_id, &handlers.map(Json), &options.map(Json)],
        )
        .await
    }

    /// Runs `init` and lets orchestrators tick; returns the state afterwards.
    /// `at_boot` leaves what a person or a failure ended as it is.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database), among others whatever `init` raised.
    pub async fn start(&self, subscriber_id: &str, at_boot: bool) -> Result<String> {
        self.answer(
            format!("start the subscription {subscriber_id}"),
            "SELECT message_store.start($1, $2)",
            &[&subscriber_id, &at_boot],
        )
        .await
    }

    /// Drops a subscription with its position; false where there was none.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn drop_subscription(&self, subscriber_id: &str) -> Result<bool> {
        self.answer(
            format!("drop the subscription {subscriber_id}"),
            "SELECT message_store.drop_subscription($1)",
            &[&subscriber_id],
        )
        .await
    }

    /// Gives up a rebuild side by side; false where none ran.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn cancel_rebuild(&self, subscriber_id: &str) -> Result<bool> {
        self.answer(
            format!("cancel the rebuild of {subscriber_id}"),
            "SELECT message_store.cancel_rebuild($1)",
            &[&subscriber_id],
        )
        .await
    }

    /// Ends the ticks until somebody starts it again; its failures do not count as such.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn pause(&self, subscriber_id: &str, reason: Option<&str>) -> Result<()> {
        let action = format!("pause the subscription {subscriber_id}");
        let sql = "SELECT message_store.pause($1, $2)";
        self.call(action, sql, &[&subscriber_id, &reason]).await
    }

    /// Ends the ticks until somebody starts it again.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn stop(&self, subscriber_id: &str, reason: Option<&str>) -> Result<()> {
        let action = format!("stop the subscription {subscriber_id}");
        let sql = "SELECT message_store.stop($1, $2)";
        self.call(action, sql, &[&subscriber_id, &reason]).await
    }

    /// Fills the read model again from the first message, in place or in copies.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn rebuild(&self, subscriber_id: &str, side_by_side: bool) -> Result<()> {
        let action = format!("rebuild the subscription {subscriber_id}");
        let sql = "SELECT message_store.rebuild($1, $2)";
        self.call(action, sql, &[&subscriber_id, &side_by_side])
            .await
    }

    /// Puts the copies that a rebuild filled in the place of the live tables, and says what that
    /// changed; `may_empty` where a table that has rows may then have none.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn promote(&self, subscriber_id: &str, may_empty: bool) -> Result<Vec<TableChange>> {
        let action = format!("promote the rebuild of {subscriber_id}");
        let dry = false;
        self.table_changes(action, &[&subscriber_id, &may_empty, &dry])
            .await
    }

    /// What [`Database::promote`] would change.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn look_at_promotion(&self, subscriber_id: &str) -> Result<Vec<TableChange>> {
        let action = format!("compare the rebuild of {subscriber_id}");
        let (may_empty, dry) = (false, true);
        self.table_changes(action, &[&subscriber_id, &may_empty, &dry])
            .await
    }

    async fn table_changes(
        &self,
        action: String,
        parameters: Parameters<'_>,
    ) -> Result<Vec<TableChange>> {
        let sql = "SELECT read_model, added, removed, changed \
                   FROM message_store.promote($1, $2, $3)";
        let rows = self.query(&action, sql, parameters).await?;
        let changes = rows.iter().map(|row| {
            Ok(TableChange {
                read_model: row.try_get(0)?,
                added: row.try_get(1)?,
                removed: row.try_get(2)?,
                changed: row.try_get(3)?,
            })
        });
        let changes: std::result::Result<_, _> = changes.collect();
        changes.map_err(Error::database(action))
    }

    /// Changes the number of members that share the work.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn resize_group(&self, subscriber_id: &str, group_size: i64) -> Result<()> {
        let action = format!("resize the group of {subscriber_id}");
        let sql = "SELECT message_store.resize_group($1, $2)";
        self.call(action, sql, &[&subscriber_id, &group_size]).await
    }

    /// Sets the position back or forth without a look at the read model.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn reset(&self, subscriber_id: &str, position: i64, reason: &str) -> Result<()> {
        let action = format!("reset the subscription {subscriber_id}");
        let sql = "SELECT message_store.reset($1, $2, $3)";
        self.call(action, sql, &[&subscriber_id, &position, &reason])
            .await
    }

    /// Leaves out everything up to a position.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn skip(&self, subscriber_id: &str, position: i64, reason: &str) -> Result<()> {
        let action = format!("skip messages of the subscription {subscriber_id}");
        let sql = "SELECT message_store.skip($1, $2, $3)";
        self.call(action, sql, &[&subscriber_id, &position, &reason])
            .await
    }

    /// Has parked messages handled again by the next ticks; returns how many.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn retry_parked(&self, subscriber_id: &str, which: &ParkedFilter) -> Result<i64> {
        self.answer(
            format!("retry parked messages of {subscriber_id}"),
            "SELECT message_store.retry_parked($1, $2, $3, $4)",
            &[
                &subscriber_id,
                &which.global_position,
                &which.stream_name,
                &which.sqlstate,
            ],
        )
        .await
    }

    /// Gives parked messages up, with the reason kept; returns how many.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn discard_parked(
        &self,
        subscriber_id: &str,
        reason: &str,
        which: &ParkedFilter,
    ) -> Result<i64> {
        self.answer(
            format!("discard parked messages of {subscriber_id}"),
            "SELECT message_store.discard_parked($1, $2, $3, $4, $5)",
            &[
                &subscriber_id,
                &reason,
                &which.global_position,
                &which.stream_name,
                &which.sqlstate,
            ],
        )
        .await
    }
}
