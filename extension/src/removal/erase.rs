//! `erase_message_data`: messages stay where they are, and say nothing any more.

use crate::account::Account;
use crate::error::Error;
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::parameter::bigint;
use crate::pg::rows::Rows;
use crate::pg::{transaction, uuid, wipe};
use crate::removal::delete::category;
use crate::shard;
use crate::subscription::removed;
use crate::tables::deletions;
use crate::tables::erasures::{self, Erased};
use crate::tables::joined::traces;
use crate::tables::messages::removal::{self, Meant};
use pgrx::pg_sys;

sql_functions! {
    erase_message_data(reason: Varchar, stream_name: Varchar, id: Varchar, metadata_path: Jsonpath, variables: Jsonb, category: Varchar) => erase_message_data,
    wipe_free_room() => wipe_free_room,
}

/// The number of the erasure, how many messages lost their data, and how many had before.
const ERASED: [pg_sys::Oid; 3] = [pg_sys::INT8OID, pg_sys::INT8OID, pg_sys::INT8OID];

fn erase_message_data(call: &Call<'_>) -> Result<Reply, Error> {
    let account = Account::of(call.text("reason"))?;
    let meant = meant(call)?;
    transaction::require_writable(c"erase_message_data()");
    let mut rows = Rows::begin(call, &ERASED);
    if transaction::has_one_snapshot() {
        return Err(Error::OneSnapshot("erase_message_data"));
    }
    // Nobody begins a copy from what is about to go.
    deletions::lock()?;
    let found = removal::meant(meant)?;
    if found.whole.is_empty() && found.erased == 0 {
        return Err(Error::NoMessage(description(meant)));
    }
    let positions = &found.whole;
    if !positions.is_empty() {
        removal::erase(positions)?;
        traces::erase(positions)?;
        removed::give_up_copies(positions)?;
    }
    let erasure = erasures::insert(&Erased { meant, positions }, &account)?;
    let count = i64::try_from(positions.len()).unwrap_or(i64::MAX);
    rows.push(|| [bigint(erasure), bigint(count), bigint(found.erased)]);
    Ok(rows.finish())
}

/// Which messages the arguments mean.
fn meant<'a>(call: &Call<'a>) -> Result<Meant<'a>, Error> {
    let (stream, id) = (call.text("stream_name"), call.text("id"));
    let path = call.value("metadata_path", Type::Jsonpath);
    let given = [stream.is_some(), id.is_some(), path.is_some()];
    if given.iter().filter(|is_given| **is_given).count() != 1 {
        return Err(Error::argument(
            "stream_name, id or metadata_path",
            "must be given, one of the three",
            "They choose whose data is erased.",
        ));
    }
    if path.is_none() && call.text("category").is_some() {
        return Err(Error::argument(
            "category",
            "goes with metadata_path only",
            "Leave it out.",
        ));
    }
    let variables = call.value("variables", Type::Jsonb);
    Ok(match (stream, id, path, variables) {
        (Some(name), _, _, _) => {
            shard::require_own(name.bytes())?;
            Meant::Stream(name.bytes())
        }
        (_, Some(id), _, _) => Meant::Id(uuid::parse(&id)),
        (_, _, Some(path), Some(variables)) if removal::is_comparison(path, variables)? => {
            return Err(Error::argument(
                "metadata_path",
                "must look for something: of a comparison every message has an answer",
                "Write $ ? (@.user == $user) instead of $.user == $user.",
            ));
        }
        (_, _, Some(path), Some(variables)) => Meant::Path {
            path,
            variables,
            category: match call.text("category") {
                Some(_) => Some(category(call)?.bytes()),
                None => None,
            },
        },
        _ => {
            return Err(Error::argument(
                "variables",
                "must not be NULL",
                "Pass an object, such as {\"user\": \"42\"} for a path with $user.",
            ));
        }
    })
}

fn description(meant: Meant<'_>) -> String {
    match meant {
        Meant::Stream(name) => format!("is in stream {}", String::from_utf8_lossy(name)),
        Meant::Id(_) => "has this id".to_owned(),
        Meant::Path { .. } => "has metadata in which the path finds something".to_owned(),
    }
}

fn wipe_free_room(_: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"wipe_free_room()");
    let pages = erasures::heaps_and_indexes()?
        .into_iter()
        .map(wipe::free_room);
    let wiped = pages.sum();
    erasures::note_wiped()?;
    Ok(Reply::bigint(Some(wiped)))
}
