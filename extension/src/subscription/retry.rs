//! `retry_parked`, `discard_parked`: what people do about messages that were put aside.

use super::definition::{Definition, as_owner_of_subscriptions, subscriber_id};
use super::history;
use super::member::Member;
use super::parked::Parked;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::pg::transaction;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8ARRAYOID, INT8OID, TEXTOID, VARCHAROID};

sql_functions! {
    retry_parked => retry_parked,
    discard_parked => discard_parked,
}

static RETRY: Statement = Statement::new(
    c"UPDATE message_store.parked SET status = 'retry', retry_at = NULL \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND status OPERATOR(pg_catalog.=) 'failed' \
         AND ($2 IS NULL OR global_position OPERATOR(pg_catalog.=) $2) \
         AND ($3 IS NULL OR stream_name OPERATOR(pg_catalog.=) $3::pg_catalog.text) \
         AND ($4 IS NULL OR sqlstate OPERATOR(pg_catalog.=) $4)",
    &[VARCHAROID, INT8OID, VARCHAROID, VARCHAROID],
);
static DISCARD: Statement = Statement::new(
    c"UPDATE message_store.parked SET status = 'discarded', holds_stream = false, reason = $5 \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND status OPERATOR(pg_catalog.=) ANY ('{failed,retry}') \
         AND ($2 IS NULL OR global_position OPERATOR(pg_catalog.=) $2) \
         AND ($3 IS NULL OR stream_name OPERATOR(pg_catalog.=) $3::pg_catalog.text) \
         AND ($4 IS NULL OR sqlstate OPERATOR(pg_catalog.=) $4)",
    &[VARCHAROID, INT8OID, VARCHAROID, VARCHAROID, TEXTOID],
);

static RETRY_FIRST: Statement = Statement::new(
    c"UPDATE message_store.parked SET status = 'retry' \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND status OPERATOR(pg_catalog.=) 'failed' \
         AND global_position OPERATOR(pg_catalog.=) ANY (ARRAY( \
               SELECT global_position FROM message_store.parked \
                WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
                  AND status OPERATOR(pg_catalog.=) 'failed' \
                  AND ($3 IS NULL OR global_position OPERATOR(pg_catalog.=) ANY ($3)) \
                ORDER BY global_position LIMIT $2))",
    &[VARCHAROID, INT8OID, INT8ARRAYOID],
);

/// Which parked messages are meant: position, stream, SQLSTATE, each where it is given.
type Selection = [Option<pg_sys::Datum>; 3];

fn selection(call: &Call<'_>, from: usize) -> Selection {
    [
        call.bigint(from).map(pg_sys::Datum::from),
        call.text(from + 1).map(|stream| stream.datum()),
        call.text(from + 2).map(|sqlstate| sqlstate.datum()),
    ]
}

fn retry_parked(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    transaction::require_writable(c"retry_parked()");
    let definition = Definition::load_own(&id)?;
    let [position, stream, sqlstate] = selection(call, 1);
    // The tick that is running may be putting messages aside.
    Member::lock_all(&id)?;
    let marked = {
        let _owner = as_owner_of_subscriptions()?;
        let id = Some(Text::copied(id.as_bytes()).datum());
        RETRY.run(&[id, position, stream, sqlstate], |_| {})
    };
    Parked::release(&id)?;
    if marked > 0 {
        let which = [
            ("of the stream", call.text(2)),
            ("with the SQLSTATE", call.text(3)),
        ];
        history::note(
            &definition,
            "retry",
            call.bigint(1),
            Some(&told(marked, which)),
        )?;
    }
    Ok(Reply::bigint(i64::try_from(marked).ok()))
}

/// How many messages, and which: what the history has of a retry.
fn told(count: u64, which: [(&str, Option<Text<'_>>); 2]) -> String {
    let mut told = match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    };
    for (what, value) in which {
        if let Some(value) = value {
            told.push_str(&format!(" {what} {}", value.to_str()));
        }
    }
    told
}

/// Marks the first failed parked messages to be handled again; `among`: an array of positions, of
/// which alone they are.
pub fn mark_first(id: &str, limit: i64, among: Option<pg_sys::Datum>) -> Result<(), Error> {
    let _owner = as_owner_of_subscriptions()?;
    let id = Some(Text::copied(id.as_bytes()).datum());
    RETRY_FIRST.run(&[id, Some(pg_sys::Datum::from(limit)), among], |_| {});
    Ok(())
}

fn discard_parked(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let reason = require_reason(call.text(1))?;
    transaction::require_writable(c"discard_parked()");
    let definition = Definition::load_own(&id)?;
    let [position, stream, sqlstate] = selection(call, 2);
    Member::lock_all(&id)?;
    let discarded = {
        let _owner = as_owner_of_subscriptions()?;
        let id = Some(Text::copied(id.as_bytes()).datum());
        let reason = Some(Text::copied(reason.as_bytes()).datum());
        DISCARD.run(&[id, position, stream, sqlstate, reason], |_| {})
    };
    Parked::release(&id)?;
    if discarded > 0 {
        history::note(&definition, "discard", call.bigint(2), Some(&reason))?;
    }
    Ok(Reply::bigint(i64::try_from(discarded).ok()))
}

/// The argument `reason`, which must say something.
pub fn require_reason(reason: Option<Text<'_>>) -> Result<String, Error> {
    let reason = reason.map(|reason| reason.to_str().trim().to_owned());
    reason.filter(|reason| !reason.is_empty()).ok_or_else(|| {
        Error::argument(
            "reason",
            "must not be empty",
            "Say why; it is kept in subscription_history.",
        )
    })
}
