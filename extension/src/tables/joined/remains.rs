//! Where the data of an erasure may still be.

use crate::error::Error;
use crate::pg::parameter::bigint;
use crate::pg::spi::{Row, Statement, sql};
use crate::tables::erasures::statistics_may_hold_it;
use crate::tables::owner;
use pgrx::pg_sys::BuiltinOid::INT8OID;

/// Place, finding and repair, in the order in which they are to be done; `$1`: the erasure.
static REMAINS: Statement = Statement::new(
    sql!(
        "WITH e AS ( \
        SELECT * FROM message_store.erasures WHERE erasure OPERATOR(pg_catalog.=) $1 \
      ), vacuumed AS ( \
        SELECT GREATEST( \
          pg_catalog.pg_stat_get_last_vacuum_time('message_store.messages'::pg_catalog.regclass), \
          pg_catalog.pg_stat_get_last_autovacuum_time('message_store.messages'::pg_catalog.regclass) \
        ) AS at \
      ) \
      SELECT place, finding, repair FROM ( \
        SELECT 1, s.subscriber_id::pg_catalog.text, \
               pg_catalog.format('has handled %s of these messages: its read model, and what its handlers wrote, may hold what they said', \
                 pg_catalog.count(*)), \
               pg_catalog.format('SELECT message_store.rebuild(%L); or correct its tables by hand; then VACUUM (FULL, ANALYZE) them', s.subscriber_id) \
          FROM e, LATERAL pg_catalog.unnest(e.positions) g, message_store.messages m, \
               message_store.subscriptions s \
         WHERE m.global_position OPERATOR(pg_catalog.=) g \
           AND s.source OPERATOR(pg_catalog.=) ANY \
               (ARRAY['$all', message_store.category(m.stream_name::pg_catalog.varchar), m.stream_name]) \
           AND EXISTS (SELECT FROM message_store.subscription_progress p \
                        WHERE p.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id \
                          AND p.position OPERATOR(pg_catalog.>=) g) \
         GROUP BY s.subscriber_id \
        UNION ALL \
        SELECT 2, 'sessions', \
               'transactions that began before the erasure keep the rows from VACUUM', \
               pg_catalog.format('SELECT pg_terminate_backend(%s);', pg_catalog.string_agg(a.pid::pg_catalog.text, '), pg_terminate_backend(')) \
          FROM e, pg_catalog.pg_stat_activity a \
         WHERE a.backend_xmin IS NOT NULL AND a.xact_start OPERATOR(pg_catalog.<) e.erased_at \
           AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() \
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 \
        UNION ALL \
        SELECT 3, 'statistics', \
               'ANALYZE keeps values of columns, and what it replaces stays until VACUUM', \
               'ANALYZE message_store.messages, message_store.parked, message_store.subscription_progress, message_store.subscriptions, message_store.history; VACUUM pg_catalog.pg_statistic, pg_catalog.pg_statistic_ext_data;' \
          FROM e WHERE e.wiped_at IS NULL AND ",
        statistics_may_hold_it!(),
        " \
        UNION ALL \
        SELECT 4, pg_catalog.format('index %s', i.indexrelid::pg_catalog.regclass), \
               'is none of the store''s own, and may keep parts of keys', \
               pg_catalog.format('REINDEX INDEX CONCURRENTLY %s;', i.indexrelid::pg_catalog.regclass) \
          FROM e, pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
         WHERE i.indrelid OPERATOR(pg_catalog.=) 'message_store.messages'::pg_catalog.regclass \
           AND c.relname OPERATOR(pg_catalog.<>) ALL \
               ('{messages_pkey,messages_id,messages_stream,messages_category}') \
        UNION ALL \
        SELECT 5, 'the tables', 'dead rows hold the data until VACUUM has been there', \
               'VACUUM message_store.messages, message_store.parked, message_store.subscription_progress, message_store.subscriptions, message_store.history;' \
          FROM e, vacuumed v \
         WHERE v.at IS NULL OR v.at OPERATOR(pg_catalog.<=) e.erased_at \
        UNION ALL \
        SELECT 6, 'free room of pages', 'VACUUM does not write over what it frees', \
               'SELECT message_store.wipe_free_room(); after that VACUUM' \
          FROM e WHERE e.wiped_at IS NULL \
        UNION ALL \
        SELECT 7, 'slot ' OPERATOR(pg_catalog.||) r.slot_name, \
               'keeps write-ahead log from before the erasure', \
               'let its consumer come to the end, or SELECT pg_drop_replication_slot(...)' \
          FROM e, pg_catalog.pg_replication_slots r \
         WHERE r.restart_lsn OPERATOR(pg_catalog.<) e.wal_position \
        UNION ALL \
        SELECT 8, 'standby ' OPERATOR(pg_catalog.||) coalesce(w.application_name, ''), \
               'has not replayed the erasure', 'wait until it has' \
          FROM e, pg_catalog.pg_stat_replication w \
         WHERE w.replay_lsn IS NULL OR w.replay_lsn OPERATOR(pg_catalog.<) e.wal_position \
        UNION ALL \
        SELECT 9, 'write-ahead log', \
               pg_catalog.format('segments from before %s hold the data until checkpoints remove them; with wal_recycle they are kept under another name until they are written over', e.wal_position), \
               'ALTER SYSTEM SET wal_recycle = off; SELECT pg_reload_conf(); SELECT pg_switch_wal(); CHECKPOINT; again until pg_ls_waldir() has none of the files that it has after the first time' \
          FROM e \
        UNION ALL \
        SELECT 10, 'archive of the write-ahead log', \
               pg_catalog.format('segments from before %s hold the data', e.wal_position), \
               'take a base backup now, and let the archive forget what is older' \
          FROM e WHERE pg_catalog.current_setting('archive_mode') OPERATOR(pg_catalog.<>) 'off' \
        UNION ALL \
        SELECT 11, 'backups, dumps and exports', \
               pg_catalog.format('what was taken before %s holds the data', coalesce(e.wiped_at, e.erased_at)), \
               'let them run out and write down when; a restored one needs the same erasure again' \
          FROM e \
        UNION ALL \
        SELECT 12, 'logs', \
               'the log of the server, of poolers and of applications, and pg_stat_statements, may hold statements and errors with the data', \
               'look for them there' \
          FROM e \
      ) AS found (rank, place, finding, repair) \
      ORDER BY rank, place"
    ),
    &[INT8OID],
);

/// Hands out where data may still be: place, finding and repair.
pub fn of(erasure: i64, each: impl FnMut(&Row)) -> Result<(), Error> {
    let _owner = owner::of("erasures")?;
    REMAINS.run(&[bigint(erasure)], each);
    Ok(())
}
