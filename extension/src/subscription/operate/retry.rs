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
    retry_parked(subscriber_id: Varchar, global_position: Bigint, stream_name: Varchar, sqlstate: Varchar) => retry_parked,
    discard_parked(subscriber_id: Varchar, reason: Varchar, global_position: Bigint, stream_name: Varchar, sqlstate: Varchar) => discard_parked,
}

fn selection<'a>(call: &Call<'a>) -> Selection<'a> {
    Selection {
        position: call.bigint("global_position"),
        stream_name: call.text("stream_name").map(|stream| stream.bytes()),
        sqlstate: call.text("sqlstate").map(|sqlstate| sqlstate.bytes()),
    }
}

fn retry_parked(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    transaction::require_writable(c"retry_parked()");
    let definition = Definition::load_own(&id)?;
    // The tick that is running may be parking messages.
    Member::lock_all(&id)?;
    let marked = parked::retry(&id, &selection(call))?;
    parked::release(&id)?;
    if marked > 0 {
        let which = [
            ("of the stream", call.text("stream_name")),
            ("with the SQLSTATE", call.text("sqlstate")),
        ];
        history::note(
            &definition,
            "retry",
            call.bigint("global_position"),
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
    let id = subscriber_id(call)?;
    let reason = require_reason(call.text("reason"))?;
    transaction::require_writable(c"discard_parked()");
    let definition = Definition::load_own(&id)?;
    Member::lock_all(&id)?;
    let discarded = parked::discard(&id, &selection(call), &reason)?;
    parked::release(&id)?;
    if discarded > 0 {
        history::note(
            &definition,
            "discard",
            call.bigint("global_position"),
            Some(&reason),
        )?;
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
