//! Messages that subscriptions have still to handle, or have parked.

use crate::error::Error;
use crate::pg::parameter::{bigints, bytes};
use crate::pg::spi::{Row, Statement};
use crate::tables::deletions::Of;
use crate::tables::owner;
use pgrx::pg_sys::BuiltinOid::{INT8ARRAYOID, TEXTOID};

/// `$1`: the category, `$2`: the stream where only one is meant, `$3`: the global positions.
static AHEAD: Statement = Statement::new(
    c"SELECT s.subscriber_id, pg_catalog.min(p.position) \
        FROM message_store.subscriptions s \
        JOIN message_store.subscription_progress p \
          ON p.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id \
       WHERE s.source OPERATOR(pg_catalog.=) ANY (ARRAY['$all', $1, $2]) \
       GROUP BY s.subscriber_id \
      HAVING pg_catalog.min(p.position) OPERATOR(pg_catalog.<) \
             (SELECT pg_catalog.max(g) FROM pg_catalog.unnest($3) g) \
       ORDER BY s.subscriber_id",
    &[TEXTOID, TEXTOID, INT8ARRAYOID],
);
/// Whoever reads a stream of a category that is meant needs only what is of that stream, and stays where
/// its last message was. `$1`: the category, `$2`: the global positions.
static AHEAD_IN_STREAMS: Statement = Statement::new(
    c"SELECT s.subscriber_id, pg_catalog.min(m.global_position) \
        FROM message_store.subscriptions s \
        JOIN (SELECT p.subscriber_id, pg_catalog.min(p.position) AS position \
                FROM message_store.subscription_progress p GROUP BY p.subscriber_id) p \
          ON p.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id \
        JOIN message_store.messages m \
          ON m.stream_name OPERATOR(pg_catalog.=) s.source \
         AND m.global_position OPERATOR(pg_catalog.=) ANY ($2) \
         AND m.global_position OPERATOR(pg_catalog.>) p.position \
       WHERE message_store.category(s.source) OPERATOR(pg_catalog.=) $1 \
         AND s.source OPERATOR(pg_catalog.<>) $1 \
       GROUP BY s.subscriber_id ORDER BY s.subscriber_id",
    &[TEXTOID, INT8ARRAYOID],
);
static PARKED: Statement = Statement::new(
    c"SELECT k.subscriber_id, pg_catalog.min(k.global_position) FROM message_store.parked k \
       WHERE k.global_position OPERATOR(pg_catalog.=) ANY ($1) \
         AND k.status OPERATOR(pg_catalog.<>) 'discarded' \
       GROUP BY k.subscriber_id ORDER BY k.subscriber_id",
    &[INT8ARRAYOID],
);

/// What a subscription needs of messages that are meant to go.
pub struct Unhandled {
    /// The subscription.
    pub subscriber_id: String,
    /// The first of them that it needs.
    pub first: i64,
    /// Whether it has parked it; else it has still to come to it.
    pub is_parked: bool,
}

/// Which subscriptions need some of these messages, whose global positions rise.
pub fn of(of: Of<'_>, global_positions: &[i64]) -> Result<Vec<Unhandled>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut unhandled = Vec::new();
    let arguments = [
        bytes(of.category),
        of.stream_name.and_then(bytes),
        bigints(global_positions),
    ];
    AHEAD.run(&arguments, |row| {
        let position = row.bigint(1).unwrap_or(0);
        let place = global_positions.partition_point(|candidate| *candidate <= position);
        if let (Some(subscriber_id), Some(first)) = (row.text(0), global_positions.get(place)) {
            unhandled.push(Unhandled {
                subscriber_id,
                first: *first,
                is_parked: false,
            });
        }
    });
    let mut add = |row: &Row, is_parked| {
        if let (Some(subscriber_id), Some(first)) = (row.text(0), row.bigint(1)) {
            unhandled.push(Unhandled {
                subscriber_id,
                first,
                is_parked,
            });
        }
    };
    if of.stream_name.is_none() {
        let arguments = [bytes(of.category), bigints(global_positions)];
        AHEAD_IN_STREAMS.run(&arguments, |row| add(row, false));
    }
    PARKED.run(&[bigints(global_positions)], |row| add(row, true));
    Ok(unhandled)
}
