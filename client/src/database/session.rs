//! Connections of their own: the waiter's, a loader's, and the one that
//! prepares a private cluster.

use std::time::Duration;

use tokio_postgres::{CancelToken, Client, Statement, types::Json};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use super::{Arguments, NewMessage, Powers, WRITE_MESSAGE, rights, status::PRESENCE_CLASS};
use crate::{
    connection::{
        Target,
        opening::{self, Purpose},
    },
    error::{Error, Result},
};

/// How much longer than asked the server may take to answer a wait before the
/// connection counts as dead: 15 s.
const ANSWER_GRACE: Duration = Duration::from_secs(15);

/// How long a server may take to hear that a statement is to end: 1 s.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// One connection outside the pool. Closing is dropping it.
pub struct Session {
    pub(super) client: Client,
    tls: MakeRustlsConnect,
}

/// Each array is a column; the rows are written in the order of the arrays.
const WRITE_MESSAGES: &str = "SELECT message_store.write_message(m.id, m.stream, m.type, m.data, \
     m.metadata, m.expected_version) FROM ROWS FROM (unnest($1::varchar[], $2::varchar[], \
     $3::varchar[], $4::jsonb[], $5::jsonb[], $6::bigint[])) \
     AS m (id, stream, type, data, metadata, expected_version)";

/// The prepared statements of a load.
pub struct WriteStatements {
    one: Statement,
    many: Statement,
}

/// A message of a transaction that the server refused.
#[derive(Debug)]
pub struct Refused {
    /// Which of the messages, from 0; `None` where the transaction itself failed.
    pub index: Option<usize>,
    /// Why.
    pub error: Error,
}

impl Session {
    /// Connects. No limit of time that the database sets holds in it.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Config`] where the address leads to a pooler, whose sessions are
    /// not for one client alone.
    pub async fn connect(target: &Target) -> Result<Self> {
        let patience = ANSWER_GRACE.max(target.patience());
        let opened = tokio::time::timeout(patience, Self::open(target)).await;
        opened.unwrap_or_else(|_| Err(Error::no_answer(&target.label, patience)))
    }

    async fn open(target: &Target) -> Result<Self> {
        let connected = opening::connect(&target.config, target.tls.clone()).await;
        let (client, _) = connected.map_err(|error| Error::Connect {
            target: target.label.clone(),
            problem: crate::error::describe(&error),
        })?;
        let begun = Purpose::Waiting.begin(&client).await;
        let own = begun.map_err(Error::database("begin a session"))?;
        if own.is_none() {
            return Err(Error::Config {
                origin: format!("of the address {}", target.label),
                problem:
                    "this needs a session of its own, and the address leads to a pooler; name \
                          the server itself ([database] wait_url, or --url)"
                        .to_owned(),
            });
        }
        Ok(Self {
            client,
            tls: target.tls.clone(),
        })
    }

    /// Waits in the server until a position above `after` was drawn, at most
    /// `timeout`; returns the last drawn position. The message at that position
    /// may still be uncommitted.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::Connect`] where the server gave no answer
    /// long after the timeout.
    pub async fn wait_for_messages(&self, after: i64, timeout: Duration) -> Result<i64> {
        // A literal CALL: it must be the whole statement, outside a transaction.
        const WAIT: &str = "CALL message_store.wait_for_messages($1, $2::text::interval)";
        let action = "wait for messages";
        let interval = format!("{} ms", timeout.as_millis());
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&after, &interval];
        let answer = self.client.query_one(WAIT, &parameters);
        let row = tokio::time::timeout(timeout + ANSWER_GRACE, answer)
            .await
            .map_err(|_| Error::Connect {
                target: "the waiting connection".to_owned(),
                problem: "the server stopped answering".to_owned(),
            })?
            .map_err(Error::database(action))?;
        let last: Option<i64> = row.try_get(0).map_err(Error::database(action))?;
        Ok(last.unwrap_or(0))
    }

    /// Shows everybody, in `pg_locks`, that this process is alive, as long as the
    /// session lasts: by a shared advisory lock of [`PRESENCE_CLASS`]. Never waits:
    /// where somebody holds the lock for himself, this process is just not counted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn show_presence(&self) -> Result<()> {
        const SHOW: &str = "SELECT pg_catalog.pg_try_advisory_lock_shared($1, $2)";
        let process = i32::try_from(std::process::id()).unwrap_or(0);
        let shown = self
            .client
            .query_one(SHOW, &[&PRESENCE_CLASS, &process])
            .await
            .map_err(Error::database("show that we are alive"))?;
        debug!(is_counted = shown.get::<_, bool>(0), "presence");
        Ok(())
    }

    /// What its roles have, as [`super::Database::powers`] says it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn powers(&self) -> Result<Vec<Powers>> {
        let powers = rights::powers(&self.client).await;
        powers.map_err(Error::database("look at what the role may do"))
    }

    /// Ends a running statement in the server, so that it does not wait on for
    /// a client that left. Best effort.
    pub async fn cancel(&self) {
        let token: CancelToken = self.client.cancel_token();
        let cancelled = token.cancel_query(self.tls.clone());
        match tokio::time::timeout(CANCEL_PATIENCE, cancelled).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let problem = crate::error::describe(&error);
                debug!("cannot cancel the waiting statement: {problem}");
            }
            Err(_) => debug!("cannot cancel the waiting statement: no answer"),
        }
    }

    /// Prepares the statements [`Session::write_transaction`] needs.
    ///
    /// # Errors
    /// [`Error::Database`] where the store is missing.
    pub async fn prepare_write(&self) -> Result<WriteStatements> {
        let action = "prepare write_message; is the extension installed";
        let prepare = |sql| self.client.prepare(sql);
        let one = prepare(WRITE_MESSAGE)
            .await
            .map_err(Error::database(action))?;
        let many = prepare(WRITE_MESSAGES)
            .await
            .map_err(Error::database(action))?;
        Ok(WriteStatements { one, many })
    }

    /// Writes the messages in order, in one transaction: as one statement, and
    /// where that is refused, one by one to learn which of them is at fault.
    ///
    /// # Errors
    /// [`Refused`]: nothing of these messages is written. Only where the
    /// connection was lost is that unknown.
    pub async fn write_transaction(
        &self,
        write: &WriteStatements,
        messages: &[NewMessage],
    ) -> std::result::Result<(), Refused> {
        match self.write_at_once(&write.many, messages).await {
            Err(error) if error.code().is_some() => {
                debug!("writing one by one: {}", crate::error::describe(&error));
                self.write_one_by_one(&write.one, messages).await
            }
            written => written.map_err(|error| Refused {
                index: None,
                error: Error::database("write a batch of messages")(error),
            }),
        }
    }

    async fn write_at_once(
        &self,
        write: &Statement,
        messages: &[NewMessage],
    ) -> std::result::Result<(), tokio_postgres::Error> {
        fn column<'a, T>(
            messages: &'a [NewMessage],
            value: impl Fn(&'a NewMessage) -> T,
        ) -> Vec<T> {
            messages.iter().map(value).collect()
        }
        let ids = column(messages, |message| message.id.as_str());
        let streams = column(messages, |message| message.stream.as_str());
        let types = column(messages, |message| message.message_type.as_str());
        let data = column(messages, |message| message.data.as_ref().map(Json));
        let metadata = column(messages, |message| message.metadata.as_ref().map(Json));
        let versions = column(messages, |message| message.expected_version);
        self.client
            .execute(
                write,
                &[&ids, &streams, &types, &data, &metadata, &versions],
            )
            .await?;
        Ok(())
    }

    /// Without waiting for one answer before sending the next.
    async fn write_one_by_one(
        &self,
        write: &Statement,
        messages: &[NewMessage],
    ) -> std::result::Result<(), Refused> {
        let refused = |action: &str, error| Refused {
            index: None,
            error: Error::database(action.to_owned())(error),
        };
        let begin = self
            .client
            .batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
        begin
            .await
            .map_err(|error| refused("begin a transaction", error))?;
        let writes = messages
            .iter()
            .map(|message| write_with(&self.client, write, message));
        let results = futures_util::future::join_all(writes).await;
        // The first failure in order is the cause; the others follow from it.
        let failed = results
            .into_iter()
            .enumerate()
            .find_map(|(i, r)| r.err().map(|e| (i, e)));
        if let Some((index, error)) = failed {
            if let Err(error) = self.client.batch_execute("ROLLBACK").await {
                debug!("rollback: {}", crate::error::describe(&error));
            }
            let action = messages.get(index).map_or_else(String::new, |message| {
                format!(
                    "write a {} to the stream {}",
                    message.message_type, message.stream
                )
            });
            return Err(Refused {
                index: Some(index),
                error: Error::database(action)(error),
            });
        }
        let commit = self.client.batch_execute("COMMIT");
        commit.await.map_err(|error| refused("commit", error))
    }

    /// True where the cluster has a database of this name; else creates it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn ensure_database(&self, name: &str) -> Result<()> {
        let action = || format!("create the database {name}");
        let found = self
            .client
            .query_opt(
                "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1",
                &[&name],
            )
            .await
            .map_err(Error::database(action()))?;
        if found.is_none() {
            let quoted = name.replace('"', "\"\"");
            self.client
                .batch_execute(&format!("CREATE DATABASE \"{quoted}\""))
                .await
                .map_err(Error::database(action()))?;
        }
        Ok(())
    }

    /// Installs the extension where it is missing, brings an older one up to
    /// the installed files, and makes the store's tables.
    ///
    /// # Errors
    /// [`Error::Database`], among others where this PostgreSQL has no such
    /// extension.
    pub async fn ensure_store(&self) -> Result<()> {
        const OUTDATED: &str = "SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = \
                                'message_store' AND installed_version <> default_version";
        let install = "install the extension message_store (is it in this PostgreSQL? \
                       `make install PG_CONFIG=...` puts it there)";
        self.run(install, "CREATE EXTENSION IF NOT EXISTS message_store")
            .await?;
        let update = "bring the extension message_store up to date";
        let outdated = self
            .client
            .query_opt(OUTDATED, &[])
            .await
            .map_err(Error::database(update))?;
        if outdated.is_some() {
            self.run(update, "ALTER EXTENSION message_store UPDATE")
                .await?;
        }
        self.run(
            "create the message store's tables",
            "SELECT message_store.create_store()",
        )
        .await
    }

    /// Runs statements that answer nothing. `action` says in an error what they are for.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn run(&self, action: &str, sql: &str) -> Result<()> {
        let run = self.client.batch_execute(sql).await;
        run.map_err(Error::database(action))
    }
}

/// One `write_message`; returns the position in the stream.
async fn write_with(
    client: &Client,
    write: &Statement,
    message: &NewMessage,
) -> std::result::Result<i64, tokio_postgres::Error> {
    let arguments = Arguments::of(message);
    let row = client.query_one(write, &arguments.given()).await?;
    row.try_get(0)
}
