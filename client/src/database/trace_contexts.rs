//! What messages say of the traces that they belong to.

use super::{Database, messages::InLog};
use crate::error::{Error, Result};

/// The most messages that are looked at after one tick.
const MOST_MESSAGES: i64 = 1000;
/// The most traces that one tick is linked to, as OpenTelemetry limits it.
const MOST_TRACES: i64 = 128;

/// The W3C trace context in a message's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: String,
    /// `tracestate`, where there is one.
    pub state: Option<String>,
}

/// The messages that a tick has read.
#[derive(Clone, Debug)]
pub struct ReadRange {
    /// What it reads: a category, a stream or `$all`.
    pub source: String,
    /// How many members share it.
    pub group_size: i64,
    /// The member of the group that read them, where it is known.
    pub member: Option<i64>,
    /// The last global position scanned.
    pub position: i64,
    /// How many messages of the source that were.
    pub scanned: i64,
    /// The types that have a handler; `None` where all have, or it is not known.
    pub types: Option<Vec<String>>,
}

impl Database {
    /// The different trace contexts in the metadata of the messages that a tick
    /// handled: the last thousand it read, at most 128 contexts. None where the
    /// member of a group is not known.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn trace_contexts(&self, range: &ReadRange) -> Result<Vec<TraceContext>> {
        // A member of an older size shares by another number.
        let is_known = range.member.is_some_and(|member| member >= 0);
        if range.group_size > 1 && !is_known {
            return Ok(Vec::new());
        }
        let member = range.member.filter(|_| range.group_size > 1);
        // A tick counts every message of its source that it passes, so those it
        // read are the last so many up to its position.
        let source = self.source(&range.source).await?;
        let InLog {
            at,
            condition,
            name,
        } = source.in_log();
        let sql = format!(
            "SELECT DISTINCT r.metadata ->> 'traceparent', r.metadata ->> 'tracestate' \
             FROM (SELECT m.metadata, m.type, m.stream_name FROM message_store.messages m \
                   WHERE {condition} AND m.global_position <= $2 \
                   ORDER BY m.{at} DESC LIMIT $3) r \
             WHERE r.metadata ->> 'traceparent' IS NOT NULL \
               AND ($4::text[] IS NULL OR r.type = ANY ($4)) \
               AND ($5::bigint IS NULL OR coalesce(mod(abs(message_store.hash_64( \
                     message_store.cardinal_id(r.stream_name))), $6::bigint), 0) = $5) \
             LIMIT $7"
        );
        let most = range.scanned.min(MOST_MESSAGES);
        let client = self.client().await?;
        let read = async {
            let rows = client
                .query_often(
                    &sql,
                    &[
                        &name,
                        &range.position,
                        &most,
                        &range.types,
                        &member,
                        &range.group_size,
                        &MOST_TRACES,
                    ],
                )
                .await?;
            rows.iter()
                .map(|row| {
                    Ok(TraceContext {
                        parent: row.try_get(0)?,
                        state: row.try_get(1)?,
                    })
                })
                .collect::<Result<Vec<_>, tokio_postgres::Error>>()
        };
        let action = "read the trace contexts of messages";
        read.await.map_err(Error::database(action))
    }
}
