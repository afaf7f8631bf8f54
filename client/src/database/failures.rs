//! What failed, over all subscriptions, and what failures have in common.

use serde::Deserialize;

use super::{
    Database, ParkedMessage,
    excerpt::NAME,
    parked::{self, FIRST_LINE},
};
use crate::error::{Error, Result};

/// Failed messages that are looked at for what they have in common.
pub const FAILURES_OF: i64 = 50_000;
/// Groups that are told of.
const GROUPS: i64 = 200;
/// Subscriptions that are told to have parked one message.
const SUBSCRIPTIONS: i64 = 50;

/// Parked messages of one subscription whose errors have the same SQLSTATE and the same first line.
#[derive(Clone, Debug, Deserialize)]
pub struct FailureGroup {
    /// The subscription.
    pub subscriber_id: String,
    /// By which an action finds them again.
    pub alike: i64,
    /// What they failed with; none where an application gave none.
    pub sqlstate: Option<String>,
    /// The first line of the error.
    pub error: String,
    /// Those that wait for a person.
    pub failed: i64,
    /// Those that are being handled again.
    pub retried: i64,
    /// When the first of them was parked.
    pub first_parked_at: String,
    /// When one of them last failed.
    pub last_failed_at: String,
    /// Failed messages that were looked at, of all groups.
    looked_at: i64,
}

impl Database {
    /// What the failed messages of all subscriptions, or of one, have in common: the largest groups
    /// first. True where there may be more than the
    /// [`FAILURES_OF`] that were looked at, or more groups than are told of.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn failure_groups(
        &self,
        subscriber_id: Option<&str>,
    ) -> Result<(Vec<FailureGroup>, bool)> {
        let alike = parked::alike();
        let sql = format!(
            "SELECT jsonb_build_object('subscriber_id', left(subscriber_id, {NAME}), 'alike', alike, \
               'sqlstate', sqlstate, 'error', error, 'failed', failed, 'retried', retried, \
               'first_parked_at', first_parked_at, 'last_failed_at', last_failed_at, \
               'looked_at', looked_at) \
             FROM (SELECT subscriber_id, alike, sqlstate, error, \
                     count(*) FILTER (WHERE can_retry) AS failed, \
                     count(*) FILTER (WHERE NOT can_retry) AS retried, \
                     min(parked_at) AS first_parked_at, \
                     max(coalesce(last_failed_at, parked_at)) AS last_failed_at, \
                     sum(count(*)) OVER () AS looked_at \
                   FROM (SELECT subscriber_id, {alike} AS alike, sqlstate, {FIRST_LINE} AS error, can_retry, \
                           parked_at, last_failed_at \
                         FROM message_store.parked_messages \
                         WHERE ($1::varchar IS NULL OR subscriber_id = $1) \
                           AND can_discard \
                         LIMIT {FAILURES_OF}) f \
                   GROUP BY 1, 2, 3, 4 ORDER BY failed DESC, 1, 2 LIMIT {GROUPS}) g"
        );
        let groups: Vec<FailureGroup> = self
            .records("sum up what failed", &sql, &[&subscriber_id])
            .await?;
        let is_partial = groups
            .first()
            .is_some_and(|one| one.looked_at >= FAILURES_OF)
            || i64::try_from(groups.len()).is_ok_and(|count| count >= GROUPS);
        Ok((groups, is_partial))
    }

    /// By whom the message at a global position is parked, or was discarded.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn parked_by(&self, global_position: i64) -> Result<Vec<ParkedMessage>> {
        let sql = format!(
            "SELECT {} FROM message_store.parked_messages WHERE global_position = $1 \
             ORDER BY subscriber_id LIMIT {SUBSCRIPTIONS}",
            parked::columns(),
        );
        let action = format!("look who parked the message at {global_position}");
        let client = self.client().await?;
        let rows = client.query(&sql, &[&global_position]).await;
        rows.and_then(|rows| rows.iter().map(ParkedMessage::from_row).collect())
            .map_err(Error::database(action))
    }
}
