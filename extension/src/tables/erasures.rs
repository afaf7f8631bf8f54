//! Whose data was erased.

use super::owner;
use crate::account::Account;
use crate::error::Error;
use crate::pg::parameter::{bigint, bigints, bytes, text};
use crate::pg::spi::{Statement, sql};
use crate::tables::messages::removal::Meant;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8ARRAYOID, INT8OID, JSONPATHOID, TEXTOID, UUIDOID};

static INSERT: Statement = Statement::new(
    c"INSERT INTO message_store.erasures \
        (stream_name, id, metadata_path, category, messages, positions, wal_position, role, actor, reason) \
      VALUES ($1, $2, $3::pg_catalog.text, $4, $5, $6, pg_catalog.pg_current_wal_insert_lsn(), \
              $7::pg_catalog.name, $8, $9) \
      RETURNING erasure",
    &[
        TEXTOID,
        UUIDOID,
        JSONPATHOID,
        TEXTOID,
        INT8OID,
        INT8ARRAYOID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
    ],
);
/// Whether statistics of columns may be from before the erasure `e`, or rows of them that ANALYZE has
/// replaced since.
macro_rules! statistics_may_hold_it {
    () => {
        "EXISTS (SELECT FROM pg_catalog.pg_stats t \
                  WHERE t.schemaname OPERATOR(pg_catalog.=) 'message_store' \
                    AND t.tablename OPERATOR(pg_catalog.=) ANY \
                        ('{messages,parked,subscription_progress,subscriptions,history}')) \
         AND (SELECT analyzed.at OPERATOR(pg_catalog.>) e.erased_at \
                 AND vacuumed.at OPERATOR(pg_catalog.>) analyzed.at \
                FROM (SELECT GREATEST( \
                        pg_catalog.pg_stat_get_last_analyze_time('message_store.messages'::pg_catalog.regclass), \
                        pg_catalog.pg_stat_get_last_autoanalyze_time('message_store.messages'::pg_catalog.regclass)) \
                     ) AS analyzed (at), \
                     (SELECT GREATEST( \
                        pg_catalog.pg_stat_get_last_vacuum_time('pg_catalog.pg_statistic'::pg_catalog.regclass), \
                        pg_catalog.pg_stat_get_last_autovacuum_time('pg_catalog.pg_statistic'::pg_catalog.regclass)) \
                     ) AS vacuumed (at)) IS NOT TRUE"
    };
}
pub(super) use statistics_may_hold_it;
/// What VACUUM has freed since is free of their bytes. Until then the write-ahead log has had pages with
/// them.
static NOTE_WIPED: Statement = Statement::new(
    sql!(
        "UPDATE message_store.erasures e \
            SET wiped_at = pg_catalog.clock_timestamp(), \
                wal_position = pg_catalog.pg_current_wal_insert_lsn() \
       WHERE e.wiped_at IS NULL AND e.erased_at OPERATOR(pg_catalog.<) GREATEST( \
               pg_catalog.pg_stat_get_last_vacuum_time('message_store.messages'::pg_catalog.regclass), \
               pg_catalog.pg_stat_get_last_autovacuum_time('message_store.messages'::pg_catalog.regclass)) AND NOT (",
        statistics_may_hold_it!(),
        ")"
    ),
    &[],
);
/// The tables that hold, or held, what a message says; with what belongs to them.
static HEAPS_AND_INDEXES: Statement = Statement::new(
    c"WITH tables AS ( \
        SELECT c.oid, c.reltoastrelid FROM pg_catalog.pg_class c \
         WHERE c.relnamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace \
           AND c.relkind OPERATOR(pg_catalog.=) 'r' \
           AND c.relname OPERATOR(pg_catalog.=) ANY \
               ('{messages,parked,subscription_progress,subscriptions,history}') \
           OR c.oid OPERATOR(pg_catalog.=) ANY (ARRAY[ \
               'pg_catalog.pg_statistic', 'pg_catalog.pg_statistic_ext_data']::pg_catalog.regclass[]) \
      ), heaps AS ( \
        SELECT oid FROM tables \
        UNION ALL SELECT reltoastrelid FROM tables WHERE reltoastrelid OPERATOR(pg_catalog.<>) 0 \
      ) \
      SELECT oid FROM heaps \
      UNION ALL \
      SELECT i.indexrelid FROM pg_catalog.pg_index i \
        JOIN heaps h ON h.oid OPERATOR(pg_catalog.=) i.indrelid \
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
        JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam \
       WHERE a.amname OPERATOR(pg_catalog.=) 'btree'",
    &[],
);
static EXISTS: Statement = Statement::new(
    c"SELECT true FROM message_store.erasures e WHERE e.erasure OPERATOR(pg_catalog.=) $1",
    &[INT8OID],
);
/// What was erased.
pub struct Erased<'a> {
    /// The messages that were meant.
    pub meant: Meant<'a>,
    /// The global positions of those that lost their data.
    pub positions: &'a [i64],
}

/// Keeps that messages lost their data; returns the number of the erasure.
pub fn insert(erased: &Erased<'_>, account: &Account) -> Result<i64, Error> {
    let _owner = owner::of("erasures")?;
    let (stream_name, id, path, category) = match erased.meant {
        Meant::Stream(name) => (bytes(name), None, None, None),
        Meant::Id(id) => (None, Some(id), None, None),
        Meant::Path { path, category, .. } => (None, None, Some(path), category.and_then(bytes)),
    };
    let count = i64::try_from(erased.positions.len()).unwrap_or(i64::MAX);
    let mut number = 0;
    let arguments = [
        stream_name,
        id,
        path,
        category,
        bigint(count),
        bigints(erased.positions),
        text(&account.role),
        account.actor.as_deref().and_then(text),
        text(&account.reason),
    ];
    INSERT.run(&arguments, |row| number = row.bigint(0).unwrap_or_default());
    Ok(number)
}

/// Whether there was an erasure of this number.
pub fn exists(erasure: i64) -> Result<bool, Error> {
    let _owner = owner::of("erasures")?;
    Ok(EXISTS.run(&[bigint(erasure)], |_| {}) > 0)
}

/// The tables that hold what messages say or said, with their indexes.
pub fn heaps_and_indexes() -> Result<Vec<pg_sys::Oid>, Error> {
    let _owner = owner::of("messages")?;
    let mut relations = Vec::new();
    HEAPS_AND_INDEXES.run(&[], |row| relations.extend(row.oid(0)));
    Ok(relations)
}

/// Keeps that the free room of pages was wiped, for erasures that VACUUM has come after.
pub fn note_wiped() -> Result<(), Error> {
    let _owner = owner::of("erasures")?;
    NOTE_WIPED.run(&[], |_| {});
    Ok(())
}
