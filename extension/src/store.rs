//! `create_store`: the tables, indexes and views are the user's own, made once, never replaced.
//!
//! The extension owns code (functions and types) and no data. So pg_dump carries the store whole
//! with whatever a user added to it, DROP EXTENSION cannot take a message along, and an update
//! of the library leaves the tables alone.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::encoding;
use crate::pg::extension_version;
use crate::pg::identity;
use crate::pg::relation;
use crate::pg::spi;
use crate::tables::SCHEMA;
use std::ffi::{CStr, CString};

sql_functions! {
    create_store() => create_store,
}

/// What makes up a store, in the order it is made: the relation, and the SQL that makes it with
/// its comments and grants.
const STORE: &[(&CStr, &str)] = &[
    (c"messages", include_str!("../../sql/tables/messages.sql")),
    (
        c"messages_id",
        include_str!("../../sql/indexes/messages_id.sql"),
    ),
    (
        c"messages_stream",
        include_str!("../../sql/indexes/messages_stream.sql"),
    ),
    (
        c"messages_category",
        include_str!("../../sql/indexes/messages_category.sql"),
    ),
    (
        c"category_type_summary",
        include_str!("../../sql/views/category_type_summary.sql"),
    ),
    (
        c"stream_summary",
        include_str!("../../sql/views/stream_summary.sql"),
    ),
    (
        c"stream_type_summary",
        include_str!("../../sql/views/stream_type_summary.sql"),
    ),
    (
        c"type_category_summary",
        include_str!("../../sql/views/type_category_summary.sql"),
    ),
    (
        c"type_stream_summary",
        include_str!("../../sql/views/type_stream_summary.sql"),
    ),
    (
        c"type_summary",
        include_str!("../../sql/views/type_summary.sql"),
    ),
    (
        c"read_model_pages",
        include_str!("../../sql/tables/read_model_pages.sql"),
    ),
    (
        c"subscriptions",
        include_str!("../../sql/tables/subscriptions.sql"),
    ),
    (
        c"subscription_progress",
        include_str!("../../sql/tables/subscription_progress.sql"),
    ),
    (c"parked", include_str!("../../sql/tables/parked.sql")),
    (c"history", include_str!("../../sql/tables/history.sql")),
    (c"deletions", include_str!("../../sql/tables/deletions.sql")),
    (
        c"tombstones",
        include_str!("../../sql/tables/tombstones.sql"),
    ),
    (c"retention", include_str!("../../sql/tables/retention.sql")),
    (c"erasures", include_str!("../../sql/tables/erasures.sql")),
    (
        c"server_seq",
        include_str!("../../sql/sequences/server_seq.sql"),
    ),
    (c"epochs", include_str!("../../sql/tables/epochs.sql")),
    (c"horizons", include_str!("../../sql/tables/horizons.sql")),
    (c"shard", include_str!("../../sql/tables/shard.sql")),
    (
        c"shard_progress",
        include_str!("../../sql/tables/shard_progress.sql"),
    ),
    (
        c"parked_messages",
        include_str!("../../sql/views/parked_messages.sql"),
    ),
    (
        c"subscription_history",
        include_str!("../../sql/views/subscription_history.sql"),
    ),
    (
        c"subscription_status",
        include_str!("../../sql/views/subscription_status.sql"),
    ),
    (
        c"shard_status",
        include_str!("../../sql/views/shard_status.sql"),
    ),
];

/// Tables that have grown, the column that is new in them, and what adds it.
const ADDED: &[(&CStr, &CStr, &str)] = &[
    (
        c"parked",
        c"error_details",
        include_str!("../../sql/store_upgrades/parked.error_details.sql"),
    ),
    (
        c"subscription_progress",
        c"last_error_details",
        include_str!("../../sql/store_upgrades/subscription_progress.last_error_details.sql"),
    ),
];

/// Views that have grown, and the last of their columns: where it is missing, the view is made anew.
const GROWN: &[(&CStr, &CStr)] = &[
    (c"parked_messages", c"can_discard"),
    (c"subscription_status", c"search_path"),
];

/// Brings a store that 0.1 made up to date.
const FROM_0_1: &str = include_str!("../../sql/store_upgrades/from_0.1.sql");

/// Makes what is missing, with the caller's rights; leaves alone what is there, but for the tables
/// of subscriptions of an older version.
fn create_store(_: &Call<'_>) -> Result<Reply, Error> {
    require_extension_of_library()?;
    require_utf8()?;
    if relation::has_column(SCHEMA, c"subscriptions", c"category") {
        require_own_store()?;
        run(FROM_0_1);
    }
    for (table, column, sql) in ADDED {
        if relation::oid(SCHEMA, table).is_some() && !relation::has_column(SCHEMA, table, column) {
            require_own_store()?;
            run(sql);
        }
    }
    let is_missing = |(name, _): &&(&CStr, &str)| {
        let has_grown = |(view, column): &(&CStr, &CStr)| {
            view == name && !relation::has_column(SCHEMA, view, column)
        };
        relation::oid(SCHEMA, name).is_none() || GROWN.iter().any(has_grown)
    };
    let missing: Vec<_> = STORE.iter().filter(is_missing).collect();
    if !missing.is_empty() {
        require_own_store()?;
    }
    for (_, sql) in missing {
        run(sql);
    }
    Ok(Reply::void())
}

/// Runs a file of SQL.
fn run(sql: &str) {
    // The files contain no NUL.
    let sql = CString::new(sql).unwrap_or_default();
    spi::run_text(&sql, &[], |_| {});
}

/// 0A000 in a database of another encoding, in which names that differ would count as equal.
pub fn require_utf8() -> Result<(), Error> {
    match encoding::is_utf8() {
        true => Ok(()),
        false => Err(Error::Encoding(encoding::name())),
    }
}

/// 55000 where a part of a store is there and belongs to a role that is neither the caller nor a
/// superuser: it may be a trap, such as a table with a trigger, and is not taken as ours.
fn require_own_store() -> Result<(), Error> {
    for (name, _) in STORE {
        if let Some(owner) = relation::oid(SCHEMA, name).and_then(relation::owner)
            && owner != identity::current_role()
            && !identity::is_superuser(owner)
        {
            let name = name.to_string_lossy();
            let owner = identity::role_name(owner);
            return Err(Error::StoreChanged(
                format!("message_store.{name} is there already and belongs to role \"{owner}\""),
                format!(
                    "Where that role made the store, call create_store() as it (SET ROLE \"{owner}\"); \
                     otherwise drop what it made."
                ),
            ));
        }
    }
    Ok(())
}

/// 55000 where the library was replaced and the extension not yet, or the other way round: the views
/// need its functions.
fn require_extension_of_library() -> Result<(), Error> {
    let library = extension_version::LIBRARY;
    match extension_version::installed() {
        Some(extension) if extension != library => Err(Error::StoreChanged(
            format!("the extension is of version {extension}, its library of {library}"),
            extension_version::repair(&extension),
        )),
        _ => Ok(()),
    }
}
