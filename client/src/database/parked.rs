//! Parked messages, a page at a time, with what they hold.

use tokio_postgres::types::ToSql;

use super::{Database, ErrorDetails, Which, excerpt};
use crate::error::{Error, Result};

/// What is done about parked messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// `message_store.retry_parked`.
    Retry,
    /// `message_store.discard_parked`.
    Discard,
}

impl Handling {
    /// The column of `parked_messages` that says which it takes.
    fn column(self) -> &'static str {
        match self {
            Self::Retry => "can_retry",
            Self::Discard => "can_discard",
        }
    }
}

/// How many parked messages are looked at for the summary.
pub const SUMMARY_OF: i64 = 10_000;

/// Characters of data that the list shows.
const DATA: i64 = 4_000;

/// Which parked messages; those that match every field that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedFilter {
    /// The message at this global position.
    pub global_position: Option<i64>,
    /// Messages of this stream.
    pub stream_name: Option<String>,
    /// Messages that failed with this SQLSTATE.
    pub sqlstate: Option<String>,
}

/// A parked message with its payload.
#[derive(Clone, Debug)]
pub struct ParkedMessage {
    /// Whose.
    pub subscriber_id: String,
    /// Which.
    pub global_position: i64,
    /// Its stream.
    pub stream_name: String,
    /// Its type.
    pub message_type: String,
    /// `failed`, `waiting`, `retry`, `replaying` or `discarded`.
    pub status: String,
    /// Failed calls.
    pub attempts: i64,
    /// SQLSTATE of the last one.
    pub sqlstate: Option<String>,
    /// What it said.
    pub error: Option<String>,
    /// What it said besides.
    pub error_details: ErrorDetails,
    /// When it was parked.
    pub parked_at: String,
    /// Why it was discarded.
    pub reason: Option<String>,
    /// How its data begins, where the message can be read and is not large.
    pub data: Option<String>,
    /// Whether it can be retried.
    pub can_retry: bool,
    /// Whether it can be discarded.
    pub can_discard: bool,
}

impl ParkedMessage {
    /// True where more of its data may follow.
    pub fn is_cut(&self) -> bool {
        let data = self.data.as_deref().unwrap_or_default();
        excerpt::is_cut(data, DATA)
    }
}

/// How many parked messages an action would touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Those that are retried or discarded.
    pub chosen: i64,
    /// Those that wait in the same streams.
    pub waiting: i64,
}

/// Parked messages that have something in common, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// A stream, or an SQLSTATE.
    pub name: String,
    /// How many.
    pub messages: i64,
}

/// The condition of those that an action would touch; its parameters are those of [`Chosen`].
const CHOSEN: &str = "($2::bigint[] IS NULL OR global_position = ANY ($2)) \
    AND ($3::bigint IS NULL OR global_position = $3) \
    AND ($4::text IS NULL OR stream_name = $4) \
    AND ($5::text IS NULL OR sqlstate = $5)";

/// Which of the parked messages an action would touch.
struct Chosen<'a> {
    subscriber_id: &'a str,
    positions: Option<&'a [i64]>,
    filter: ParkedFilter,
}

impl<'a> Chosen<'a> {
    fn of(subscriber_id: &'a str, which: &'a Which) -> Self {
        let (positions, filter) = match which {
            Which::Positions(positions) => (Some(&**positions), ParkedFilter::default()),
            Which::Matching(filter) => (None, filter.clone()),
        };
        Self {
            subscriber_id,
            positions,
            filter,
        }
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 5] {
        [
            &self.subscriber_id,
            &self.positions,
            &self.filter.global_position,
            &self.filter.stream_name,
            &self.filter.sqlstate,
        ]
    }
}

impl Database {
    /// Up to `most` parked messages after a place in the order of subscriptions
    /// and positions: all, or one subscription's; the discarded ones, or the others.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn parked_page(
        &self,
        subscriber_id: Option<&str>,
        discarded: bool,
        after: (&str, i64),
        most: i64,
    ) -> Result<Vec<ParkedMessage>> {
        let page = format!(
            "SELECT p.subscriber_id, p.global_position, left(p.stream_name, {NAME}), \
               left(p.type, {NAME}), p.status, p.attempts, p.sqlstate, left(p.error, 8000), \
               to_jsonb(p.parked_at) #>> '{{}}', left(p.reason, 1000), {}, \
               p.error_details, p.can_retry, p.can_discard \
             FROM (SELECT * FROM message_store.parked_messages \
                   WHERE ($1::varchar IS NULL OR subscriber_id = $1) \
                     AND (status = 'discarded') = $2 \
                     AND (subscriber_id, global_position) > ($3, $4) \
                   ORDER BY subscriber_id, global_position LIMIT $5) p \
             LEFT JOIN message_store.messages m USING (global_position) \
             ORDER BY p.subscriber_id, p.global_position",
            excerpt::text("m.data", excerpt::LISTED_BYTES, DATA),
            NAME = excerpt::NAME,
        );
        let action = "list the parked messages";
        let given: [&(dyn ToSql + Sync); 5] =
            [&subscriber_id, &discarded, &after.0, &after.1, &most];
        let client = self.client().await?;
        let rows = client.query(&page, &given).await;
        rows.map_err(Error::database(action))?
            .iter()
            .map(|row| {
                Ok(ParkedMessage {
                    subscriber_id: row.try_get(0)?,
                    global_position: row.try_get(1)?,
                    stream_name: row.try_get(2)?,
                    message_type: row.try_get(3)?,
                    status: row.try_get(4)?,
                    attempts: row.try_get(5)?,
                    sqlstate: row.try_get(6)?,
                    error: row.try_get(7)?,
                    parked_at: row.try_get(8)?,
                    reason: row.try_get(9)?,
                    data: row.try_get(10)?,
                    error_details: ErrorDetails::of(row.try_get(11)?),
                    can_retry: row.try_get(12)?,
                    can_discard: row.try_get(13)?,
                })
            })
            .collect::<Result<_, _>>()
            .map_err(Error::database(action))
    }

    /// How many messages an action would touch.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn count_parked(
        &self,
        subscriber_id: &str,
        handling: Handling,
        which: &Which,
    ) -> Result<Touched> {
        let sql = format!(
            "WITH p AS MATERIALIZED ( \
               SELECT stream_name, status, {} AND {CHOSEN} AS is_chosen \
               FROM message_store.parked_messages WHERE subscriber_id = $1) \
             SELECT (SELECT count(*) FROM p WHERE is_chosen), \
                    (SELECT count(*) FROM p WHERE status = 'waiting' \
                       AND stream_name IN (SELECT stream_name FROM p WHERE is_chosen))",
            handling.column()
        );
        let action = format!("count the parked messages of {subscriber_id}");
        let chosen = Chosen::of(subscriber_id, which);
        let client = self.client().await?;
        let counted = client
            .query_one(&sql, &chosen.parameters())
            .await
            .and_then(|row| {
                Ok(Touched {
                    chosen: row.try_get(0)?,
                    waiting: row.try_get(1)?,
                })
            });
        counted.map_err(Error::database(action))
    }

    /// The positions of the first of those that an action would touch.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn parked_positions(
        &self,
        subscriber_id: &str,
        handling: Handling,
        which: &Which,
        most: i64,
    ) -> Result<Vec<i64>> {
        let sql = format!(
            "SELECT global_position FROM message_store.parked_messages \
             WHERE subscriber_id = $1 AND {} AND {CHOSEN} ORDER BY 1 LIMIT {most}",
            handling.column()
        );
        let action = format!("choose parked messages of {subscriber_id}");
        let chosen = Chosen::of(subscriber_id, which);
        let client = self.client().await?;
        let rows = client.query(&sql, &chosen.parameters()).await;
        let rows = rows.map_err(Error::database(action))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The SQLSTATEs and the streams with the most failed messages, among the
    /// first [`SUMMARY_OF`].
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn parked_groups(&self, subscriber_id: &str) -> Result<(Vec<Group>, Vec<Group>)> {
        let by = |column: &str| {
            format!(
                "SELECT left({column}, {}), count(*) FROM ( \
                   SELECT {column} FROM message_store.parked_messages \
                   WHERE subscriber_id = $1 AND can_retry \
                   LIMIT {SUMMARY_OF}) p \
                 WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
                excerpt::NAME
            )
        };
        let action = || format!("sum up the parked messages of {subscriber_id}");
        let client = self.client().await?;
        let groups = async |sql: String| {
            let rows = client.query(&sql, &[&subscriber_id]).await?;
            rows.iter()
                .map(|row| {
                    Ok(Group {
                        name: row.try_get(0)?,
                        messages: row.try_get(1)?,
                    })
                })
                .collect::<Result<Vec<_>, tokio_postgres::Error>>()
        };
        let found = async {
            let by_sqlstate = groups(by("sqlstate")).await?;
            Ok((by_sqlstate, groups(by("stream_name")).await?))
        };
        found.await.map_err(Error::database(action()))
    }
}
