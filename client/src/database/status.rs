//! What the dashboard and the metrics watch: every subscription, who lives, who
//! holds readers back.

use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::error::SqlState;

use super::{
    ALL, Database, ErrorDetails, Parameters,
    excerpt::{self, NAME},
};
use crate::error::{Error, Result};

/// The class of the advisory lock that says "an orchestrator is alive": the
/// bytes `orch`. Its object is the orchestrator's process id. Every
/// orchestrator holds it shared while it waits for messages, so that any role
/// can count them in `pg_locks`.
pub const PRESENCE_CLASS: i32 = 0x6f72_6368;

/// Bytes of a declaration's handlers, and of its options, that a page shows: 256 KiB.
const DECLARED_BYTES: i64 = 256 << 10;
/// Bytes of its options that are looked into for each sample: 64 KiB.
const SAMPLED_BYTES: i64 = 64 << 10;
/// Characters of an error or a reason that a page shows; of a handler's error there are no more.
const TEXT: i64 = 8_192;

/// Characters of the first line of an error, in a sample.
const LINE: i64 = 300;

/// Sources that are looked at for who keeps readers from them.
const SOURCES: i64 = 50;
/// Characters of a statement that a page shows.
const QUERY: i64 = 300;

/// A row of `subscription_status`: one member of one subscription.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct SubscriptionStatus {
    /// The subscription.
    pub subscriber_id: String,
    /// The role whose rights its handlers have.
    pub owner: String,
    /// What it reads.
    pub source: String,
    /// `created`, `started`, `paused` or `stopped`.
    pub state: String,
    /// Why, where somebody or a failure said so.
    pub state_reason: Option<String>,
    /// The member of the group, from 0; below 0 while an older group drains.
    pub member: i64,
    /// How many members the group has.
    pub group_size: i64,
    /// The last global position scanned.
    pub position: i64,
    /// The last settled message of its source.
    pub head: Option<i64>,
    /// Messages of the source after the position.
    pub lag: Option<i64>,
    /// True where `lag` is an estimate.
    pub lag_is_estimate: Option<bool>,
    /// The age of the first message it has not handled.
    pub lag_seconds: Option<f64>,
    /// Messages scanned a second, while it was last busy.
    pub rate: Option<f64>,
    /// Messages given to handlers so far.
    pub handled: i64,
    /// Parked messages, without the discarded ones. Of the subscription,
    /// so the same in each of its members' rows.
    pub parked: i64,
    /// Failed attempts at one message that count.
    pub attempts: i64,
    /// Text of the last error, in a sample its first line alone.
    pub last_error: Option<String>,
    /// SQLSTATE of the last error.
    pub last_sqlstate: Option<String>,
    /// What the last error said besides; null in a sample.
    #[serde(default)]
    pub last_error_details: Option<ErrorDetails>,
    /// When it happened.
    pub last_error_at: Option<String>,
    /// When the failing message is tried again.
    pub retry_at: Option<String>,
    /// The subscription whose read model this one fills anew.
    pub copy_of: Option<String>,
    /// Where a rebuild under way is done.
    pub replay_target: Option<i64>,
    /// How long that takes at the present rate.
    pub replay_eta_seconds: Option<f64>,
    /// The server process that ticks it now.
    pub holder: Option<i64>,
    /// How long that tick has been running, in seconds.
    #[serde(default)]
    pub ticking_seconds: Option<f64>,
    /// When the position last moved.
    pub updated_at: String,
    /// Message type to function; empty where an application fetches; null where they are too large
    /// to be shown, and in a sample.
    #[serde(default)]
    pub handlers: Value,
    /// What else was declared, in a sample the read model alone; null where it is too large.
    #[serde(default)]
    pub options: Value,
    /// The message whose handler fails, until it succeeds or is parked.
    #[serde(default)]
    pub failing_position: Option<i64>,
}

/// A transaction in flight that keeps messages from being read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HorizonBlocker {
    /// Its server process; `None` for a prepared transaction.
    pub pid: Option<i32>,
    /// True where it is prepared, and so waits for a person.
    pub is_prepared: bool,
    /// The global position after which it holds back.
    pub holds_back_after: i64,
    /// Seconds since its transaction began, where this role may see that.
    pub seconds: Option<f64>,
    /// The names of the prepared transactions of this database, where it is one of them.
    pub prepared: Option<String>,
    /// The name its application gave.
    pub application: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// `active`, `idle in transaction` and so on, where this role may see that.
    pub state: Option<String>,
    /// How its last statement begins, where this role may see that.
    pub query: Option<String>,
    /// Of the sources that were asked about, those it keeps readers from.
    pub holds_back: Vec<String>,
}

/// An orchestrator that waits for messages of this database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orchestrator {
    /// Its process id, on whatever machine it runs.
    pub process: i64,
    /// The server process of its waiting connection.
    pub pid: i32,
}

impl Database {
    /// Every subscription, for a sample: numbers and names, how the last error begins, and what read
    /// models they declare.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn statuses(&self) -> Result<Vec<SubscriptionStatus>> {
        let options = format!(
            "CASE WHEN {} IS NOT NULL THEN jsonb_strip_nulls( \
               jsonb_build_object('read_model', s.options -> 'read_model')) END",
            excerpt::plain("s.options", SAMPLED_BYTES)
        );
        let all = "ORDER BY s.subscriber_id, s.member";
        let first_line = format!("left(split_part(s.last_error, E'\\n', 1), {LINE})");
        let sql = status_sql(&first_line, "NULL::jsonb", "NULL::jsonb", &options, all);
        self.read_statuses("read the status of the subscriptions", &sql, &[])
            .await
    }

    /// The rows of one subscription, then those of the copy that a rebuild side by
    /// side fills.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn status_with_copy(&self, subscriber_id: &str) -> Result<Vec<SubscriptionStatus>> {
        let sql = status_sql(
            &format!("left(s.last_error, {TEXT})"),
            "s.last_error_details",
            &excerpt::plain("s.handlers", DECLARED_BYTES),
            &excerpt::plain("s.options", DECLARED_BYTES),
            "WHERE s.subscriber_id = $1 OR s.copy_of = $1 \
             ORDER BY s.copy_of IS NOT NULL, s.subscriber_id, s.member",
        );
        let action = format!("read the status of {subscriber_id}");
        self.read_statuses(&action, &sql, &[&subscriber_id]).await
    }

    async fn read_statuses(
        &self,
        action: &str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<SubscriptionStatus>> {
        let rows = self.rows(action.to_owned(), sql, parameters).await;
        match rows {
            Ok(rows) => rows.into_iter().map(status).collect(),
            Err(error) if error.sql_state() == Some(&SqlState::UNDEFINED_COLUMN) => {
                Err(another_version(&error))
            }
            Err(error) => Err(error),
        }
    }

    /// The newest `most` entries of `subscription_history`, the newest first, as a page shows them: of one
    /// subscription or of all, from before a moment on where one is given.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn recent_history(
        &self,
        subscriber_id: Option<&str>,
        before: Option<&str>,
        most: i64,
    ) -> Result<Vec<Value>> {
        let sql = format!(
            "SELECT jsonb_build_object('at', h.at, 'subscriber_id', left(h.subscriber_id, {NAME}), \
               'role', h.role, 'actor', left(h.actor, {NAME}), \
               'action', h.action, 'position', h.position, 'reason', left(h.reason, {TEXT})) \
             FROM message_store.subscription_history h \
             WHERE ($1::varchar IS NULL OR h.subscriber_id = $1) \
               AND ($2::text IS NULL OR h.at < $2::text::timestamptz) \
             ORDER BY h.at DESC LIMIT $3"
        );
        let action = "read the history of the subscriptions".to_owned();
        self.rows(action, &sql, &[&subscriber_id, &before, &most])
            .await
    }

    /// The global position of the last message that is visible; 0 where there is none.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn last_global_position(&self) -> Result<i64> {
        self.answer(
            "look for the last message".to_owned(),
            "SELECT coalesce(max(global_position), 0) FROM message_store.messages",
            &[],
        )
        .await
    }

    /// How many messages lie after a global position, as far as it counts.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn messages_after(&self, position: i64, most: i64) -> Result<i64> {
        self.answer(
            "count the messages since".to_owned(),
            "SELECT count(*) FROM (SELECT FROM message_store.messages WHERE global_position > $1 LIMIT $2) m",
            &[&position, &most],
        )
        .await
    }

    /// The transactions in flight that keep messages from being read, and from which of these sources;
    /// the first [`SOURCES`] are looked at, where there is such a transaction.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn horizon_blockers(&self, sources: &[&str]) -> Result<Vec<HorizonBlocker>> {
        let list = format!(
            "WITH b AS MATERIALIZED (SELECT * FROM message_store.horizon_blockers()), \
             held AS MATERIALIZED ( \
               SELECT s.name, x.pid, x.is_prepared \
               FROM (SELECT left(n, {NAME}) AS name FROM unnest($1::varchar[]) n \
                     WHERE n <> '{ALL}' LIMIT {SOURCES}) s \
               CROSS JOIN LATERAL message_store.horizon_blockers(s.name::varchar) x \
               WHERE EXISTS (SELECT FROM b)) \
             SELECT b.pid, b.is_prepared, b.holds_back_after, \
               extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8, \
               p.gids, a.application_name, coalesce(a.usename::text, p.owner), a.state, \
               left(a.query, {QUERY}), \
               ARRAY(SELECT h.name FROM held h WHERE h.pid IS NOT DISTINCT FROM b.pid \
                       AND h.is_prepared = b.is_prepared GROUP BY 1 ORDER BY 1) \
             FROM b LEFT JOIN pg_stat_activity a ON a.pid = b.pid \
             LEFT JOIN LATERAL ( \
               SELECT left(string_agg(gid, ', ' ORDER BY prepared), {QUERY}) AS gids, \
                 min(prepared) AS prepared, min(owner::text) AS owner \
               FROM pg_prepared_xacts \
               WHERE database = current_database() AND b.is_prepared) p ON true \
             ORDER BY 3, 1"
        );
        let action = "list what holds readers back";
        let client = self.client().await?;
        let rows = client.query(&list, &[&sources]).await;
        rows.map_err(Error::database(action))?
            .iter()
            .map(|row| {
                Ok(HorizonBlocker {
                    pid: row.try_get(0)?,
                    is_prepared: row.try_get(1)?,
                    holds_back_after: row.try_get(2)?,
                    seconds: row.try_get(3)?,
                    prepared: row.try_get(4)?,
                    application: row.try_get(5)?,
                    role: row.try_get(6)?,
                    state: row.try_get(7)?,
                    query: row.try_get(8)?,
                    holds_back: row.try_get(9)?,
                })
            })
            .collect::<Result<_, _>>()
            .map_err(Error::database(action))
    }

    /// The orchestrators that wait for messages of this database now.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn orchestrators(&self) -> Result<Vec<Orchestrator>> {
        const LIST: &str = "SELECT l.objid::bigint, l.pid FROM pg_catalog.pg_locks l \
             WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = $1::bigint::oid \
               AND l.mode = 'ShareLock' AND l.granted \
               AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
                                 WHERE d.datname = pg_catalog.current_database()) \
             ORDER BY 1, 2";
        let action = "list the orchestrators";
        let client = self.client().await?;
        let rows = client.query(LIST, &[&i64::from(PRESENCE_CLASS)]).await;
        rows.map_err(Error::database(action))?
            .iter()
            .map(|row| {
                Ok(Orchestrator {
                    process: row.try_get(0)?,
                    pid: row.try_get(1)?,
                })
            })
            .collect::<Result<_, _>>()
            .map_err(Error::database(action))
    }
}

/// The rows of `subscription_status` as [`SubscriptionStatus`] has them.
fn status_sql(
    last_error: &str,
    error_details: &str,
    handlers: &str,
    options: &str,
    which: &str,
) -> String {
    format!(
        "SELECT to_jsonb(t) FROM ( \
           SELECT left(s.subscriber_id, {NAME}) AS subscriber_id, s.owner, \
             left(s.source, {NAME}) AS source, s.state, left(s.state_reason, {TEXT}) AS state_reason, \
             s.member, s.group_size, s.position, s.head, s.lag, s.lag_is_estimate, s.lag_seconds, \
             s.rate, s.handled, s.parked, s.attempts, {last_error} AS last_error, \
             {error_details} AS last_error_details, s.last_sqlstate, s.last_error_at, s.retry_at, s.copy_of, s.replay_target, \
             s.replay_eta_seconds, s.holder, \
             extract(epoch FROM clock_timestamp() - s.ticking_since)::float8 AS ticking_seconds, \
             s.updated_at, {handlers} AS handlers, \
             {options} AS options, s.failing_position \
           FROM message_store.subscription_status s {which}) t"
    )
}

fn status(row: Value) -> Result<SubscriptionStatus> {
    serde_json::from_value(row).map_err(|error| another_version(&error))
}

/// A view of another version may have other columns.
fn another_version(error: &dyn std::fmt::Display) -> Error {
    Error::Config {
        origin: "of the database".to_owned(),
        problem: format!(
            "the view subscription_status is not as expected ({error}); \
             use the orchestrator that belongs to the installed extension"
        ),
    }
}
