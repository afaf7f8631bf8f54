//! Shards: what a store is among others, and how one becomes two.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::{
    Row,
    error::SqlState,
    types::{FromSql, Json, ToSql},
};

use super::{Database, Session};
use crate::error::{Error, Result};

const LOOK: &str = "SELECT number, shards, map, addresses FROM message_store.shard";
const LOOKING: &str = "look which shard this is";

/// Somebody is in the way, for now.
const IN_USE: [SqlState; 2] = [
    SqlState::LOCK_NOT_AVAILABLE,
    SqlState::T_R_DEADLOCK_DETECTED,
];

/// What a store is among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0; `None` for a router.
    pub number: Option<i64>,
    /// How many there are.
    pub count: i64,
    /// The version of their map.
    pub map: i64,
    /// Where they are, in the order of their numbers.
    pub addresses: Vec<String>,
}

/// What a shard says: the view `shard_status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShardFacts {
    /// Which shard it is.
    #[serde(rename(deserialize = "shard"), skip_serializing)]
    pub number: i64,
    /// How many there are.
    pub shards: i64,
    /// The version of the map.
    pub map: i64,
    /// The last global position that was drawn.
    pub drawn: i64,
    /// Up to where messages are settled.
    pub settled: i64,
    /// The process that holds back what is not.
    pub held_by: Option<i32>,
    /// Subscriptions that may be seen.
    pub subscriptions: i64,
    /// How many of them are not started.
    pub not_running: i64,
    /// Messages that they have to handle.
    pub lag: i64,
    /// Messages that are parked.
    pub parked: i64,
}

/// Messages that live on one shard, wherever they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub messages: i64,
    /// The first global position and the last.
    pub range: Option<(i64, i64)>,
    /// A sum over their ids and positions.
    digest: String,
}

impl Shard {
    fn read(row: &Row) -> Result<Self> {
        let read = || -> std::result::Result<Self, tokio_postgres::Error> {
            Ok(Self {
                number: row.try_get(0)?,
                count: row.try_get(1)?,
                map: row.try_get(2)?,
                addresses: row
                    .try_get::<_, Option<Vec<String>>>(3)?
                    .unwrap_or_default(),
            })
        };
        read().map_err(Error::database(LOOKING))
    }

    /// Whether it is a router's.
    pub fn is_router(&self) -> bool {
        self.number.is_none()
    }
}

impl Database {
    /// What this store is among others; `None` where it is none of several, or too old to know.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn shard(&self) -> Result<Option<Shard>> {
        const NOTHING_KNOWN: [SqlState; 3] = [
            SqlState::UNDEFINED_TABLE,
            SqlState::INVALID_SCHEMA_NAME,
            SqlState::INSUFFICIENT_PRIVILEGE,
        ];
        match self.query(LOOKING, LOOK, &[]).await {
            Ok(rows) => rows.first().map(Shard::read).transpose(),
            Err(error)
                if error
                    .sql_state()
                    .is_some_and(|state| NOTHING_KNOWN.contains(state)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Session {
    /// What this store is among others; `None` where it is none of several.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn shard(&self) -> Result<Option<Shard>> {
        let row = self.client.query_opt(LOOK, &[]).await;
        let row = row.map_err(Error::database(LOOKING))?;
        row.map(|row| Shard::read(&row)).transpose()
    }

    /// How this shard is; `None` where it is none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn shard_facts(&self) -> Result<Option<ShardFacts>> {
        const LOOK: &str = "SELECT pg_catalog.to_jsonb(s) FROM message_store.shard_status s";
        let action = "look how the shard is";
        let row = self.client.query_opt(LOOK, &[]).await;
        let Some(row) = row.map_err(Error::database(action))? else {
            return Ok(None);
        };
        let facts: Json<ShardFacts> = row.try_get(0).map_err(Error::database(action))?;
        Ok(Some(facts.0))
    }

    /// Makes the store a shard, whose new positions lie above one. False where transactions that have
    /// written did not end within `patience`: nothing has happened.
    ///
    /// # Errors
    /// [`Error::Database`]; among others where it cannot become that.
    pub async fn become_shard(
        &self,
        shard: &Shard,
        above: i64,
        patience: Duration,
    ) -> Result<bool> {
        const BECOME: &str = "SELECT message_store.become_shard($1, $2, $3, $4, $5)";
        let action = "make it a shard";
        let limit = format!(
            "SET synchronous_commit = on; SET lock_timeout = {}",
            patience.as_millis()
        );
        self.client
            .batch_execute(&limit)
            .await
            .map_err(Error::database(action))?;
        let parameters: [&(dyn ToSql + Sync); 5] = [
            &shard.number,
            &shard.count,
            &shard.map,
            &shard.addresses,
            &above,
        ];
        match self.client.execute(BECOME, &parameters).await {
            Ok(_) => Ok(true),
            Err(error) if error.code().is_some_and(|code| IN_USE.contains(code)) => Ok(false),
            Err(error) => Err(Error::database(action)(error)),
        }
    }

    /// The last global position that was drawn or left out here.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn drawn_position(&self) -> Result<i64> {
        self.one(
            "ask how far positions were drawn",
            "SELECT message_store.advance_position(0)",
            &[],
        )
        .await
    }

    /// How far the write-ahead log goes.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_position(&self) -> Result<String> {
        self.one(
            "ask how far the log goes",
            "SELECT pg_catalog.pg_current_wal_lsn()::pg_catalog.text",
            &[],
        )
        .await
    }

    /// Whether the server is a standby.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn is_standby(&self) -> Result<bool> {
        self.one(
            "ask whether it is a standby",
            "SELECT pg_catalog.pg_is_in_recovery()",
            &[],
        )
        .await
    }

    /// How many bytes of the log a standby has still to replay up to a place in it; `None` where this is no
    /// standby.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn missing_up_to(&self, log_position: &str) -> Result<Option<i64>> {
        self.one(
            "ask how far the standby is",
            "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN GREATEST(0, \
               $1::pg_catalog.text::pg_catalog.pg_lsn - pg_catalog.pg_last_wal_replay_lsn())::pg_catalog.int8 END",
            &[&log_position],
        )
        .await
    }

    /// The server's own identity and the database's, which a standby shares with its primary.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn identity(&self) -> Result<(i64, u32)> {
        let action = "ask which server this is";
        let system = self
            .one(
                action,
                "SELECT system_identifier FROM pg_catalog.pg_control_system()",
                &[],
            )
            .await?;
        let database = "SELECT oid FROM pg_catalog.pg_database \
                        WHERE datname = pg_catalog.current_database()";
        Ok((system, self.one(action, database, &[]).await?))
    }

    /// Makes a standby a primary; returns when it is one. False where that takes longer than `patience`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn promote_standby(&self, patience: Duration) -> Result<bool> {
        let seconds = i32::try_from(patience.as_secs()).unwrap_or(i32::MAX);
        self.one(
            "promote the standby",
            "SELECT pg_catalog.pg_promote(true, $1)",
            &[&seconds],
        )
        .await
    }

    /// Tells a router where the shards are.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn use_shards(&self, addresses: &[String], map: i64) -> Result<()> {
        const USE: &str = "SELECT message_store.use_shards($1, $2)";
        let told = self.client.execute(USE, &[&addresses, &map]).await;
        told.map(drop)
            .map_err(Error::database("tell the router where the shards are"))
    }

    /// What lies here of the messages that live on the shard of this number, of so many, from one global
    /// position to another.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn share_of(&self, number: i64, count: i64, range: (i64, i64)) -> Result<Share> {
        const COUNT: &str = "SELECT count(*), min(global_position), max(global_position), \
               coalesce(sum(pg_catalog.hashtextextended(id::pg_catalog.text, global_position)), 0)::pg_catalog.text \
          FROM message_store.messages \
         WHERE message_store.shard_of(stream_name::pg_catalog.varchar, $2) = $1 \
           AND global_position BETWEEN $3 AND $4";
        let action = "count what lives on another shard";
        let parameters: [&(dyn ToSql + Sync); 4] = [&number, &count, &range.0, &range.1];
        let row = self.client.query_one(COUNT, &parameters).await;
        let row = row.map_err(Error::database(action))?;
        let read = || -> std::result::Result<Share, tokio_postgres::Error> {
            let (first, last): (Option<i64>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
            Ok(Share {
                messages: row.try_get(0)?,
                range: first.zip(last),
                digest: row.try_get(3)?,
            })
        };
        read().map_err(Error::database(action))
    }

    /// Whether messages were deleted here since it is the shard that it is.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn has_deleted_since_it_grew(&self) -> Result<bool> {
        self.one(
            "ask what was deleted since",
            "SELECT EXISTS (SELECT FROM message_store.deletions d, message_store.shard s \
               WHERE d.ended_at > s.since)",
            &[],
        )
        .await
    }

    /// Deletes what lies here and lives on another shard, of the next messages after a position, where this is
    /// what it is said to be; returns where to go on, `None` at the end.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn delete_moved_messages(&self, shard: &Shard, after: i64) -> Result<Option<i64>> {
        self.one(
            "delete what lives on another shard",
            "SELECT message_store.delete_moved_messages($1, $2, $3)",
            &[&shard.number, &shard.count, &after],
        )
        .await
    }

    async fn one<T: for<'a> FromSql<'a>>(
        &self,
        action: &'static str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<T> {
        let row = self.client.query_one(sql, parameters).await;
        let row = row.map_err(Error::database(action))?;
        row.try_get(0).map_err(Error::database(action))
    }
}
