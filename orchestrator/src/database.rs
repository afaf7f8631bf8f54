//! The only SQL of the daemon: one typed function per statement, on the
//! extension's public functions and views.

use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tokio_postgres::{Row, types::Json};

use crate::{
    config::Subscription,
    connection::Target,
    error::{Error, Result},
};

mod session;

pub use session::Session;

/// How long a caller waits for a free or new connection: 10 s.
const POOL_PATIENCE: Duration = Duration::from_secs(10);

const WRITE_MESSAGE: &str = "SELECT message_store.write_message($1, $2, $3, $4, $5, $6)";

/// A small pool of connections to one database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    target: Target,
}

/// A message to be written.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The unique id: a UUID as text.
    pub id: String,
    /// The stream it is appended to.
    pub stream: String,
    /// The message type.
    pub message_type: String,
    /// The data, a JSON value kept as it was typed.
    pub data: Box<RawValue>,
    /// The metadata, where there is any.
    pub metadata: Option<Box<RawValue>>,
    /// The version the stream must have (-1: no messages), where that matters.
    pub expected_version: Option<i64>,
}

/// A message as it is read: one line of `orchestrator read`.
#[derive(Debug, Serialize)]
pub struct StoredMessage {
    /// The unique id.
    pub id: String,
    /// The stream.
    pub stream: String,
    /// The message type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// The position in the stream, from 0.
    pub position: i64,
    /// The position in the store, from 1, with gaps.
    #[serde(rename = "globalPosition")]
    pub global_position: i64,
    /// The data, exactly as stored.
    pub data: Option<Box<RawValue>>,
    /// The metadata, exactly as stored.
    pub metadata: Option<Box<RawValue>>,
    /// When it was written, UTC, ISO 8601 with microseconds.
    pub time: String,
}

/// What a read goes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One stream, by name.
    Stream(String),
    /// Every stream of a category.
    Category(String),
    /// Every message of the store.
    All,
}

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
}

/// The result of one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// What happened.
    pub outcome: Outcome,
    /// Messages of the category that were read.
    pub scanned: i64,
    /// Messages that were given to a handler.
    pub handled: i64,
    /// The last scanned global position, now stored.
    pub position: i64,
}

/// The home page's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HomePage {
    /// Videos watched.
    pub videos_watched: i64,
    /// Global position of the last view that was counted.
    pub last_view_processed: i64,
}

impl Database {
    /// Prepares a pool of at most `connections`; connects at the first use.
    ///
    /// # Errors
    /// [`Error::Config`] where the pool refuses its settings.
    pub fn open(target: &Target, connections: usize) -> Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager =
            Manager::from_config(target.config.clone(), target.tls.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(POOL_PATIENCE))
            .create_timeout(Some(POOL_PATIENCE))
            .build()
            .map_err(|error| Error::Config {
                origin: "connection pool".to_owned(),
                problem: error.to_string(),
            })?;
        Ok(Self { pool, target: target.clone() })
    }

    /// Host and database, for people.
    pub fn label(&self) -> &str {
        &self.target.label
    }

    /// A connection of its own, outside the pool, to the same database.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn session(&self) -> Result<Session> {
        Session::connect(&self.target).await
    }

    async fn client(&self) -> Result<Client> {
        self.pool.get().await.map_err(|error| Error::Connect {
            target: self.target.label.clone(),
            problem: match error {
                PoolError::Backend(error) => crate::error::describe(&error),
                PoolError::Timeout(_) => {
                    format!("no connection within {} s", POOL_PATIENCE.as_secs())
                }
                other => other.to_string(),
            },
        })
    }

    /// Proves that the database answers.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn ping(&self) -> Result<()> {
        let client = self.client().await?;
        client.simple_query("SELECT 1").await.map_err(Error::database("reach the database"))?;
        Ok(())
    }

    /// Makes the store's tables where they are missing.
    ///
    /// # Errors
    /// [`Error::Database`], among others where the role may not create them.
    pub async fn create_store(&self) -> Result<()> {
        let client = self.client().await?;
        client
            .execute("SELECT message_store.create_store()", &[])
            .await
            .map_err(Error::database("create the message store's tables"))?;
        Ok(())
    }

    /// Declares a subscription, or brings the stored declaration up to date.
    /// True where something changed.
    ///
    /// # Errors
    /// [`Error::Database`] where a handler is unknown, or where the subscriber
    /// already reads another category.
    pub async fn create_subscription(&self, subscription: &Subscription) -> Result<bool> {
        let id = subscription.subscriber_id.as_str();
        let action = || format!("create the subscription {id}");
        let client = self.client().await?;
        let handlers = Json(&subscription.handlers);
        let options = Json(subscription.options());
        let row = client
            .query_one(
                "SELECT message_store.create_subscription($1, $2, $3, $4)",
                &[&id, &subscription.category.as_str(), &handlers, &options],
            )
            .await
            .map_err(Error::database(action()))?;
        row.try_get(0).map_err(Error::database(action()))
    }

    /// Runs the subscription's `init` and marks it started.
    ///
    /// # Errors
    /// [`Error::Database`], among others whatever `init` raised.
    pub async fn start(&self, subscriber_id: &str) -> Result<()> {
        let client = self.client().await?;
        client
            .execute("SELECT message_store.start($1)", &[&subscriber_id])
            .await
            .map_err(Error::database(format!("start the subscription {subscriber_id}")))?;
        Ok(())
    }

    /// Runs one tick: effects and position commit together, or neither does.
    ///
    /// # Errors
    /// [`Error::Database`] with whatever a handler raised; the position is
    /// unchanged then.
    pub async fn tick(&self, subscriber_id: &str, batch_size: i64) -> Result<Tick> {
        const TICK: &str =
            "SELECT outcome, scanned, handled, position FROM message_store.tick($1, $2)";
        let action = || format!("tick the subscription {subscriber_id}");
        let client = self.client().await?;
        let ticked = async {
            let statement = client.prepare_cached(TICK).await?;
            let row = client.query_one(&statement, &[&subscriber_id, &batch_size]).await?;
            Ok((row.try_get::<_, String>(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
        };
        let (word, scanned, handled, position) = ticked.await.map_err(|error| {
            // A statement prepared before an upgrade of the extension can stay
            // unusable for good; the next tick prepares it anew.
            client.statement_cache.clear();
            Error::database(action())(error)
        })?;
        let outcome = Outcome::from_word(&word).ok_or_else(|| Error::Config {
            origin: format!("database {}", self.label()),
            problem: format!(
                "tick answered {word:?}, which this orchestrator does not know; \
                 use the orchestrator that belongs to the installed extension"
            ),
        })?;
        Ok(Tick { outcome, scanned, handled, position })
    }

    /// Writes one message; returns its position in the stream.
    ///
    /// # Errors
    /// [`Error::Database`], among others for a wrong expected version.
    pub async fn write_message(&self, message: &NewMessage) -> Result<i64> {
        let action = || format!("write to the stream {}", message.stream);
        let client = self.client().await?;
        let statement =
            client.prepare_cached(WRITE_MESSAGE).await.map_err(Error::database(action()))?;
        session::write_with(&client, &statement, message).await.map_err(Error::database(action()))
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
        const COLUMNS: &str = "id, stream_name, type, position, global_position, data, metadata, \
                               to_char(time, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        let action = || format!("read {source}");
        let client = self.client().await?;
        let rows = match source {
            Source::Stream(name) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM message_store.get_stream_messages($1, $2, $3)"
                );
                client.query(&sql, &[name, &position, &batch_size]).await
            }
            Source::Category(name) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM message_store.get_category_messages($1, $2, $3)"
                );
                client.query(&sql, &[name, &position, &batch_size]).await
            }
            Source::All => {
                let sql =
                    format!("SELECT {COLUMNS} FROM message_store.get_all_messages($1, $2)");
                client.query(&sql, &[&position, &batch_size]).await
            }
        };
        rows.map_err(Error::database(action()))?
            .iter()
            .map(|row| stored_message(row).map_err(Error::database(action())))
            .collect()
    }

    /// Loads the home page by its primary key; zeros where the row is missing.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn home_page(&self) -> Result<HomePage> {
        const LOAD: &str =
            "SELECT page_data FROM message_store.read_model_pages WHERE page_name = 'home'";
        let client = self.client().await?;
        let loaded = async {
            let statement = client.prepare_cached(LOAD).await?;
            let row = client.query_opt(&statement, &[]).await?;
            row.map(|row| row.try_get::<_, Option<Value>>(0)).transpose()
        };
        let page_data = loaded.await.map_err(Error::database("load the home page"))?.flatten();
        Ok(HomePage::from_page_data(page_data.as_ref()))
    }

    /// The rows of `subscription_status`, each with every column it has.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn subscription_status(&self) -> Result<Vec<Value>> {
        const STATUS: &str = "SELECT to_jsonb(status) FROM message_store.subscription_status \
                              AS status ORDER BY status.subscriber_id";
        let action = "read the status of the subscriptions";
        let client = self.client().await?;
        let rows = client.query(STATUS, &[]).await.map_err(Error::database(action))?;
        rows.iter().map(|row| row.try_get(0).map_err(Error::database(action))).collect()
    }
}

impl Outcome {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "progressed" => Some(Self::Progressed),
            "idle" => Some(Self::Idle),
            "held_back" => Some(Self::HeldBack),
            "busy" => Some(Self::Busy),
            _ => None,
        }
    }
}

impl HomePage {
    fn from_page_data(page_data: Option<&Value>) -> Self {
        let number = |key| page_data?.get(key)?.as_i64();
        Self {
            videos_watched: number("videosWatched").unwrap_or(0),
            last_view_processed: number("lastViewProcessed").unwrap_or(0),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(name) => write!(formatter, "the stream {name}"),
            Self::Category(name) => write!(formatter, "the category {name}"),
            Self::All => formatter.write_str("all messages"),
        }
    }
}

fn stored_message(row: &Row) -> std::result::Result<StoredMessage, tokio_postgres::Error> {
    Ok(StoredMessage {
        id: row.try_get(0)?,
        stream: row.try_get(1)?,
        message_type: row.try_get(2)?,
        position: row.try_get(3)?,
        global_position: row.try_get(4)?,
        data: raw_json(row.try_get(5)?),
        metadata: raw_json(row.try_get(6)?),
        time: row.try_get(7)?,
    })
}

/// The functions return `jsonb` as text, so this is JSON already; text that is
/// not is shown as a JSON string rather than lost.
fn raw_json(text: Option<String>) -> Option<Box<RawValue>> {
    text.and_then(|text| match RawValue::from_string(text.clone()) {
        Ok(value) => Some(value),
        Err(_) => serde_json::value::to_raw_value(&text).ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_or_empty_home_page_counts_zero() {
        assert_eq!(HomePage::from_page_data(None), HomePage::default());
        assert_eq!(HomePage::from_page_data(Some(&json!({}))), HomePage::default());
        let page = json!({"videosWatched": 3_000_000_000_i64, "lastViewProcessed": 7, "extra": 1});
        assert_eq!(HomePage::from_page_data(Some(&page)).videos_watched, 3_000_000_000);
    }

    #[test]
    fn numbers_beyond_a_double_are_kept_to_the_digit() {
        let text = r#"{"n":12345678901234567890123}"#;
        let kept = raw_json(Some(text.to_owned())).map(|value| value.get().to_owned());
        assert_eq!(kept.as_deref(), Some(text));
    }
}
