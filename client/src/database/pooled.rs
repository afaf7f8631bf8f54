//! A connection of the pool, and how a statement runs on it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use deadpool_postgres::{Client, ClientWrapper, Object, Transaction};
use tokio_postgres::{
    Error, IsolationLevel, Row, Statement,
    error::SqlState,
    types::{ToSql, Type},
};

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];
type Typed<'a> = Vec<(&'a (dyn ToSql + Sync), Type)>;

/// Statements whose parameters' types are remembered: more than we have, so that those which users make
/// up do not pile up.
const REMEMBERED: usize = 1_000;

/// How statements run in sessions of a pooler's, which are ours for a transaction only.
pub(super) struct Guest {
    /// Begins a transaction that brings our settings.
    begin: String,
    /// A statement that is prepared to learn its types must be gone before the transaction ends, while
    /// rows keep it: so it is prepared once, and runs without a name.
    types: Mutex<HashMap<String, Arc<[Type]>>>,
}

impl Guest {
    pub(super) fn new(begin: String) -> Self {
        Self {
            begin,
            types: Mutex::default(),
        }
    }

    /// The parameters with their types. For within a transaction.
    async fn typed<'a>(
        &self,
        client: &tokio_postgres::Client,
        sql: &str,
        given: Parameters<'a>,
    ) -> Result<Typed<'a>, Error> {
        let known = self.types().get(sql).cloned();
        let types = match known {
            Some(types) => types,
            None => {
                let types: Arc<[Type]> = client.prepare(sql).await?.params().into();
                let mut known = self.types();
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(sql.to_owned(), types.clone());
                types
            }
        };
        Ok(given.iter().copied().zip(types.iter().cloned()).collect())
    }

    fn types(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<[Type]>>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a statement by the client's function of this name; without a name of its own, by the other one,
/// where the session is not ours.
macro_rules! run {
    ($client:ident, $guest:ident, $sql:ident, $given:ident, $run:ident, $run_typed:ident) => {
        match $guest {
            None => $client.$run($sql, $given).await,
            Some(guest) => match guest.typed($client, $sql, $given).await {
                Ok(typed) => $client.$run_typed($sql, &typed).await,
                Err(error) => Err(error),
            },
        }
    };
}

/// The server's processes behind the connections of a pool.
#[derive(Clone, Default)]
pub(super) struct Processes(Arc<Mutex<HashMap<usize, i32>>>);

impl Processes {
    /// A connection is known by what the pool keeps for it alone.
    fn key(client: &ClientWrapper) -> usize {
        Arc::as_ptr(&client.statement_cache).addr()
    }

    pub(super) fn remember(&self, client: &ClientWrapper, process: i32) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(Self::key(client), process);
    }

    pub(super) fn of(&self, client: &ClientWrapper) -> Option<i32> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&Self::key(client)).copied()
    }
}

/// A connection for as long as somebody has it. It goes back to the pool, unless it is no good any more:
/// its user left it in the middle of a statement, or its session only reads, as a setting told it when
/// it began.
pub struct Pooled {
    client: Option<Client>,
    guest: Option<Arc<Guest>>,
    process: Option<i32>,
    is_at_work: AtomicBool,
    only_reads: AtomicBool,
}

impl Pooled {
    /// `guest` where the session is not ours alone; else `process`, which serves it.
    pub(super) fn new(client: Client, guest: Option<Arc<Guest>>, process: Option<i32>) -> Self {
        Self {
            client: Some(client),
            guest,
            process,
            is_at_work: AtomicBool::new(false),
            only_reads: AtomicBool::new(false),
        }
    }

    fn client(&self) -> &Client {
        // Only drop takes it.
        self.client.as_ref().unwrap_or_else(|| unreachable!())
    }

    /// The server's process, where the session is ours.
    pub fn process(&self) -> Option<i32> {
        self.process
    }

    /// The rows of a statement.
    pub async fn query(&self, sql: &str, given: Parameters<'_>) -> Result<Vec<Row>, Error> {
        self.begin().await?;
        let (client, guest) = (self.client(), self.guest.as_deref());
        self.end(run!(client, guest, sql, given, query, query_typed))
            .await
    }

    /// The one row of a statement.
    pub async fn query_one(&self, sql: &str, given: Parameters<'_>) -> Result<Row, Error> {
        self.begin().await?;
        let (client, guest) = (self.client(), self.guest.as_deref());
        self.end(run!(client, guest, sql, given, query_one, query_typed_one))
            .await
    }

    /// The row of a statement, where there is one.
    pub async fn query_opt(&self, sql: &str, given: Parameters<'_>) -> Result<Option<Row>, Error> {
        self.begin().await?;
        let (client, guest) = (self.client(), self.guest.as_deref());
        self.end(run!(client, guest, sql, given, query_opt, query_typed_opt))
            .await
    }

    /// The rows of a statement that runs often: it stays prepared where the session is ours.
    pub async fn query_often(&self, sql: &str, given: Parameters<'_>) -> Result<Vec<Row>, Error> {
        if self.guest.is_some() {
            return self.query(sql, given).await;
        }
        let statement = self.prepare(sql).await?;
        let rows = self.client().query(&statement, given).await;
        self.end_prepared(rows).await
    }

    /// The same of the one row of a statement.
    pub async fn query_one_often(&self, sql: &str, given: Parameters<'_>) -> Result<Row, Error> {
        if self.guest.is_some() {
            return self.query_one(sql, given).await;
        }
        let statement = self.prepare(sql).await?;
        let row = self.client().query_one(&statement, given).await;
        self.end_prepared(row).await
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.begin().await?;
        match self.client().prepare_cached(sql).await {
            Ok(statement) => Ok(statement),
            refused => self.end_prepared(refused).await,
        }
    }

    /// What was prepared before an upgrade of the extension can stay unusable for good.
    async fn end_prepared<T>(&self, ran: Result<T, Error>) -> Result<T, Error> {
        if ran.is_err() {
            self.client().statement_cache.clear();
        }
        self.end(ran).await
    }

    /// A transaction of several statements, in READ COMMITTED.
    pub async fn transaction(&mut self) -> Result<Several<'_>, Error> {
        let (only_reads, guest) = (&self.only_reads, self.guest.as_deref());
        let client = self.client.as_mut().unwrap_or_else(|| unreachable!());
        let begun = client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted)
            .start();
        Ok(Several {
            transaction: begun.await?,
            guest,
            only_reads,
        })
    }

    async fn begin(&self) -> Result<(), Error> {
        self.is_at_work.store(true, Ordering::Relaxed);
        match &self.guest {
            None => Ok(()),
            Some(guest) => self.client().batch_execute(&guest.begin).await,
        }
    }

    async fn end<T>(&self, ran: Result<T, Error>) -> Result<T, Error> {
        note(&ran, &self.only_reads);
        if self.guest.is_some() {
            let end = if ran.is_ok() { "COMMIT" } else { "ROLLBACK" };
            let ended = self.client().batch_execute(end).await;
            note(&ended, &self.only_reads);
            ended?;
        }
        self.is_at_work.store(false, Ordering::Relaxed);
        ran
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let is_spent = *self.is_at_work.get_mut() || *self.only_reads.get_mut();
        if let Some(client) = self.client.take().filter(|_| is_spent) {
            drop(Object::take(client));
        }
    }
}

/// A transaction of several statements; rolled back unless committed.
pub struct Several<'a> {
    transaction: Transaction<'a>,
    guest: Option<&'a Guest>,
    only_reads: &'a AtomicBool,
}

impl Several<'_> {
    /// The one row of a statement.
    pub async fn query_one(&self, sql: &str, given: Parameters<'_>) -> Result<Row, Error> {
        let (client, guest) = (self.transaction.client(), self.guest);
        let row = run!(client, guest, sql, given, query_one, query_typed_one);
        note(&row, self.only_reads);
        row
    }

    /// Commits.
    pub async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await
    }
}

/// Remembers that a session only reads.
fn note<T>(ran: &Result<T, Error>, only_reads: &AtomicBool) {
    let state = ran.as_ref().err().and_then(Error::code);
    if state == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) {
        only_reads.store(true, Ordering::Relaxed);
    }
}
