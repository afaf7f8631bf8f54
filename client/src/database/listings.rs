//! What is told about subscriptions, as rows with every column they have.

use serde_json::Value;
use tokio_postgres::types::Json;

use super::Database;
use crate::error::Result;

impl Database {
    /// The rows of `subscription_status`, each with every column it has: all,
    /// or those of one subscription.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn subscription_status(&self, subscriber_id: Option<&str>) -> Result<Vec<Value>> {
        self.rows(
            "read the status of the subscriptions".to_owned(),
            "SELECT to_jsonb(s) FROM message_store.subscription_status s \
             WHERE $1::varchar IS NULL OR s.subscriber_id = $1 ORDER BY s.subscriber_id, s.member",
            &[&subscriber_id],
        )
        .await
    }

    /// The names of the subscriptions that this role may see, in order.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn subscriber_ids(&self) -> Result<Vec<String>> {
        let ids = self
            .answer(
                "list the subscriptions".to_owned(),
                "SELECT coalesce(array_agg(DISTINCT subscriber_id ORDER BY subscriber_id), '{}') \
                 FROM message_store.subscription_status",
                &[],
            )
            .await?;
        Ok(ids)
    }

    /// The newest `most` entries of `subscription_history`, the newest first.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn subscription_history(&self, subscriber_id: &str, most: i64) -> Result<Vec<Value>> {
        self.rows(
            format!("read the history of the subscription {subscriber_id}"),
            "SELECT to_jsonb(h) FROM message_store.subscription_history h \
             WHERE h.subscriber_id = $1 ORDER BY h.at DESC LIMIT $2",
            &[&subscriber_id, &most],
        )
        .await
    }

    /// What a replay into a scratch copy finds different in the read model; `all_columns`: also in
    /// columns that the database fills by itself.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn verify(&self, subscriber_id: &str, all_columns: bool) -> Result<Vec<Value>> {
        self.rows(
            format!("verify the subscription {subscriber_id}"),
            "SELECT to_jsonb(v) FROM message_store.verify($1, $2) v",
            &[&subscriber_id, &all_columns],
        )
        .await
    }

    /// What handlers would change, tried and rolled back: by the next messages or the first parked
    /// ones, or by parked ones at these positions; and which of these would fail
    /// ([`Trial::of`](super::Trial::of)).
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn dry_run(
        &self,
        subscriber_id: &str,
        handlers: Option<&Value>,
        count: i64,
        parked: bool,
        global_positions: Option<&[i64]>,
    ) -> Result<Vec<Value>> {
        let rows = self
            .answer_to_people(
                format!("try the subscription {subscriber_id}"),
                "SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]')
             FROM message_store.dry_run($1, $2, $3, $4, $5, past_failures => true) d",
                &[
                    &subscriber_id,
                    &handlers.map(Json),
                    &count,
                    &parked,
                    &global_positions,
                ],
            )
            .await?;
        Ok(match rows {
            Value::Array(rows) => rows,
            _ => Vec::new(),
        })
    }

    /// The row of `parked_messages` of one message, where it is parked.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn parked_message(
        &self,
        subscriber_id: &str,
        global_position: i64,
    ) -> Result<Option<Value>> {
        let mut rows = self
            .rows(
                format!("look at a parked message of {subscriber_id}"),
                "SELECT to_jsonb(p) FROM message_store.parked_messages p \
                 WHERE p.subscriber_id = $1 AND p.global_position = $2",
                &[&subscriber_id, &global_position],
            )
            .await?;
        Ok(rows.pop())
    }

    /// The rows of `parked_messages`, all or those of one subscription, each with the beginning of its
    /// error's first line and without the details.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn parked_messages(&self, subscriber_id: Option<&str>) -> Result<Vec<Value>> {
        self.rows(
            "list the parked messages".to_owned(),
            "SELECT to_jsonb(p) - 'error_details' || jsonb_build_object( \
               'error', left(split_part(p.error, E'\\n', 1), 200)) \
             FROM message_store.parked_messages p \
             WHERE $1::varchar IS NULL OR p.subscriber_id = $1 \
             ORDER BY p.subscriber_id, p.global_position",
            &[&subscriber_id],
        )
        .await
    }
}
