//! A connection of the pool, and how a statement runs on it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use deadpool_postgres::{Client, Object, Transaction};
use tokio_postgres::{
    Error, IsolationLevel, Row,
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

/// A connection for as long as somebody has it. It goes back to the pool, unless it is no good any more:
/// in a transaction that its user left, or in a session that only reads, as a setting told it when it
/// began.
pub struct Pooled {
    client: Option<Client>,
    guest: Option<Arc<Guest>>,
    is_in_transaction: AtomicBool,
    only_reads: AtomicBool,
}

impl Pooled {
    /// `guest` where the session is not ours alone.
    pub(super) fn new(client: Client, guest: Option<Arc<Guest>>) -> Self {
        Self {
            client: Some(client),
            guest,
            is_in_transaction: AtomicBool::new(false),
            only_reads: AtomicBool::new(false),
        }
    }

    fn client(&self) -> &Client {
        // Only drop takes it.
        self.client.as_ref().unwrap_or_else(|| unreachable!())
    }

    /// The rows of a statement.
    pub async fn query(&self, sql: &str, given: Parameters<'_>) -> Result<Vec<Row>, Error> {
        let Some(guest) = &self.guest else {
            return self.note(self.client().query(sql, given).await);
        };
        self.begin(guest).await?;
        let rows = match guest.typed(self.client(), sql, given).await {
            Ok(typed) => self.client().query_typed(sql, &typed).await,
            Err(error) => Err(error),
        };
        self.end(rows).await
    }

    /// The one row of a statement.
    pub async fn query_one(&self, sql: &str, given: Parameters<'_>) -> Result<Row, Error> {
        let Some(guest) = &self.guest else {
            return self.note(self.client().query_one(sql, given).await);
        };
        self.begin(guest).await?;
        let row = match guest.typed(self.client(), sql, given).await {
            Ok(typed) => self.client().query_typed_one(sql, &typed).await,
            Err(error) => Err(error),
        };
        self.end(row).await
    }

    /// The row of a statement, where there is one.
    pub async fn query_opt(&self, sql: &str, given: Parameters<'_>) -> Result<Option<Row>, Error> {
        let Some(guest) = &self.guest else {
            return self.note(self.client().query_opt(sql, given).await);
        };
        self.begin(guest).await?;
        let row = match guest.typed(self.client(), sql, given).await {
            Ok(typed) => self.client().query_typed_opt(sql, &typed).await,
            Err(error) => Err(error),
        };
        self.end(row).await
    }

    /// The rows of a statement that runs often: it stays prepared where the session is ours.
    pub async fn query_often(&self, sql: &str, given: Parameters<'_>) -> Result<Vec<Row>, Error> {
        if self.guest.is_some() {
            return self.query(sql, given).await;
        }
        let rows = async {
            let statement = self.client().prepare_cached(sql).await?;
            self.client().query(&statement, given).await
        };
        let rows = rows.await;
        if rows.is_err() {
            // What was prepared before an upgrade of the extension can stay unusable for good.
            self.client().statement_cache.clear();
        }
        self.note(rows)
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

    async fn begin(&self, guest: &Guest) -> Result<(), Error> {
        self.is_in_transaction.store(true, Ordering::Relaxed);
        self.client().batch_execute(&guest.begin).await
    }

    async fn end<T>(&self, ran: Result<T, Error>) -> Result<T, Error> {
        let end = if ran.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.client().batch_execute(end).await;
        if ended.is_ok() {
            self.is_in_transaction.store(false, Ordering::Relaxed);
        }
        self.note(ran.and_then(|answer| ended.map(|()| answer)))
    }

    fn note<T>(&self, ran: Result<T, Error>) -> Result<T, Error> {
        note(&ran, &self.only_reads);
        ran
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let is_spent = *self.is_in_transaction.get_mut() || *self.only_reads.get_mut();
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
        let row = match self.guest {
            None => self.transaction.query_one(sql, given).await,
            Some(guest) => match guest.typed(self.transaction.client(), sql, given).await {
                Ok(typed) => self.transaction.query_typed_one(sql, &typed).await,
                Err(error) => Err(error),
            },
        };
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
