//! What the dashboard and the metrics watch: every subscription, who lives, who
//! holds readers back.

use serde::Deserialize;
use serde_json::Value;

use super::Database;
use crate::error::{Error, Result};

/// The class of the advisory lock that says "an orchestrator is alive": the
/// bytes `orch`. Its object is the orchestrator's process id. Every
/// orchestrator holds it shared while it waits for messages, so that any role
/// can count them in `pg_locks`.
pub const PRESENCE_CLASS: i32 = 0x6f72_6368;

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
    /// Messages put aside, the discarded ones left out. Of the subscription,
    /// so the same in each of its members' rows.
    pub parked: i64,
    /// Failed attempts at one message that count.
    pub attempts: i64,
    /// Text of the last error.
    pub last_error: Option<String>,
    /// SQLSTATE of the last error.
    pub last_sqlstate: Option<String>,
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
    /// When the position last moved.
    pub updated_at: String,
    /// Message type to function; empty where an application fetches.
    #[serde(default)]
    pub handlers: Value,
    /// What else was declared.
    #[serde(default)]
    pub options: Value,
    /// The message whose handler fails, until it succeeds or is parked.
    #[serde(default)]
    pub failing_position: Option<i64>,
}

/// A transaction in flight that keeps messages from being read.
#[derive(Clone, Debug, PartialEq)]
pub struct HorizonBlocker {
    /// Its server process; `None` for a prepared transaction.
    pub pid: Option<i32>,
    /// True where it is prepared, and so waits for a person.
    pub is_prepared: bool,
    /// The global position after which it holds back.
    pub holds_back_after: i64,
    /// Seconds since its transaction began, where this role may see that.
    pub seconds: Option<f64>,
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
    /// The rows of `subscription_status`: all, or those of one subscription.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn statuses(&self, subscriber_id: Option<&str>) -> Result<Vec<SubscriptionStatus>> {
        let rows = self.subscription_status(subscriber_id).await?;
        rows.into_iter().map(status).collect()
    }

    /// The rows of one subscription, then those of the copy that a rebuild side by
    /// side fills.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn status_with_copy(&self, subscriber_id: &str) -> Result<Vec<SubscriptionStatus>> {
        let rows = self
            .rows(
                format!("read the status of {subscriber_id}"),
                "SELECT to_jsonb(s) FROM message_store.subscription_status s \
                 WHERE s.subscriber_id = $1 OR s.copy_of = $1 \
                 ORDER BY s.copy_of IS NOT NULL, s.subscriber_id, s.member",
                &[&subscriber_id],
            )
            .await?;
        rows.into_iter().map(status).collect()
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

    /// The transactions in flight that keep messages from being read.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn horizon_blockers(&self) -> Result<Vec<HorizonBlocker>> {
        const LIST: &str = "SELECT b.pid, b.is_prepared, b.holds_back_after, \
               extract(epoch FROM clock_timestamp() - a.xact_start)::float8 \
             FROM message_store.horizon_blockers() b \
             LEFT JOIN pg_stat_activity a ON a.pid = b.pid ORDER BY 3, 1";
        let action = "list what holds readers back";
        let client = self.client().await?;
        let rows = client.query(LIST, &[]).await;
        rows.map_err(Error::database(action))?
            .iter()
            .map(|row| {
                Ok(HorizonBlocker {
                    pid: row.try_get(0)?,
                    is_prepared: row.try_get(1)?,
                    holds_back_after: row.try_get(2)?,
                    seconds: row.try_get(3)?,
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

/// A view of another version may have other columns.
fn status(row: Value) -> Result<SubscriptionStatus> {
    serde_json::from_value(row).map_err(|error| Error::Config {
        origin: "of the database".to_owned(),
        problem: format!(
            "the view subscription_status is not as expected ({error}); \
             use the orchestrator that belongs to the installed extension"
        ),
    })
}
