//! Taking over a Message DB database, and giving it back.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::Session;
use crate::error::{Error, Result};

/// What a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Neither a Message DB nor a store.
    Nothing,
    /// A Message DB.
    MessageDb,
    /// A store that was never a Message DB, or the extension alone.
    Store,
    /// A store that was a Message DB.
    Adopted,
    /// A store that is being adopted: calls of Message DB's own functions may be running.
    Adopting,
    /// A Message DB again, in which calls of the store's functions may be running.
    Reverting,
}

/// Which way a database goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From Message DB to a store.
    Adopt,
    /// From a store to Message DB.
    Revert,
}

/// What a switch took.
#[derive(Debug, Clone, Copy)]
pub struct Switch {
    /// All of its transaction.
    pub took: Duration,
    /// How long it waited for transactions that had written. Others that write waited with it.
    pub waited: Duration,
    /// How long it kept writers out after that.
    pub held: Duration,
    /// Bytes of the table and its indexes that were written anew.
    pub rewritten: i64,
}

/// The table and its indexes.
macro_rules! of_messages {
    () => {
        "FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('message_store.messages') OR c.oid IN ( \
           SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = to_regclass('message_store.messages'))"
    };
}

impl Session {
    /// What the database holds.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn holding(&self) -> Result<Holding> {
        const LOOK: &str = "SELECT \
            EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'message_store' \
              AND extversion <> 'message_db'), \
            to_regclass('message_store.message_db_before') IS NOT NULL, \
            EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgname = 'message_store_adoption' \
              AND tgrelid = to_regclass('message_store.messages')), \
            (SELECT EXISTS (SELECT FROM pg_catalog.pg_depend d \
                WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') \
              FROM pg_catalog.pg_proc p WHERE p.oid = to_regprocedure( \
                'message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint)'))";
        let look = self.client.query_one(LOOK, &[]).await;
        let row = look.map_err(Error::database("look what the database holds"))?;
        let is = |column: usize| row.get::<_, bool>(column);
        // Whether the function to write with is the extension's.
        let is_ours: Option<bool> = row.get(3);
        Ok(match (is(0), is_ours) {
            (false, None) => Holding::Nothing,
            (false, Some(_)) => Holding::MessageDb,
            (true, Some(false)) => Holding::Reverting,
            (true, _) if is(2) => Holding::Adopting,
            (true, _) if is(1) => Holding::Adopted,
            (true, _) => Holding::Store,
        })
    }

    /// Goes one way, in one transaction; where `is_rehearsal`, everything is rolled back. `None` where
    /// transactions that have written did not end within `patience`: nothing has happened.
    ///
    /// # Errors
    /// [`Error::Database`], among others for what differs from a stock Message DB.
    pub async fn switch(
        &self,
        direction: Direction,
        patience: Duration,
        is_rehearsal: bool,
    ) -> Result<Option<Switch>> {
        let (action, statements) = match direction {
            Direction::Adopt => (
                "take over the Message DB database",
                "CREATE EXTENSION IF NOT EXISTS message_store VERSION 'message_db'; \
                 ALTER EXTENSION message_store UPDATE",
            ),
            Direction::Revert => (
                "give the database back to Message DB",
                "SELECT message_store.revert_adoption()",
            ),
        };
        let begun = Instant::now();
        let files = self.files_of_messages(action).await?;
        let sql = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {}; {statements}",
            patience.as_millis()
        );
        if let Err(error) = self.client.batch_execute(&sql).await {
            self.run(action, "ROLLBACK").await?;
            let is_in_use = [
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::T_R_DEADLOCK_DETECTED,
            ];
            return match error.code() {
                Some(code) if is_in_use.contains(code) => Ok(None),
                _ => Err(Error::database(action)(error)),
            };
        }
        let asked = Instant::now();
        let (waited, held) = self.lock_times(action).await?;
        let rewritten = self.rewritten_since(&files, action).await?;
        let end = if is_rehearsal { "ROLLBACK" } else { "COMMIT" };
        self.run(action, end).await?;
        Ok(Some(Switch {
            took: begun.elapsed(),
            waited,
            held: held + asked.elapsed(),
            rewritten,
        }))
    }

    /// How long the switch has waited for its lock, and held it until now.
    async fn lock_times(&self, action: &str) -> Result<(Duration, Duration)> {
        const TIMES: &str = "SELECT extract(epoch FROM held.since - asked.since)::float8, \
              extract(epoch FROM clock_timestamp() - held.since)::float8 \
            FROM (SELECT current_setting('message_store_adoption.waits_from')::timestamptz) AS asked (since), \
              (SELECT current_setting('message_store_adoption.holds_from')::timestamptz) AS held (since)";
        let row = self.client.query_one(TIMES, &[]).await;
        let times = row.and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let (waited, held) = times.map_err(Error::database(action))?;
        Ok((
            Duration::from_secs_f64(waited),
            Duration::from_secs_f64(held),
        ))
    }

    async fn files_of_messages(&self, action: &str) -> Result<Vec<u32>> {
        const FILES: &str = concat!("SELECT pg_relation_filenode(c.oid) ", of_messages!());
        let rows = self.client.query(FILES, &[]).await;
        let rows = rows.map_err(Error::database(action))?;
        Ok(rows.iter().filter_map(|row| row.get(0)).collect())
    }

    /// Bytes in files that were not there before.
    async fn rewritten_since(&self, files: &Vec<u32>, action: &str) -> Result<i64> {
        const REWRITTEN: &str = concat!(
            "SELECT coalesce(sum(pg_relation_size(c.oid)) FILTER ( \
               WHERE NOT pg_relation_filenode(c.oid) = ANY ($1)), 0)::bigint ",
            of_messages!()
        );
        let row = self.client.query_one(REWRITTEN, &[files]).await;
        row.and_then(|row| row.try_get(0))
            .map_err(Error::database(action))
    }

    /// Waits until the transactions that are older than a switch have ended, at most so long, and ends
    /// it. False where there was nothing to end.
    ///
    /// # Errors
    /// [`Error::Database`], with the process ids of those that are still running (55006).
    pub async fn finish_adoption(&self, patience: Duration) -> Result<bool> {
        const FINISH: &str = "SELECT message_store.finish_adoption($1::text::interval)";
        let wait = format!("{} ms", patience.as_millis());
        let row = self.client.query_one(FINISH, &[&wait]).await;
        row.and_then(|row| row.try_get(0))
            .map_err(Error::database("wait for transactions that are older"))
    }

    /// Drops the extension of a database that was given back.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn drop_extension(&self) -> Result<()> {
        self.run("drop the extension", "DROP EXTENSION message_store")
            .await
    }
}
