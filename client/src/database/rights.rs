//! What roles may do: the one that connects, those that tick, those of the store, and everybody.

use serde::Deserialize;
use tokio_postgres::{Client, Row, types::Json};

use super::{Database, status::PRESENCE_CLASS};
use crate::error::{Error, Result};

/// Whether a superuser may have the connections of a [`Database`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Superusers {
    /// It may: nothing of anybody else's runs there, or the configuration says so.
    Allowed,
    /// Each connection is looked at when it is made, and given to nobody where it is a superuser's.
    Refused,
}

/// What a role has with which code that runs in its sessions could do harm elsewhere.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Powers {
    /// The role's name.
    pub role: String,
    /// Whether it may do everything, or may become somebody who may.
    pub is_superuser: bool,
    /// All of it, for people: attributes, predefined roles and tables of the store, its own or those
    /// of a role that it may become. Empty for a role that may tick.
    pub all: Vec<String>,
}

impl Powers {
    /// What to do about a role that has any.
    pub const REPAIR: &str = "Make a role that has nothing else: CREATE ROLE orchestrator LOGIN; \
                              GRANT message_store TO orchestrator; and connect as that";

    /// Why a session with these roles must not tick, where it must not.
    pub(super) fn refusal(roles: &[Self]) -> Option<String> {
        let superuser = roles.iter().find(|powers| powers.is_superuser)?;
        Some(format!(
            "the role {} is a superuser, or may become one ({}), and must not tick: handlers of \
             other roles run in its sessions. {}, or set [database] allow_superuser = true",
            superuser.role,
            superuser.all.join(", "),
            Self::REPAIR
        ))
    }
}

/// What a role may do with the store.
#[derive(Clone, Debug, Deserialize)]
pub struct Rights {
    /// What it has beyond any store.
    #[serde(flatten)]
    pub powers: Powers,
    /// Whether it is the one that asks.
    pub is_ours: bool,
    /// Whether an orchestrator that is alive connects as it.
    pub ticks: bool,
    /// Functions of an orchestrator that it may not call.
    pub missing: Vec<String>,
    /// The statement that lets it.
    pub grant: String,
    /// What it may do past the functions, each with what it is done to.
    pub excess: Vec<String>,
}

/// A door of the store that stands open.
#[derive(Clone, Debug, Deserialize)]
pub struct Exposure {
    /// For whom, and to what.
    pub finding: String,
    /// How to close it.
    pub repair: String,
    /// Whether somebody becomes more than he is by it.
    pub is_danger: bool,
}

/// Functions that every orchestrator calls.
const CALLED: [&str; 5] = [
    "message_store.started_subscriptions()",
    "message_store.tick(varchar, bigint, bigint)",
    "message_store.start(varchar, boolean)",
    "message_store.create_subscription(varchar, varchar, jsonb, jsonb)",
    "message_store.wait_for_messages(bigint, interval, bigint)",
];

/// The powers of each role `r` of `roles`, a query of oids; as [`Powers`] has them. What a role may
/// become by SET ROLE counts: a handler cannot, but code that got out of one can.
fn powers_sql(roles: &str) -> String {
    format!(
        "SELECT r.oid, jsonb_build_object('role', r.rolname, 'is_superuser', bool_or(g.rolsuper),
           'all', coalesce(jsonb_agg(DISTINCT p.power) FILTER (WHERE p.power IS NOT NULL), '[]'))
           AS powers
         FROM pg_roles r
         JOIN pg_roles g ON g.oid = r.oid OR NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'MEMBER')
         LEFT JOIN LATERAL (
           SELECT a.name || CASE WHEN g.oid = r.oid THEN '' ELSE ' of ' || g.rolname END
           FROM (VALUES ('SUPERUSER', g.rolsuper), ('BYPASSRLS', g.rolbypassrls),
             ('CREATEROLE', g.rolcreaterole), ('REPLICATION', g.rolreplication)) a (name, has)
           WHERE a.has AND (a.name = 'SUPERUSER' OR NOT g.rolsuper)
           UNION ALL
           SELECT g.rolname
           WHERE g.rolname IN ('pg_create_subscription', 'pg_execute_server_program',
             'pg_read_all_data', 'pg_read_server_files', 'pg_signal_backend', 'pg_write_all_data',
             'pg_write_server_files')
           UNION ALL
           SELECT 'the store''s own tables'
           WHERE NOT g.rolsuper AND EXISTS (
             SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'message_store' AND c.relkind = 'r' AND c.relowner = g.oid
               AND c.relname IN ({TABLES}))
         ) p (power) ON true
         WHERE r.oid IN ({roles})
         GROUP BY r.oid, r.rolname"
    )
}

/// The store's own tables; whatever else is in its schema is the user's.
const TABLES: &str = "'messages', 'subscriptions', 'subscription_progress', 'parked', 'history', \
                      'read_model_pages'";

/// The roles that a session has: as which it was let in, and as which it acts.
const OURS: &str = "SELECT o.oid FROM pg_roles o WHERE o.rolname IN (session_user, current_user)";

/// The roles of the orchestrators that are alive in this database.
fn ticking_sql() -> String {
    format!(
        "SELECT a.usesysid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = {PRESENCE_CLASS}
           AND l.mode = 'ShareLock' AND l.granted
           AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())"
    )
}

/// What the role that connects has, and the one that it acts as where that is another.
pub(super) async fn powers(client: &Client) -> Result<Vec<Powers>, tokio_postgres::Error> {
    of_row(&client.query_typed_one(&our_powers_sql(), &[]).await?)
}

fn our_powers_sql() -> String {
    let powers = powers_sql(OURS);
    format!("SELECT jsonb_agg(powers ORDER BY powers) FROM ({powers}) p")
}

/// No row of a role that was dropped is no answer, and so an error.
fn of_row(row: &Row) -> Result<Vec<Powers>, tokio_postgres::Error> {
    row.try_get(0).map(|Json(powers)| powers)
}

impl Database {
    /// What the role that connects has, and the one that it acts as where that is another. Asks
    /// nothing of the store, which may not be there yet.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`], so for all that follow; [`Error::Config`] where a
    /// superuser is refused.
    pub async fn powers(&self) -> Result<Vec<Powers>> {
        let client = self.client().await?;
        let row = client.query_one(&our_powers_sql(), &[]).await;
        row.and_then(|row| of_row(&row))
            .map_err(Error::database("look at what the role may do"))
    }

    /// What the role that connects, and every role that ticks, may do with the store.
    pub async fn rights(&self) -> Result<Vec<Rights>> {
        let ticking = ticking_sql();
        let sql = format!(
            "WITH ticking AS ({ticking})
             SELECT p.powers || jsonb_build_object(
               'is_ours', p.oid IN ({OURS}),
               'ticks', p.oid IN (SELECT usesysid FROM ticking),
               'grant', format('GRANT message_store TO %I;', p.powers ->> 'role'),
               'missing', coalesce((SELECT jsonb_agg(f) FROM unnest($1::text[]) f
                 WHERE to_regprocedure(f) IS NULL
                   OR NOT has_function_privilege(p.oid, to_regprocedure(f), 'EXECUTE')), '[]'),
               'excess', CASE WHEN (p.powers -> 'all') ?| ARRAY['SUPERUSER', 'the store''s own tables']
                 THEN '[]' ELSE coalesce(e.excess, '[]') END)
             FROM ({powers}) p
             CROSS JOIN LATERAL (
               SELECT jsonb_agg(x.what ORDER BY x.what) AS excess FROM (
                 SELECT format('%s on %s', string_agg(v.verb, ', '), c.oid::regclass)
                 FROM pg_class c
                 CROSS JOIN (VALUES ('DELETE'), ('INSERT'), ('SELECT'), ('TRIGGER'), ('TRUNCATE'),
                   ('UPDATE')) v (verb)
                 WHERE c.relnamespace = 'message_store'::regnamespace AND c.relkind = 'r'
                   AND c.relname IN ({TABLES})
                   AND CASE WHEN v.verb IN ('INSERT', 'SELECT', 'UPDATE')
                     THEN has_any_column_privilege(p.oid, c.oid, v.verb)
                     ELSE has_table_privilege(p.oid, c.oid, v.verb) END
                   AND NOT (c.relname = 'messages' AND v.verb = 'SELECT')
                   AND NOT (c.relname = 'read_model_pages'
                     AND v.verb IN ('DELETE', 'INSERT', 'SELECT', 'UPDATE'))
                 GROUP BY c.oid
                 UNION ALL
                 SELECT format('UPDATE on %s', c.oid::regclass) FROM pg_class c
                 WHERE c.relnamespace = 'message_store'::regnamespace
                   AND CASE c.relkind WHEN 'S'
                     THEN has_sequence_privilege(p.oid, c.oid, 'USAGE, UPDATE') ELSE false END
                 UNION ALL
                 SELECT 'CREATE on schema message_store'
                 WHERE has_schema_privilege(p.oid, 'message_store', 'CREATE')
                 UNION ALL
                 SELECT 'message_store_admin' FROM pg_roles a
                 WHERE a.rolname = 'message_store_admin' AND pg_has_role(p.oid, a.oid, 'MEMBER')
               ) x (what)
             ) e",
            powers = powers_sql(&format!("{OURS} UNION {ticking}"))
        );
        let called = CALLED.as_slice();
        self.records("look at what roles may do", &sql, &[&called])
            .await
    }

    /// Doors of the store that stand open, as the catalogs show them to everybody.
    pub async fn exposures(&self) -> Result<Vec<Exposure>> {
        const STORE_ROLES: &str = "SELECT s.oid FROM pg_roles s
             WHERE s.rolname IN ('message_store', 'message_store_admin', 'message_store_viewer')";
        let sql = format!(
            "SELECT jsonb_build_object('finding', finding, 'repair', repair, 'is_danger', is_danger)
             FROM (
               SELECT CASE a.grantee WHEN 0 THEN 'everybody' ELSE 'the role ' || r.rolname END
                 || CASE a.privilege_type WHEN 'CREATE' THEN ' may create in'
                    ELSE ' may look into' END || ' schema message_store',
                 format('REVOKE %s ON SCHEMA message_store FROM %s;', a.privilege_type,
                   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END),
                 false
               FROM pg_namespace n
               CROSS JOIN LATERAL aclexplode(n.nspacl) a
               LEFT JOIN pg_roles r ON r.oid = a.grantee
               WHERE n.nspname = 'message_store' AND a.grantee <> n.nspowner
                 AND (a.privilege_type = 'CREATE' OR a.grantee = 0)
                 AND r.rolsuper IS NOT TRUE
               UNION ALL
               SELECT format('schema message_store belongs to %s, which is no superuser: what the '
                   'extension put there can be replaced', r.rolname),
                 'ALTER SCHEMA message_store OWNER TO the superuser that installed the extension;',
                 true
               FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
               WHERE n.nspname = 'message_store' AND NOT r.rolsuper
               UNION ALL
               SELECT format('everybody has %s on %s', string_agg(DISTINCT a.privilege_type, ', '),
                   c.oid::regclass),
                 format('REVOKE ALL ON %s FROM PUBLIC;', c.oid::regclass),
                 false
               FROM pg_class c
               CROSS JOIN LATERAL (
                 SELECT c.relacl UNION ALL
                 SELECT t.attacl FROM pg_attribute t WHERE t.attrelid = c.oid) l (acl)
               CROSS JOIN LATERAL aclexplode(l.acl) a
               WHERE c.relnamespace = 'message_store'::regnamespace AND a.grantee = 0
               GROUP BY c.oid
               UNION ALL
               SELECT format('everybody may call %s', p.oid::regprocedure),
                 format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC;', p.oid::regprocedure),
                 false
               FROM pg_proc p
               JOIN pg_init_privs i ON i.objoid = p.oid AND i.classoid = 'pg_proc'::regclass
               WHERE p.pronamespace = 'message_store'::regnamespace
                 AND EXISTS (SELECT FROM aclexplode(
                   coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
                 AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) a WHERE a.grantee = 0)
               UNION ALL
               SELECT format('the role %s, which others are granted, has %s', p.powers ->> 'role',
                   (SELECT string_agg(w, ', ') FROM jsonb_array_elements_text(p.powers -> 'all') w)),
                 format('Take it away: ALTER ROLE %1$I NOSUPERUSER NOBYPASSRLS NOCREATEROLE '
                   'NOREPLICATION; REVOKE what it is a member of.', p.powers ->> 'role'),
                 true
               FROM ({powers}) p WHERE p.powers -> 'all' <> '[]') d (finding, repair, is_danger)",
            powers = powers_sql(STORE_ROLES)
        );
        self.records("look at who may do what in the store", &sql, &[])
            .await
    }

    /// Subscriptions whose handlers may do everything, of those that this role may see.
    pub async fn subscriptions_of_superusers(&self) -> Result<Vec<Exposure>> {
        self.records(
            "look at whose the subscriptions are",
            "SELECT DISTINCT jsonb_build_object(
               'finding', format('subscription %s belongs to the superuser %s, whose rights its '
                 'handlers have', s.subscriber_id, r.rolname),
               'repair', format('Give it to a role that has what its handlers need, and no more: '
                 'SELECT message_store.reassign(%L, ''...'');', s.subscriber_id),
               'is_danger', false)
             FROM message_store.subscription_status s JOIN pg_roles r ON r.oid = s.owner
             WHERE r.rolsuper",
            &[],
        )
        .await
    }
}
