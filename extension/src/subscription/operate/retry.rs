//! `retry_parked`, `discard_parked`: what people do about messages that are parked.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::tables::parked::{self, Selection};

sql_functions! {
    retry_parked => retry_parked,
    discard_parked => discard_parked,
}

fn selection<'a>(call: &Call<'a>, from: usize) -> Selection<'a> {
    Selection {
        position: call.bigint(from),
        stream_name: call.text(from + 1).map(|stream| stream.bytes()),
        sqlstate: call.text(from + 2).map(|sqlstate| sqlstate.bytes()),
    }
}

fn retry_parked(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    transaction::require_writable(c"retry_parked()");
    let definition = Definition::load_own(&id)?;
    // The tick that is running may be parking messages.
    Member::lock_all(&id)?;
    let marked = parked::retry(&id, &selection(call, 1))?;
    parked::release(&id)?;
    if marked > 0 {
        let which = [
            ("of the stream", call.text(2)),
            ("with the SQLSTATE", call.text(3)),
        ];
        history::note(
            &definition,
            "retry",
            call.bigint(1),
            Some(&summary(marked, which)),
        )?;
    }
    Ok(Reply::bigint(i64::try_from(marked).ok()))
}

/// How many messages, and which: what the history has of a retry.
fn summary(count: u64, which: [(&str, Option<Text<'_>>); 2]) -> String {
    let mut summary = match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    };
    for (what, value) in which {
        if let Some(value) = value {
            summary.push_str(&format!(" {what} {}", value.to_str()));
        }
    }
    summary
}

fn discard_parked(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let reason = require_reason(call.text(1))?;
    transaction::require_writable(c"discard_parked()");
    let definition = Definition::load_own(&id)?;
    Member::lock_all(&id)?;
    let discarded = parked::discard(&id, &selection(call, 2), &reason)?;
    parked::release(&id)?;
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
