//! `delete_stream`, `delete_category_before`: by hand, at most so many messages in a call.

use crate::account::Account;
use crate::error::Error;
use crate::horizon::{self, Scope};
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::removal::batch::Batch;
use crate::shard;
use crate::stream_name;
use crate::subscription::removed;
use crate::tables::deletions::{self, Of};
use crate::tables::messages::removal::{self, Candidate};
use crate::tables::tombstones;

sql_functions! {
    delete_stream(stream_name: Varchar, reason: Varchar, before: Bigint, restart: Boolean, may_skip: Boolean, max_messages: Bigint) => delete_stream,
    delete_category_before(category: Varchar, reason: Varchar, before_position: Bigint, before_time: Timestamptz, may_skip: Boolean, max_messages: Bigint) => delete_category_before,
    deleted_up_to(source: Varchar) => deleted_up_to,
}

/// The most messages that one call deletes: it holds their positions in memory, and others off.
const MOST_MESSAGES: i64 = 1_000_000;

/// The argument `max_messages`.
pub fn max_messages(call: &Call<'_>) -> Result<i64, Error> {
    let given = call.bigint("max_messages");
    given
        .filter(|most| (1..=MOST_MESSAGES).contains(most))
        .ok_or_else(|| {
            Error::argument(
                "max_messages",
                format!("must be from 1 to {MOST_MESSAGES}"),
                "Call the function again while it deletes as many.",
            )
        })
}

/// The argument `category`.
pub fn category<'a>(call: &Call<'a>) -> Result<Text<'a>, Error> {
    let repair = "Pass the part of a stream's name before its first dash.";
    let category = call
        .text("category")
        .ok_or_else(|| Error::argument("category", "must not be NULL", repair))?;
    if category.bytes().is_empty() || !stream_name::is_category(category.bytes()) {
        let problem = format!("must be a category: {}", category.to_str());
        return Err(Error::argument("category", problem, repair));
    }
    Ok(category)
}

fn delete_stream(call: &Call<'_>) -> Result<Reply, Error> {
    let repair = "Pass the name of one stream.";
    let name = call
        .text("stream_name")
        .ok_or_else(|| Error::argument("stream_name", "must not be NULL", repair))?;
    let account = Account::of(call.text("reason"))?;
    let before = call.bigint("before");
    if before.is_some_and(|before| before < 0) {
        return Err(Error::argument(
            "before",
            "must be 0 or more",
            "It is a position in the stream; leave it out to delete the whole stream.",
        ));
    }
    let restarts = call.boolean("restart").unwrap_or(false);
    if restarts && before.is_some() {
        return Err(Error::argument(
            "restart",
            "goes with a whole stream only",
            "Leave out before.",
        ));
    }
    let limit = max_messages(call)?;
    transaction::require_writable(c"delete_stream()");
    if transaction::has_one_snapshot() {
        return Err(Error::OneSnapshot("delete_stream"));
    }
    deletions::lock()?;
    let name = name.bytes();
    shard::require_own(name)?;
    let candidates = removal::of_stream(name, before.unwrap_or(i64::MAX), limit)?;
    let of = Of {
        category: stream_name::category(name),
        stream_name: Some(name),
    };
    let deleted = delete(call, of, &candidates, &account)?;
    if restarts && deleted < limit {
        let up_to = deletions::up_to(Some(of.category), of.stream_name, None)?;
        // It went with its category, which nobody can tell from the stream once it begins again.
        if tombstones::remove(name)? && deleted == 0 {
            deletions::note(of, up_to, 0, &account)?;
        }
    }
    Ok(Reply::bigint(Some(deleted)))
}

fn delete_category_before(call: &Call<'_>) -> Result<Reply, Error> {
    let category = category(call)?;
    let account = Account::of(call.text("reason"))?;
    let position = call.bigint("before_position");
    let time = call.value("before_time", Type::Timestamptz);
    if position.is_some() == time.is_some() {
        return Err(Error::argument(
            "before_position or before_time",
            "must be given, one of both",
            "before_position => 1000 keeps what is from there on; before_time => '2026-01-01' what was written from then on.",
        ));
    }
    if position.is_some_and(|position| position < 1) {
        return Err(Error::argument(
            "before_position",
            "must be 1 or more",
            "It is a global position.",
        ));
    }
    let limit = max_messages(call)?;
    transaction::require_writable(c"delete_category_before()");
    let settled = horizon::settled(Scope::Category(category.bytes()), "delete_category_before")?;
    deletions::lock()?;
    let before = position.unwrap_or(i64::MAX);
    let up_to = settled.position.min(before - 1);
    // A timestamptz is microseconds since 2000-01-01 00:00 UTC.
    let written_before = time.map_or(i64::MAX, |time| time.value() as i64);
    let candidates = oldest(category.bytes(), up_to, written_before, limit)?;
    let of = Of {
        category: category.bytes(),
        stream_name: None,
    };
    Ok(Reply::bigint(Some(delete(
        call,
        of,
        &candidates,
        &account,
    )?)))
}

/// The oldest messages of a category, up to the first that was not written before a time.
pub fn oldest(
    category: &[u8],
    up_to: i64,
    written_before: i64,
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    // What was deleted before need not be looked at again: its index entries may be there still.
    let after = deletions::whole_up_to(category)?;
    let mut oldest = removal::of_category(category, (after, up_to), limit)?;
    let kept = oldest
        .iter()
        .position(|message| message.time >= written_before);
    oldest.truncate(kept.unwrap_or(oldest.len()));
    Ok(oldest)
}

fn delete(
    call: &Call<'_>,
    of: Of<'_>,
    candidates: &[Candidate],
    account: &Account,
) -> Result<i64, Error> {
    let batch = Batch::of(of, candidates)?;
    match call.boolean("may_skip") {
        Some(true) => batch.skip(&account.reason)?,
        _ => batch.require_handled()?,
    }
    batch.delete(account)
}

fn deleted_up_to(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(source) = call.text("source") else {
        return Ok(Reply::null());
    };
    let deleted = removed::deleted_up_to(source.bytes())?;
    Ok(Reply::bigint(Some(deleted)))
}
