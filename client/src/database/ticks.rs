//! The statements that run all day: what is started, and one tick of it.

use std::time::Duration;

use tokio_postgres::Row;

use tokio::time::{Instant, interval_at};
use tracing::{debug, warn};

use super::{Database, ErrorDetails, Pooled, excerpt};
use crate::error::{Error, Result};

/// How often a tick that takes long is looked at, and how long such a look may take.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_PATIENCE: Duration = Duration::from_secs(5);
/// When a tick is first said to take long; then after twice the time, and so on.
const FIRST_TOLD: Duration = Duration::from_secs(30);
/// Messages parked by one tick that are looked at.
const PARKINGS: i64 = 100;

/// What a tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Messages were scanned and the position moved.
    Progressed,
    /// Nothing new: all that was drawn before the tick is processed.
    Idle,
    /// Writers in flight hold messages back.
    HeldBack,
    /// Somebody else is ticking this subscriber.
    Busy,
    /// A handler failed; nothing is done before the moment of the next try.
    Retrying,
    /// The subscription is stopped, by a person or by a failure.
    Stopped,
    /// The subscription is paused.
    Paused,
}

/// The result of one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// What happened.
    pub outcome: Outcome,
    /// Messages that were read.
    pub scanned: i64,
    /// Messages that were given to a handler.
    pub handled: i64,
    /// The last scanned global position, now stored.
    pub position: i64,
    /// Messages that were parked.
    pub parked: i64,
    /// Those of them whose handlers failed, at most [`PARKINGS`], where this role may see them.
    pub failed: Vec<JustParked>,
    /// Why it retries or stopped.
    pub trouble: Option<Trouble>,
    /// Which member of a group it was, where that was asked for.
    pub member: Option<i64>,
}

/// A message that a tick has parked since its handler failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JustParked {
    /// Its global position.
    pub position: i64,
    /// Its type.
    pub message_type: String,
    /// Its stream.
    pub stream_name: String,
    /// Five characters.
    pub sqlstate: String,
    /// What the handler raised.
    pub error: String,
    /// What that said besides.
    pub error_details: ErrorDetails,
}

/// The failure of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Five characters, such as `23505`; empty where there is none.
    pub sqlstate: String,
    /// What the handler raised.
    pub error: String,
    /// What that said besides.
    pub error_details: ErrorDetails,
    /// When it is tried again, by the server's clock.
    pub retry_at: String,
    /// How long that is from now.
    pub retry_in: Option<Duration>,
}

/// A started subscription, as the list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Whom to tick.
    pub subscriber_id: String,
    /// What it reads.
    pub source: String,
    /// How many of its ticks may run at a time.
    pub group_size: i64,
    /// How many messages a tick reads at most.
    pub batch_size: i64,
    /// The whole row: what changes in it is news.
    pub row: String,
}

impl Outcome {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Progressed,
        Self::Idle,
        Self::HeldBack,
        Self::Busy,
        Self::Retrying,
        Self::Stopped,
        Self::Paused,
    ];

    /// The database's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Progressed => "progressed",
            Self::Idle => "idle",
            Self::HeldBack => "held_back",
            Self::Busy => "busy",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

impl Started {
    pub(super) fn from_row(row: &Row) -> std::result::Result<Self, tokio_postgres::Error> {
        Ok(Self {
            subscriber_id: row.try_get(0)?,
            source: row.try_get(1)?,
            group_size: row.try_get(2)?,
            batch_size: row.try_get(3)?,
            row: row.try_get(4)?,
        })
    }
}

impl Database {
    /// Every started subscription, of all owners.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn started_subscriptions(&self) -> Result<Vec<Started>> {
        // The whole row as text: whatever changes in it asks for a tick.
        const LIST: &str = "SELECT s.subscriber_id, s.source, s.group_size, s.batch_size, \
                                   s::text \
                            FROM message_store.started_subscriptions() s";
        let action = || "list the started subscriptions".to_owned();
        let client = self.client().await?;
        let rows = client.query_often(LIST, &[]).await;
        let started = rows.and_then(|rows| rows.iter().map(Started::from_row).collect());
        started.map_err(Error::database(action()))
    }

    /// Runs one tick: effects and position commit together, or neither does. A handler may take as long
    /// as it likes; through `watcher` is looked, meanwhile, whether the server is still at it.
    ///
    /// # Errors
    /// [`Error::Database`] where there is nothing to tick; [`Error::Connect`] where the server is not at
    /// it any more and no answer has come. A handler's failure is an outcome, not an error.
    pub async fn tick(&self, subscriber_id: &str, watcher: &Self) -> Result<Tick> {
        // How long to wait is the server's to say: its clock is not ours.
        const TICK: &str = "SELECT outcome, scanned, handled, position, parked, sqlstate, error, \
             retry_at::text, extract(epoch FROM retry_at - clock_timestamp())::float8, \
             NULL::bigint, error_details, transaction_timestamp()::text FROM message_store.tick($1)";
        self.tick_by(TICK, subscriber_id, watcher).await
    }

    /// The same, and which member of its group found something: of those that this session holds, the one
    /// that has just gone on. Costs a look at the status of all members.
    ///
    /// # Errors
    /// Those of [`Database::tick`].
    #[cfg(feature = "trace-contexts")]
    pub async fn tick_member(&self, subscriber_id: &str, watcher: &Self) -> Result<Tick> {
        const TICK: &str = "SELECT t.outcome, t.scanned, t.handled, t.position, t.parked, \
             t.sqlstate, t.error, t.retry_at::text, \
             extract(epoch FROM t.retry_at - clock_timestamp())::float8, s.member, \
             t.error_details, transaction_timestamp()::text \
             FROM message_store.tick($1) t LEFT JOIN LATERAL ( \
               SELECT v.member FROM message_store.subscription_status v \
               WHERE v.subscriber_id = $1 AND v.holder = pg_backend_pid() AND t.handled > 0 \
               ORDER BY v.updated_at DESC LIMIT 1) s ON true";
        self.tick_by(TICK, subscriber_id, watcher).await
    }

    async fn tick_by(&self, sql: &str, subscriber_id: &str, watcher: &Self) -> Result<Tick> {
        let client = self.client().await?;
        let mut ticking = std::pin::pin!(self.tick_on(&client, sql, subscriber_id));
        let began = Instant::now();
        let mut looks = interval_at(began + LOOK_EVERY, LOOK_EVERY);
        let (mut was_at_it, mut told) = (true, FIRST_TOLD);
        loop {
            tokio::select! {
                ticked = &mut ticking => return ticked,
                _ = looks.tick() => {}
            }
            let Some(process) = client.process() else {
                continue;
            };
            let is_at_it = watcher
                .within(LOOK_PATIENCE, watcher.is_at_work(process))
                .await;
            let took = began.elapsed();
            match is_at_it {
                Ok(false) if !was_at_it => return Err(Error::no_answer(self.label(), took)),
                Ok(is_at_it) => was_at_it = is_at_it,
                Err(error) => debug!("cannot look at a tick: {error}"),
            }
            if took >= told {
                let (seconds, process) = (took.as_secs(), process);
                warn!(subscriber_id, seconds, process, "still ticking");
                told *= 2;
            }
        }
    }

    /// Whether a process of the server runs a statement.
    async fn is_at_work(&self, process: i32) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a \
                   WHERE a.pid OPERATOR(pg_catalog.=) $1 \
                     AND a.state OPERATOR(pg_catalog.=) 'active')";
        self.answer("look at a tick".to_owned(), sql, &[&process])
            .await
    }

    async fn tick_on(&self, client: &Pooled, sql: &str, subscriber_id: &str) -> Result<Tick> {
        let action = || format!("tick the subscription {subscriber_id}");
        let ticked = async {
            let row = client.query_one_often(sql, &[&subscriber_id]).await?;
            let sqlstate: Option<String> = row.try_get(5)?;
            let error: Option<String> = row.try_get(6)?;
            let error_details = ErrorDetails::of(row.try_get(10)?);
            let retry_at: Option<String> = row.try_get(7)?;
            let seconds: Option<f64> = row.try_get(8)?;
            let retry_in = seconds.map(|s| Duration::try_from_secs_f64(s).unwrap_or_default());
            let trouble = (sqlstate.is_some() || error.is_some()).then(|| Trouble {
                sqlstate: sqlstate.unwrap_or_default(),
                error: error.unwrap_or_default(),
                error_details,
                retry_at: retry_at.unwrap_or_default(),
                retry_in,
            });
            let parked = row.try_get::<_, Option<i64>>(4)?.unwrap_or(0);
            let failed = match parked {
                0 => Vec::new(),
                _ => just_parked(client, subscriber_id, row.try_get(11)?).await?,
            };
            let tick = Tick {
                outcome: Outcome::Idle,
                failed,
                scanned: row.try_get(1)?,
                handled: row.try_get(2)?,
                position: row.try_get(3)?,
                parked,
                trouble,
                member: row.try_get(9)?,
            };
            Ok((row.try_get::<_, String>(0)?, tick))
        };
        let (word, tick) = ticked.await.map_err(Error::database(action()))?;
        let outcome = Outcome::from_word(&word).ok_or_else(|| Error::Config {
            origin: format!("database {}", self.label()),
            problem: format!(
                "tick answered {word:?}, which this orchestrator does not know; \
                 use the orchestrator that belongs to the installed extension"
            ),
        })?;
        Ok(Tick { outcome, ..tick })
    }
}

/// What a subscription has parked since a moment because handlers failed.
async fn just_parked(
    client: &Pooled,
    subscriber_id: &str,
    since: String,
) -> std::result::Result<Vec<JustParked>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT global_position, left(type, {NAME}), left(stream_name, {NAME}), sqlstate, error, \
           error_details \
         FROM message_store.parked_messages \
         WHERE subscriber_id = $1 AND can_retry AND last_failed_at >= $2::text::timestamptz \
         ORDER BY global_position LIMIT {PARKINGS}",
        NAME = excerpt::NAME
    );
    let rows = client.query(&sql, &[&subscriber_id, &since]).await?;
    let parked = rows.iter().map(|row| {
        Ok(JustParked {
            position: row.try_get(0)?,
            message_type: row.try_get(1)?,
            stream_name: row.try_get(2)?,
            sqlstate: row.try_get::<_, Option<_>>(3)?.unwrap_or_default(),
            error: row.try_get::<_, Option<_>>(4)?.unwrap_or_default(),
            error_details: ErrorDetails::of(row.try_get(5)?),
        })
    });
    parked.collect()
}
