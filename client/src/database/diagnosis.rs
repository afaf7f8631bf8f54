//! What `doctor` asks a database about itself. Everything is answered from the catalogs, or by one
//! look at the end of an index: nothing here grows with the log.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Database;
use crate::error::{Error, Result};

/// What is installed, and in which server.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Installed {
    /// The version of the extension's SQL; none where it is not created.
    pub extension: Option<String>,
    /// The version that `CREATE EXTENSION` would take: that of the files beside the library.
    pub files: Option<String>,
    /// True where the tables are there.
    pub has_store: bool,
    /// The role that asks, as SQL names it.
    pub role: String,
    /// True where the role may name what is in the schema.
    pub may_use_schema: bool,
    /// True on a standby.
    pub is_standby: bool,
}

/// Something on `messages` that the functions refuse.
#[derive(Clone, Debug, Deserialize)]
pub struct NotHeeded {
    /// What it is.
    pub what: String,
    /// The statement that takes it away.
    pub repair: String,
}

/// A setting of one role or database that differs from the server's.
#[derive(Clone, Debug, Deserialize)]
pub struct Override {
    /// For whom: a role, a database, or both.
    pub of: String,
    /// `name=value`.
    pub setting: String,
}

/// How the sequence of global positions hands them out.
#[derive(Clone, Debug, Deserialize)]
pub struct PositionSequence {
    /// Positions a session takes at a time.
    pub cache_size: i64,
    /// From one position to the next.
    pub increment_by: i64,
    /// Whether it begins again at its end.
    pub cycle: bool,
    /// The highest position in the log.
    pub highest: i64,
}

/// A transaction that keeps messages from readers.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Blocker {
    /// Its session; none for a prepared transaction.
    pub pid: Option<i32>,
    /// The name of a prepared transaction, where it is one.
    pub prepared: Option<String>,
    /// The position behind which it holds back.
    pub holds_back_after: i64,
    /// How long it has been open, where this role may see that.
    pub seconds: Option<f64>,
}

/// A collation whose order may have changed under an index.
#[derive(Clone, Debug, Deserialize)]
pub struct ChangedCollation {
    /// The index.
    pub index: String,
    /// The collation, or `default` for that of the database.
    pub collation: String,
    /// The version the index was built with.
    pub recorded: String,
    /// The version of now.
    pub actual: String,
}

/// How full the server is, and what stands still in it.
#[derive(Clone, Debug, Deserialize)]
pub struct Capacity {
    /// Connections that an ordinary role can have.
    pub connections: i64,
    /// Those that are taken.
    pub taken: i64,
    /// Sessions that stand in an open transaction for more than a minute, as far as this role sees.
    pub idle_in_transaction: Vec<i32>,
    /// Prepared transactions that are older than a minute.
    pub prepared: Vec<String>,
    /// Tables of the store that a crash empties.
    pub unlogged: Vec<String>,
    /// Tables of the store that autovacuum leaves alone.
    pub without_autovacuum: Vec<String>,
}

impl Database {
    /// What is installed.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`]; so for all that follow.
    pub async fn installed(&self) -> Result<Installed> {
        self.fact(
            "look for the extension",
            "SELECT jsonb_build_object(
               'extension', (SELECT extversion FROM pg_extension WHERE extname = 'message_store'),
               'files', (SELECT default_version FROM pg_available_extensions
                         WHERE name = 'message_store'),
               'has_store', EXISTS (SELECT FROM pg_class c JOIN pg_namespace n
                 ON n.oid = c.relnamespace
                 WHERE n.nspname = 'message_store' AND c.relname = 'messages'),
               'role', quote_ident(current_user),
               'may_use_schema', EXISTS (SELECT FROM pg_namespace
                 WHERE nspname = 'message_store' AND has_schema_privilege(oid, 'USAGE')),
               'is_standby', pg_is_in_recovery())",
            &[],
        )
        .await
    }

    /// What is on `messages` that the functions refuse: each with the statement that takes it away.
    pub async fn not_heeded(&self) -> Result<Vec<NotHeeded>> {
        self.records(
            "look at the table of messages",
            "SELECT jsonb_build_object('what', what, 'repair', repair) FROM (
               SELECT 'row-level security',
                 'ALTER TABLE message_store.messages DISABLE ROW LEVEL SECURITY;'
               FROM pg_class c
               WHERE c.oid = to_regclass('message_store.messages') AND c.relrowsecurity
               UNION ALL
               SELECT format('the rule %I', r.rulename),
                 format('DROP RULE %I ON message_store.messages;', r.rulename)
               FROM pg_rewrite r WHERE r.ev_class = to_regclass('message_store.messages')
               UNION ALL
               SELECT format('the table %s that inherits from it', i.inhrelid::regclass),
                 format('ALTER TABLE %s NO INHERIT message_store.messages;', i.inhrelid::regclass)
               FROM pg_inherits i WHERE i.inhparent = to_regclass('message_store.messages')
             ) found (what, repair)",
            &[],
        )
        .await
    }

    /// Settings as sessions of this role begin with them, by name.
    pub async fn settings(&self, names: &[&str]) -> Result<HashMap<String, String>> {
        let client = self.client().await?;
        let sql = "SELECT name, reset_val FROM pg_settings WHERE name = ANY ($1)";
        let rows = client.query(sql, &[&names]).await;
        let settings = rows.and_then(|rows| {
            let rows = rows.iter();
            rows.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect()
        });
        settings.map_err(Error::database("read the server's settings"))
    }

    /// Where roles or databases have settings of their own, of these names.
    pub async fn overrides(&self, names: &[&str]) -> Result<Vec<Override>> {
        self.records(
            "read the settings of roles",
            "SELECT jsonb_build_object(
               'of', concat_ws(', ', 'role ' || r.rolname, 'database ' || d.datname),
               'setting', setting)
             FROM pg_db_role_setting s
             LEFT JOIN pg_roles r ON r.oid = s.setrole
             LEFT JOIN pg_database d ON d.oid = s.setdatabase
             CROSS JOIN unnest(s.setconfig) AS setting
             WHERE split_part(setting, '=', 1) = ANY ($1)
               AND (s.setdatabase = 0 OR d.datname = current_database())",
            &[&names],
        )
        .await
    }

    /// How positions are handed out.
    pub async fn position_sequence(&self) -> Result<PositionSequence> {
        self.fact(
            "look at the sequence of positions",
            "SELECT jsonb_build_object('cache_size', s.seqcache, 'increment_by', s.seqincrement,
               'cycle', s.seqcycle, 'highest', coalesce(
                 (SELECT max(global_position) FROM message_store.messages), 0))
             FROM pg_sequence s
             WHERE s.seqrelid = 'message_store.messages_global_position_seq'::regclass",
            &[],
        )
        .await
    }

    /// The server's clock, in seconds since 1970.
    pub async fn clock(&self) -> Result<f64> {
        self.answer(
            "read the server's clock".to_owned(),
            "SELECT extract(epoch FROM clock_timestamp())::float8",
            &[],
        )
        .await
    }

    /// What keeps readers waiting, and for how long.
    pub async fn blockers(&self) -> Result<Vec<Blocker>> {
        self.records(
            "look for transactions that hold readers back",
            "SELECT jsonb_build_object('pid', b.pid, 'holds_back_after', b.holds_back_after,
               'prepared', p.gid,
               'seconds', extract(epoch FROM clock_timestamp()
                 - coalesce(p.prepared, a.xact_start)))
             FROM message_store.horizon_blockers() b
             LEFT JOIN pg_stat_activity a ON a.pid = b.pid
             LEFT JOIN LATERAL (
               SELECT min(gid) AS gid, min(prepared) AS prepared FROM pg_prepared_xacts
               WHERE database = current_database() AND b.is_prepared) p ON true
             WHERE b.pid IS DISTINCT FROM pg_backend_pid()",
            &[],
        )
        .await
    }

    /// Indexes of the store whose text may be sorted otherwise today.
    pub async fn changed_collations(&self) -> Result<Vec<ChangedCollation>> {
        self.records(
            "look at the collations of the store's indexes",
            "SELECT jsonb_build_object('index', i.indexrelid::regclass::text, 'collation', c.name,
               'recorded', c.recorded, 'actual', c.actual)
             FROM pg_index i
             JOIN pg_class t ON t.oid = i.indrelid
               AND t.relnamespace = 'message_store'::regnamespace
             CROSS JOIN LATERAL (
               SELECT DISTINCT c.oid FROM unnest(i.indcollation::oid[]) AS c (oid)) used
             CROSS JOIN LATERAL (
               SELECT k.oid::regcollation::text AS name, k.collversion AS recorded,
                      pg_collation_actual_version(k.oid) AS actual
               FROM pg_collation k WHERE k.oid = used.oid AND k.collprovider <> 'd'
               UNION ALL
               SELECT 'default', d.datcollversion, pg_database_collation_actual_version(d.oid)
               FROM pg_collation k JOIN pg_database d ON d.datname = current_database()
               WHERE k.oid = used.oid AND k.collprovider = 'd') c
             WHERE c.recorded <> c.actual",
            &[],
        )
        .await
    }

    /// How full the server is, and what stands still in it.
    pub async fn capacity(&self) -> Result<Capacity> {
        self.fact(
            "look at the server's connections",
            "SELECT jsonb_build_object(
               'connections', current_setting('max_connections')::bigint
                 - current_setting('superuser_reserved_connections')::bigint,
               'taken', (SELECT count(*) FROM pg_stat_activity
                         WHERE backend_type = 'client backend' OR backend_type IS NULL),
               'idle_in_transaction', (
                 SELECT coalesce(jsonb_agg(pid), '[]') FROM pg_stat_activity
                 WHERE datname = current_database() AND state LIKE 'idle in transaction%'
                   AND state_change < clock_timestamp() - interval '1 minute'),
               'prepared', (
                 SELECT coalesce(jsonb_agg(gid), '[]') FROM pg_prepared_xacts
                 WHERE database = current_database()
                   AND prepared < clock_timestamp() - interval '1 minute'),
               'unlogged', coalesce(jsonb_agg(c.relname) FILTER (
                 WHERE c.relpersistence = 'u'), '[]'),
               'without_autovacuum', coalesce(jsonb_agg(c.relname) FILTER (
                 WHERE c.reloptions && ARRAY['autovacuum_enabled=false',
                                             'autovacuum_enabled=off']), '[]'))
             FROM pg_class c
             WHERE c.relnamespace = 'message_store'::regnamespace AND c.relkind = 'r'",
            &[],
        )
        .await
    }

    async fn fact<T: DeserializeOwned>(
        &self,
        action: &str,
        sql: &str,
        parameters: super::Parameters<'_>,
    ) -> Result<T> {
        let fact = self.record(action, sql, parameters).await?;
        fact.ok_or_else(|| Error::Missing {
            what: format!("cannot {action}: there is no answer"),
        })
    }
}
