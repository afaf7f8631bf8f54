//! `retain`, `apply_retention`: how long a category is kept.

use crate::account::Account;
use crate::error::Error;
use crate::horizon::{self, Scope};
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::parameter::{bigint, text};
use crate::pg::rows::Rows;
use crate::pg::subtransaction::attempt;
use crate::pg::transaction;
use crate::removal::batch::Batch;
use crate::removal::delete::{category, max_messages, oldest};
use crate::tables::deletions::{self, Of};
use crate::tables::retention::{self, Policy};
use pgrx::pg_sys;

sql_functions! {
    retain(category: Varchar, keep: Interval, reason: Varchar) => retain,
    apply_retention(max_messages: Bigint) => apply_retention,
}

fn retain(call: &Call<'_>) -> Result<Reply, Error> {
    let category = category(call)?;
    let account = Account::of(call.text("reason"))?;
    transaction::require_writable(c"retain()");
    match call.value("keep", Type::Interval) {
        None => retention::remove(category.bytes())?,
        Some(keep) if !retention::is_an_age(keep)? => {
            return Err(Error::argument(
                "keep",
                "must be more than 0 and less than 6000 years",
                "Pass an interval such as '90 days', or NULL to keep all.",
            ));
        }
        Some(keep) => retention::put(category.bytes(), keep, &account)?,
    }
    Ok(Reply::void())
}

/// Of whoever cancels, and of a limit of time.
const QUERY_CANCELED: &str = "57014";

/// Deletes what is too old of one category; how many messages, and who is in the way.
fn apply(policy: &Policy, up_to: i64, limit: i64) -> Result<(i64, Option<String>), Error> {
    let name = policy.category.as_bytes();
    let candidates = oldest(name, up_to, policy.keeps_from, limit)?;
    let of = Of {
        category: name,
        stream_name: None,
    };
    let mut batch = Batch::of(of, &candidates)?;
    let in_the_way = batch.leave_unhandled();
    let account = Account::because(policy.reason.clone());
    Ok((batch.delete(&account)?, in_the_way))
}

/// Category, messages deleted, who is in the way.
const APPLIED: [pg_sys::Oid; 3] = [pg_sys::VARCHAROID, pg_sys::INT8OID, pg_sys::VARCHAROID];

fn apply_retention(call: &Call<'_>) -> Result<Reply, Error> {
    let limit = max_messages(call)?;
    transaction::require_writable(c"apply_retention()");
    let mut rows = Rows::begin(call, &APPLIED);
    let policies = retention::all()?;
    if policies.is_empty() {
        return Ok(rows.finish());
    }
    let settled = horizon::settled(Scope::All, "apply_retention")?;
    if !deletions::lock_if_free()? {
        return Ok(rows.finish());
    }
    for policy in policies {
        // What keeps one category is no reason to keep the others.
        let (deleted, in_the_way) = match attempt(|| apply(&policy, settled.position, limit)) {
            Ok(applied) => applied,
            Err(failure) if failure.sqlstate == QUERY_CANCELED => return Err(failure.go_on()),
            Err(failure) => {
                let error = format!("SQLSTATE {}: {}", failure.sqlstate, failure.message);
                (0, Some(error))
            }
        };
        rows.push(|| {
            [
                text(&policy.category),
                bigint(deleted),
                in_the_way.as_deref().and_then(text),
            ]
        });
    }
    Ok(rows.finish())
}
