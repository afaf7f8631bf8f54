//! The statements, a typed function for each: the extension's functions and views, and, for pages that
//! browse the log, the table `messages`, whose columns are public and which whoever reads may select
//! from.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::{
    Row,
    error::SqlState,
    types::{FromSql, ToSql},
};

use crate::{
    connection::{
        Target,
        opening::{Connector, Purpose},
    },
    error::{Error, Result},
};

mod adoption;
mod browse;
mod causation;
mod diagnosis;
mod epochs;
mod error_details;
pub mod excerpt;
mod failures;
mod horizons;
mod leases;
mod listings;
mod messages;
mod needs;
mod parked;
mod pooled;
mod read_models;
mod removal;
mod rights;
mod session;
mod shards;
mod status;
mod steering;
mod subscriptions;
mod tail;
mod ticks;
#[cfg(feature = "trace-contexts")]
mod trace_contexts;
mod trials;

pub use adoption::{Direction, Holding, Switch};
pub use browse::{Edge, Estimate, Filter, Found, Grouping, Listed, Recent, STREAMS, Whole};
pub use causation::{Link as CausationLink, MOST_LOOKS, SEARCHED, WALKED};
pub use diagnosis::{
    Blocker, Capacity, ChangedCollation, Installed, NotHeeded, Override, PositionSequence,
};
pub use epochs::{Epoch, UnconfirmedEpoch};
pub use error_details::ErrorDetails;
pub use excerpt::Excerpt;
pub use failures::{FAILURES_OF, FailureGroup};
pub use horizons::Horizon;
pub use leases::FetchedMessage;
use messages::Arguments;
pub use messages::{ALL, NewMessage, Source, StoredMessage};
pub use needs::{Declared, Lack};
pub use parked::{Handling, ParkedFilter, ParkedMessage, Touched};
use pooled::{Guest, Pooled, Processes, Several};
pub use read_models::ReadModelPage;
pub use removal::{Applied, Deletion, Erased, Erasure};
pub use rights::{Exposure, Powers, Rights, Superusers};
pub use session::{Refused, Session, WriteStatements};
pub use shards::{Shard, ShardFacts, Share};
pub use status::{HorizonBlocker, Orchestrator, PRESENCE_CLASS, SubscriptionStatus};
pub use steering::{Steering, Which};
pub use subscriptions::TableChange;
pub use ticks::{JustParked, Outcome, Started, Tick, Trouble};
#[cfg(feature = "trace-contexts")]
pub use trace_contexts::{ReadRange, TraceContext};
pub use trials::{Trial, TrialFailure};

/// How long a caller waits for a free or new connection: 10 s.
const POOL_PATIENCE: Duration = Duration::from_secs(10);

const ADVANCE_POSITION: &str = "SELECT message_store.advance_position($1)";
const DELIVER: &str = "SELECT is_duplicate FROM message_store.write_messages( \
    ARRAY[ROW($2, $3, $4, $5, $1, $6)::message_store.new_message], 'ignore')";
const WRITE_MESSAGE: &str = "SELECT message_store.write_message($1, $2, $3, $4, $5, $6)";

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A small pool of connections to one database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    target: Target,
    guest: Arc<Guest>,
    processes: Processes,
    superusers: Superusers,
    /// False where a connection led to sessions of a pooler.
    has_own_sessions: Arc<AtomicBool>,
}

impl Database {
    /// Prepares a pool of at most `connections`; connects at the first use.
    ///
    /// # Errors
    /// [`Error::Config`] where the pool refuses its settings.
    pub fn open(target: &Target, connections: usize) -> Result<Self> {
        let purpose = Purpose::Statements;
        Self::open_for(target, connections, purpose, Superusers::Allowed)
    }

    /// The same for connections that declare and start subscriptions, whose `init` runs there.
    ///
    /// # Errors
    /// [`Error::Config`] where the pool refuses its settings.
    pub fn open_for_control(
        target: &Target,
        connections: usize,
        superusers: Superusers,
    ) -> Result<Self> {
        Self::open_for(target, connections, Purpose::Statements, superusers)
    }

    /// The same for connections that only tick, and do not wait for the disk. A tick in which a handler
    /// writes messages does wait; the database sees to that.
    ///
    /// # Errors
    /// [`Error::Config`] where the pool refuses its settings.
    pub fn open_for_ticks(
        target: &Target,
        connections: usize,
        superusers: Superusers,
    ) -> Result<Self> {
        Self::open_for(target, connections, Purpose::Ticks, superusers)
    }

    /// The same for connections that render pages: a statement that takes longer
    /// than a person waits is ended.
    ///
    /// # Errors
    /// [`Error::Config`] where the pool refuses its settings.
    pub fn open_for_pages(target: &Target, connections: usize) -> Result<Self> {
        Self::open_for(target, connections, Purpose::Pages, Superusers::Allowed)
    }

    fn open_for(
        target: &Target,
        connections: usize,
        purpose: Purpose,
        superusers: Superusers,
    ) -> Result<Self> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let connector = Connector(target.tls.clone());
        let manager = Manager::from_connect(target.config.clone(), connector, recycling);
        let has_own_sessions = Arc::new(AtomicBool::new(true));
        let found = has_own_sessions.clone();
        let processes = Processes::default();
        let known = processes.clone();
        let begin = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let (found, known) = (found.clone(), known.clone());
            Box::pin(async move {
                let process = purpose.begin(client).await.map_err(HookError::Backend)?;
                let is_own = process.is_some();
                found.store(is_own, Ordering::Relaxed);
                if let Some(process) = process {
                    known.remember(client, process);
                }
                if superusers == Superusers::Allowed {
                    return Ok(());
                }
                let powers = powers_of(client, purpose, is_own).await;
                let powers = powers.map_err(HookError::Backend)?;
                Powers::refusal(&powers).map_or(Ok(()), |why| Err(HookError::message(why)))
            })
        });
        let pool = Pool::builder(manager)
            .post_create(begin)
            .max_size(connections)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(POOL_PATIENCE))
            .create_timeout(Some(POOL_PATIENCE.max(target.patience())))
            .build()
            .map_err(|error| Error::Config {
                origin: "connection pool".to_owned(),
                problem: error.to_string(),
            })?;
        Ok(Self {
            pool,
            target: target.clone(),
            guest: Arc::new(Guest::new(purpose.begin_transaction())),
            processes,
            superusers,
            has_own_sessions,
        })
    }

    /// Whether its sessions are ours alone; false once a connection has led to a pooler that hands them
    /// to others too. Known when there was a connection.
    pub fn has_own_sessions(&self) -> bool {
        self.has_own_sessions.load(Ordering::Relaxed)
    }

    /// What is asked, or that there was no answer in time. A connection that gave none is given up.
    ///
    /// # Errors
    /// [`Error::Connect`], and those of what is asked.
    pub async fn within<T>(
        &self,
        time: Duration,
        asked: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(time, asked).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::no_answer(self.label(), time)),
        }
    }

    /// Host and database, for people.
    pub fn label(&self) -> &str {
        &self.target.label
    }

    /// The database's name, for people.
    pub fn name(&self) -> &str {
        let config = &self.target.config;
        config.get_dbname().or(config.get_user()).unwrap_or("")
    }

    /// A connection of its own, outside the pool, to the same database.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Config`] where a superuser is refused.
    pub async fn session(&self) -> Result<Session> {
        let session = Session::connect(&self.target).await?;
        if self.superusers == Superusers::Refused
            && let Some(problem) = Powers::refusal(&session.powers().await?)
        {
            return Err(refused(problem));
        }
        Ok(session)
    }

    async fn client(&self) -> Result<Pooled> {
        let problem = match self.pool.get().await {
            Ok(client) => {
                let is_own = self.has_own_sessions.load(Ordering::Relaxed);
                let guest = (!is_own).then(|| self.guest.clone());
                let process = self.processes.of(&client).filter(|_| is_own);
                return Ok(Pooled::new(client, guest, process));
            }
            Err(PoolError::PostCreateHook(HookError::Message(problem))) => {
                return Err(refused(problem.into_owned()));
            }
            Err(
                PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)),
            ) => crate::error::describe(&error),
            Err(PoolError::Timeout(_)) => {
                format!("no connection within {} s", POOL_PATIENCE.as_secs())
            }
            Err(other) => other.to_string(),
        };
        Err(Error::Connect {
            target: self.target.label.clone(),
            problem,
        })
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Makes the store's tables where they are missing.
    ///
    /// # Errors
    /// [`Error::Database`], among others where the role may not create them.
    pub async fn create_store(&self) -> Result<()> {
        let client = self.client().await?;
        client
            .query("SELECT message_store.create_store()", &[])
            .await
            .map_err(Error::database("create the message store's tables"))?;
        Ok(())
    }

    /// Writes one message; returns its position in the stream.
    ///
    /// # Errors
    /// [`Error::Database`], among others for a wrong expected version.
    pub async fn write_message(&self, message: &NewMessage) -> Result<i64> {
        let action = || format!("write to the stream {}", message.stream);
        let client = self.client().await?;
        let row = client
            .query_one_often(WRITE_MESSAGE, &Arguments::of(message).given())
            .await;
        let position = row.and_then(|row| row.try_get(0));
        position.map_err(Error::database(action()))
    }

    /// Writes a message unless one of its id is there, at a global position above `above`, where positions
    /// up to it may have been drawn elsewhere. Returns whether it was there already.
    ///
    /// # Errors
    /// [`Error::Database`], among others for an id that another message has.
    pub async fn deliver_message(&self, message: &NewMessage, above: i64) -> Result<bool> {
        let action = format!("deliver to the stream {}", message.stream);
        let client = self.client().await?;
        self.advance(&client, above).await?;
        let row = client
            .query_one_often(DELIVER, &Arguments::of(message).given())
            .await;
        let delivered = row.and_then(|row| row.try_get(0));
        delivered.map_err(Error::database(action))
    }

    /// Leaves out positions up to `target`, in as many steps as it takes where that is further than the
    /// database goes at once.
    async fn advance(&self, client: &Pooled, target: i64) -> Result<()> {
        let action = "leave out positions that may have been drawn elsewhere";
        let (mut reached, mut next) = (0, target);
        loop {
            match client.query_one_often(ADVANCE_POSITION, &[&next]).await {
                Ok(_) if next == target => return Ok(()),
                Ok(_) => (reached, next) = (next, target),
                Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
                    let half = reached + (next - reached) / 2;
                    // Nothing is wrong with what is to be delivered.
                    if half == reached {
                        return Err(Error::Connect {
                            target: self.target.label.clone(),
                            problem: error.to_string(),
                        });
                    }
                    next = half;
                }
                Err(error) => return Err(Error::database(action)(error)),
            }
        }
    }

    /// What is read under a name: a stream, a category, or everything (`$all`).
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn source(&self, name: &str) -> Result<Source> {
        if name == ALL {
            return Ok(Source::All);
        }
        let action = "look whether a name is a category's".to_owned();
        let sql = "SELECT message_store.is_category($1)";
        let is_category = self.answer(action, sql, &[&name]).await?;
        Ok(match is_category {
            true => Source::Category(name.to_owned()),
            false => Source::Stream(name.to_owned()),
        })
    }

    /// The category of a stream.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn category(&self, stream_name: &str) -> Result<String> {
        let action = "look for the category of a stream".to_owned();
        let sql = "SELECT message_store.category($1)";
        self.answer(action, sql, &[&stream_name]).await
    }

    /// Reads up to `batch_size` messages from `position` on (in a stream: its
    /// positions, from 0; else global positions, from 1).
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn read_messages(
        &self,
        source: &Source,
        position: i64,
        batch_size: i64,
    ) -> Result<Vec<StoredMessage>> {
        const COLUMNS: &str = StoredMessage::COLUMNS;
        let action = || format!("read {source}");
        let client = self.client().await?;
        let rows = match source {
            Source::Stream(name) => {
                let sql =
                    format!("SELECT {COLUMNS} FROM message_store.get_stream_messages($1, $2, $3)");
                client.query(&sql, &[name, &position, &batch_size]).await
            }
            Source::Category(name) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM message_store.get_category_messages($1, $2, $3)"
                );
                client.query(&sql, &[name, &position, &batch_size]).await
            }
            Source::All => {
                let sql = format!("SELECT {COLUMNS} FROM message_store.get_all_messages($1, $2)");
                client.query(&sql, &[&position, &batch_size]).await
            }
        };
        rows.map_err(Error::database(action()))?
            .iter()
            .map(|row| StoredMessage::from_row(row).map_err(Error::database(action())))
            .collect()
    }

    /// Runs a statement of your own, such as a look at a read model. `action` says in an error what
    /// was being done: "read the orders". The connection keeps the statement prepared.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn query(
        &self,
        action: &str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let client = self.client().await?;
        let rows = client.query_often(sql, parameters).await;
        rows.map_err(Error::database(action))
    }

    /// Calls a function that answers nothing.
    async fn call(&self, action: String, sql: &str, parameters: Parameters<'_>) -> Result<()> {
        let client = self.client().await?;
        let called = client.query(sql, parameters).await;
        called.map(|_| ()).map_err(Error::database(action))
    }

    /// Calls a function that answers one value.
    async fn answer<T: for<'a> FromSql<'a>>(
        &self,
        action: String,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<T> {
        let client = self.client().await?;
        let answered = client.query_one(sql, parameters).await;
        answered
            .and_then(|row| row.try_get(0))
            .map_err(Error::database(action))
    }

    /// The same of a function that finds names which people wrote: on the role's own search_path,
    /// which a new subscription also keeps.
    async fn answer_to_people<T: for<'a> FromSql<'a>>(
        &self,
        action: String,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<T> {
        let mut client = self.client().await?;
        let answered = async {
            let transaction = client.transaction().await?;
            on_own_path(&transaction).await?;
            let answer = transaction.query_one(sql, parameters).await?.try_get(0)?;
            transaction.commit().await?;
            Ok(answer)
        };
        answered.await.map_err(Error::database(action))
    }

    /// Rows of one JSON value each.
    async fn rows(
        &self,
        action: String,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Value>> {
        let client = self.client().await?;
        let rows = client.query(sql, parameters).await;
        rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
            .map_err(Error::database(action))
    }

    /// The same, read into what they are expected to be.
    async fn records<T: DeserializeOwned>(
        &self,
        action: &str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<T>> {
        let rows = self.rows(action.to_owned(), sql, parameters).await?;
        let records = rows.into_iter().map(serde_json::from_value);
        records
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| Error::Missing {
                what: format!("cannot {action}: {error}"),
            })
    }

    /// The same of one row, where there is one.
    async fn record<T: DeserializeOwned>(
        &self,
        action: &str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<T>> {
        let records = self.records(action, sql, parameters).await?;
        Ok(records.into_iter().next())
    }
}

/// Until the transaction ends, names are found on the role's own search_path.
async fn on_own_path(transaction: &Several<'_>) -> Result<(), tokio_postgres::Error> {
    let path = "SELECT pg_catalog.set_config('search_path', s.reset_val, true) \
                FROM pg_catalog.pg_settings s \
                WHERE s.name OPERATOR(pg_catalog.=) 'search_path'";
    transaction.query_one(path, &[]).await.map(|_| ())
}

/// What the role of a new connection has.
async fn powers_of(
    client: &deadpool_postgres::ClientWrapper,
    purpose: Purpose,
    is_own: bool,
) -> Result<Vec<Powers>, tokio_postgres::Error> {
    if is_own {
        return rights::powers(client).await;
    }
    client.batch_execute(&purpose.begin_transaction()).await?;
    let powers = rights::powers(client).await?;
    client.batch_execute("COMMIT").await?;
    Ok(powers)
}

/// Of a session that must not tick.
fn refused(problem: String) -> Error {
    Error::Config {
        origin: "of the connection".to_owned(),
        problem,
    }
}
