//! Parked messages: which an action is about, and how many it would touch.

use tokio_postgres::{Row, types::ToSql};

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
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Retry => "can_retry",
            Self::Discard => "can_discard",
        }
    }
}

/// Characters of an error that a list shows.
const ERROR: i64 = 8_000;

/// How the text of an error begins: its first line, or the beginning of a long one.
pub(super) const FIRST_LINE: &str = "left(split_part(coalesce(error, ''), E'\\n', 1), 300)";

/// What those have in common that failed alike, as a number: SQLSTATE and first line of the error.
pub(super) fn alike() -> String {
    format!("hashtextextended(concat(sqlstate, ' ', {FIRST_LINE}), 0)")
}

/// The columns of a [`ParkedMessage`], of `parked_messages`.
pub(super) fn columns() -> String {
    format!(
        "subscriber_id, global_position, left(stream_name, {NAME}), left(type, {NAME}), status, \
         attempts, sqlstate, left(error, {ERROR}), to_jsonb(parked_at) #>> '{{}}', \
         to_jsonb(last_failed_at) #>> '{{}}', left(reason, 1000), error_details, can_retry, can_discard",
        NAME = excerpt::NAME,
    )
}

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

/// A parked message.
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
    /// When its handler last failed.
    pub last_failed_at: Option<String>,
    /// Why it was discarded.
    pub reason: Option<String>,
    /// Whether it can be retried.
    pub can_retry: bool,
    /// Whether it can be discarded.
    pub can_discard: bool,
}

impl ParkedMessage {
    /// From a row of [`columns`].
    pub(super) fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            subscriber_id: row.try_get(0)?,
            global_position: row.try_get(1)?,
            stream_name: row.try_get(2)?,
            message_type: row.try_get(3)?,
            status: row.try_get(4)?,
            attempts: row.try_get(5)?,
            sqlstate: row.try_get(6)?,
            error: row.try_get(7)?,
            parked_at: row.try_get(8)?,
            last_failed_at: row.try_get(9)?,
            reason: row.try_get(10)?,
            error_details: ErrorDetails::of(row.try_get(11)?),
            can_retry: row.try_get(12)?,
            can_discard: row.try_get(13)?,
        })
    }
}

/// How many parked messages an action would touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Those that are retried or discarded.
    pub chosen: i64,
    /// Those that wait in the same streams.
    pub waiting: i64,
}

/// The condition of those that an action would touch; its parameters are those of [`Chosen`].
fn chosen(handling: Handling) -> String {
    format!(
        "({} \
         AND ($2::bigint[] IS NULL OR global_position = ANY ($2)) \
         AND ($3::bigint IS NULL OR global_position = $3) \
         AND ($4::text IS NULL OR stream_name = $4) \
         AND ($5::text IS NULL OR sqlstate = $5) \
         AND ($6::bigint IS NULL OR {} = $6))",
        handling.column(),
        alike()
    )
}

/// Which of the parked messages an action would touch.
struct Chosen<'a> {
    subscriber_id: &'a str,
    positions: Option<&'a [i64]>,
    filter: ParkedFilter,
    alike: Option<i64>,
}

impl<'a> Chosen<'a> {
    fn of(subscriber_id: &'a str, which: &'a Which) -> Self {
        let mut chosen = Self {
            subscriber_id,
            positions: None,
            filter: ParkedFilter::default(),
            alike: None,
        };
        match which {
            Which::Positions(positions) => chosen.positions = Some(positions),
            Which::Matching(filter) => chosen.filter = filter.clone(),
            Which::Alike(alike) => chosen.alike = Some(*alike),
        }
        chosen
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 6] {
        [
            &self.subscriber_id,
            &self.positions,
            &self.filter.global_position,
            &self.filter.stream_name,
            &self.filter.sqlstate,
            &self.alike,
        ]
    }
}

impl Database {
    /// Up to `most` parked messages after a place in the order of subscriptions
    /// and positions: of all, or of one subscription, where `alike` is given those that failed alike
    /// ([`super::FailureGroup`]); the discarded ones, or the others.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn parked_page(
        &self,
        subscriber_id: Option<&str>,
        alike: Option<i64>,
        discarded: bool,
        after: (&str, i64),
        most: i64,
    ) -> Result<Vec<ParkedMessage>> {
        let page = format!(
            "SELECT {} FROM message_store.parked_messages \
             WHERE ($1::varchar IS NULL OR subscriber_id = $1) \
               AND ($2::bigint IS NULL OR (can_discard AND {} = $2)) \
               AND (status = 'discarded') = $3 \
               AND (subscriber_id, global_position) > ($4, $5) \
             ORDER BY subscriber_id, global_position LIMIT $6",
            columns(),
            self::alike(),
        );
        let action = "list the parked messages";
        let given: [&(dyn ToSql + Sync); 6] = [
            &subscriber_id,
            &alike,
            &discarded,
            &after.0,
            &after.1,
            &most,
        ];
        let client = self.client().await?;
        let rows = client.query(&page, &given).await;
        rows.map_err(Error::database(action))?
            .iter()
            .map(ParkedMessage::from_row)
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
               SELECT stream_name, status, {} AS is_chosen \
               FROM message_store.parked_messages WHERE subscriber_id = $1) \
             SELECT (SELECT count(*) FROM p WHERE is_chosen), \
                    (SELECT count(*) FROM p WHERE status = 'waiting' \
                       AND stream_name IN (SELECT stream_name FROM p WHERE is_chosen))",
            chosen(handling)
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
             WHERE subscriber_id = $1 AND {} ORDER BY 1 LIMIT {most}",
            chosen(handling)
        );
        let action = format!("choose parked messages of {subscriber_id}");
        let chosen = Chosen::of(subscriber_id, which);
        let client = self.client().await?;
        let rows = client.query(&sql, &chosen.parameters()).await;
        let rows = rows.map_err(Error::database(action))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
