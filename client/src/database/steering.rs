//! What a person does to subscriptions through us: each in a transaction that
//! says for whom it is.

use serde_json::Value;
use tokio_postgres::{
    Row,
    types::{Json, ToSql},
};

use super::{
    Database, Handling, ParkedFilter,
    excerpt::{self, NAME},
    parked,
};
use crate::error::{Error, Result};

/// Which parked messages of a subscription an action is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those at these global positions.
    Positions(Vec<i64>),
    /// All that match.
    Matching(ParkedFilter),
    /// Those that failed alike: see [`super::FailureGroup`].
    Alike(i64),
}

/// The calls, on behalf of one person.
pub struct Steering<'a> {
    database: &'a Database,
    actor: &'a str,
}

/// Subscriptions and the positions of each, in the order in which every action takes their locks.
const CHOSEN: &str = "SELECT subscriber_id, array_agg(position) AS positions \
    FROM unnest($1::varchar[], $2::bigint[]) AS c (subscriber_id, position) GROUP BY 1 ORDER BY 1";

fn columns(chosen: &[(String, i64)]) -> (Vec<&str>, Vec<i64>) {
    let chosen = chosen.iter();
    chosen
        .map(|(id, position)| (id.as_str(), *position))
        .unzip()
}

/// The positions of those of `$1` that failed alike, as `$2` says.
fn failed_alike(handling: Handling) -> String {
    format!(
        "SELECT global_position FROM message_store.parked_messages \
         WHERE subscriber_id = $1::varchar AND {} AND {} = $2",
        handling.column(),
        parked::alike(),
    )
}

impl Database {
    /// Calls that the history will have under this person's name.
    pub fn acting_for<'a>(&'a self, actor: &'a str) -> Steering<'a> {
        Steering {
            database: self,
            actor,
        }
    }
}

impl Steering<'_> {
    /// Lets orchestrators tick it.
    ///
    /// # Errors
    /// [`Error::Database`], among others whatever `init` raised.
    pub async fn start(&self, subscriber_id: &str) -> Result<()> {
        let action = format!("start the subscription {subscriber_id}");
        let sql = "SELECT message_store.start($1)";
        self.run(action, sql, &[&subscriber_id]).await.map(drop)
    }

    /// Holds it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn pause(&self, subscriber_id: &str, reason: Option<&str>) -> Result<()> {
        let action = format!("pause the subscription {subscriber_id}");
        let sql = "SELECT message_store.pause($1, $2)";
        self.run(action, sql, &[&subscriber_id, &reason])
            .await
            .map(drop)
    }

    /// Ends it until it is started again.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn stop(&self, subscriber_id: &str, reason: Option<&str>) -> Result<()> {
        let action = format!("stop the subscription {subscriber_id}");
        let sql = "SELECT message_store.stop($1, $2)";
        self.run(action, sql, &[&subscriber_id, &reason])
            .await
            .map(drop)
    }

    /// Fills its read model anew, in place or beside the live one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rebuild(&self, subscriber_id: &str, side_by_side: bool) -> Result<()> {
        let action = format!("rebuild the subscription {subscriber_id}");
        let sql = "SELECT message_store.rebuild($1, $2)";
        self.run(action, sql, &[&subscriber_id, &side_by_side])
            .await
            .map(drop)
    }

    /// Puts the copies in the place of the live tables.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn promote(&self, subscriber_id: &str, may_empty: bool) -> Result<()> {
        let action = format!("promote the rebuild of {subscriber_id}");
        let sql = "SELECT message_store.promote($1, $2)";
        self.run(action, sql, &[&subscriber_id, &may_empty])
            .await
            .map(drop)
    }

    /// Gives up a rebuild side by side.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn cancel_rebuild(&self, subscriber_id: &str) -> Result<()> {
        let action = format!("cancel the rebuild of {subscriber_id}");
        let sql = "SELECT message_store.cancel_rebuild($1)";
        self.run(action, sql, &[&subscriber_id]).await.map(drop)
    }

    /// Sets it back to a position; its read model stays as it is.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn reset(&self, subscriber_id: &str, position: i64, reason: &str) -> Result<()> {
        let action = format!("reset the subscription {subscriber_id}");
        let sql = "SELECT message_store.reset($1, $2, $3)";
        let given: [&(dyn ToSql + Sync); 3] = [&subscriber_id, &position, &reason];
        self.run(action, sql, &given).await.map(drop)
    }

    /// Leaves out everything up to a position.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn skip(&self, subscriber_id: &str, position: i64, reason: &str) -> Result<()> {
        let action = format!("skip messages of the subscription {subscriber_id}");
        let sql = "SELECT message_store.skip($1, $2, $3)";
        let given: [&(dyn ToSql + Sync); 3] = [&subscriber_id, &position, &reason];
        self.run(action, sql, &given).await.map(drop)
    }

    /// Changes the number of members that share the work.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn resize_group(&self, subscriber_id: &str, group_size: i64) -> Result<()> {
        let action = format!("resize the group of {subscriber_id}");
        let sql = "SELECT message_store.resize_group($1, $2)";
        self.run(action, sql, &[&subscriber_id, &group_size])
            .await
            .map(drop)
    }

    /// The first differences between its read model and what a replay of the log into copies makes, and
    /// whether there are more; as [`Database::preview`] tells of changes, `before` what is expected and
    /// `after` what is found. Takes 60 seconds at most.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn verify(&self, subscriber_id: &str) -> Result<(Vec<Value>, bool)> {
        const SHOWN: usize = 200;
        const CHARACTERS: i64 = 4_000;
        let action = format!("verify the subscription {subscriber_id}");
        let sql = format!(
            "SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM ( \
               SELECT left(v.read_model, {NAME}) AS read_model, v.difference, \
                 v.expected IS NOT NULL AS had_row, v.found IS NOT NULL AS has_row, \
                 {} AS before, {} AS after \
               FROM message_store.verify($1) v LIMIT {SHOWN} + 1) t",
            excerpt::text("v.expected", excerpt::LISTED_BYTES, CHARACTERS),
            excerpt::text("v.found", excerpt::LISTED_BYTES, CHARACTERS),
        );
        let row = self.run(action.clone(), &sql, &[&subscriber_id]).await?;
        let Json(mut rows): Json<Vec<Value>> = row.try_get(0).map_err(Error::database(action))?;
        let has_more = rows.len() > SHOWN;
        rows.truncate(SHOWN);
        Ok((rows, has_more))
    }

    /// Has parked messages of any subscriptions handled again; returns how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn retry_chosen(&self, chosen: &[(String, i64)]) -> Result<i64> {
        let (ids, positions) = columns(chosen);
        let sql = format!(
            "SELECT coalesce(sum(message_store.retry_parked(subscriber_id, global_positions => positions)), 0)::bigint \
             FROM ({CHOSEN}) p"
        );
        let action = "retry parked messages".to_owned();
        let row = self.run(action, &sql, &[&ids, &positions]).await?;
        Ok(row.get(0))
    }

    /// Gives parked messages of any subscriptions up, with the reason kept; returns how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn discard_chosen(&self, reason: &str, chosen: &[(String, i64)]) -> Result<i64> {
        let (ids, positions) = columns(chosen);
        let sql = format!(
            "SELECT coalesce(sum(message_store.discard_parked(subscriber_id, $3, global_positions => positions)), 0)::bigint \
             FROM ({CHOSEN}) p"
        );
        let action = "discard parked messages".to_owned();
        let row = self.run(action, &sql, &[&ids, &positions, &reason]).await?;
        Ok(row.get(0))
    }

    /// Has parked messages handled again; returns how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn retry_parked(&self, subscriber_id: &str, which: &Which) -> Result<i64> {
        let action = format!("retry parked messages of {subscriber_id}");
        let row = match which {
            Which::Positions(positions) => {
                let sql = "SELECT message_store.retry_parked($1, global_positions => $2)";
                self.run(action, sql, &[&subscriber_id, positions]).await
            }
            Which::Alike(alike) => {
                let sql = format!(
                    "SELECT message_store.retry_parked($1::varchar, global_positions => ARRAY({}))",
                    failed_alike(Handling::Retry)
                );
                self.run(action, &sql, &[&subscriber_id, alike]).await
            }
            Which::Matching(filter) => {
                let sql = "SELECT message_store.retry_parked($1, $2, $3, $4)";
                let ParkedFilter {
                    global_position,
                    stream_name,
                    sqlstate,
                } = filter;
                let given: [&(dyn ToSql + Sync); 4] =
                    [&subscriber_id, global_position, stream_name, sqlstate];
                self.run(action, sql, &given).await
            }
        };
        Ok(row?.get(0))
    }

    /// Gives parked messages up, with the reason kept; returns how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn discard_parked(
        &self,
        subscriber_id: &str,
        reason: &str,
        which: &Which,
    ) -> Result<i64> {
        let action = format!("discard parked messages of {subscriber_id}");
        let row = match which {
            Which::Positions(positions) => {
                let sql = "SELECT message_store.discard_parked($1, $2, global_positions => $3)";
                let given: [&(dyn ToSql + Sync); 3] = [&subscriber_id, &reason, positions];
                self.run(action, sql, &given).await
            }
            Which::Alike(alike) => {
                let sql = format!(
                    "SELECT message_store.discard_parked($1::varchar, $3, global_positions => ARRAY({}))",
                    failed_alike(Handling::Discard)
                );
                let given: [&(dyn ToSql + Sync); 3] = [&subscriber_id, alike, &reason];
                self.run(action, &sql, &given).await
            }
            Which::Matching(filter) => {
                let sql = "SELECT message_store.discard_parked($1, $2, $3, $4, $5)";
                let ParkedFilter {
                    global_position,
                    stream_name,
                    sqlstate,
                } = filter;
                let given: [&(dyn ToSql + Sync); 5] = [
                    &subscriber_id,
                    &reason,
                    global_position,
                    stream_name,
                    sqlstate,
                ];
                self.run(action, sql, &given).await
            }
        };
        Ok(row?.get(0))
    }

    /// One statement, all or nothing. It may take longer than a page: a rebuild
    /// empties tables.
    async fn run(&self, action: String, sql: &str, given: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        const PREPARE: &str = "SELECT pg_catalog.set_config('message_store.actor', $1, true), \
             pg_catalog.set_config('statement_timeout', '60s', true), \
             pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)";
        let mut client = self.database.client().await?;
        let done = async {
            let transaction = client.transaction().await?;
            transaction.query_one(PREPARE, &[&self.actor]).await?;
            let row = transaction.query_one(sql, given).await?;
            transaction.commit().await?;
            Ok(row)
        };
        done.await.map_err(Error::database(action))
    }
}
