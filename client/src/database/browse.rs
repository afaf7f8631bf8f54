//! The log as the dashboard shows it: page by page, one message, what is big and what is new.
//! Every query is bounded, and goes by an index of the log.

use serde::Deserialize;

use super::{
    Database, Source,
    excerpt::{self, Excerpt, NAME},
    messages::InLog,
};
use crate::{
    error::{Error, Result},
    pretty::pretty,
};

/// Messages that a page shows.
pub const PAGE_SIZE: i64 = 50;
/// Messages that are looked at for some of a type.
pub const LOOKED_AT: i64 = 10_000;
/// Streams that are looked at for those that begin with a prefix.
pub const STREAMS: usize = 500;
/// Characters of data that a list shows.
const PREVIEW: i64 = 160;
/// Characters of JSON that a message's page shows.
const SHOWN_CHARACTERS: i64 = 64_000;
/// Bytes, uncompressed, and characters of JSON up to which a column is handed out whole;
/// `orchestrator read` has any.
const WHOLE: i64 = 4 << 20;

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// With the last message.
    Newest,
    /// With the first message.
    Oldest,
    /// With the last one below this position.
    Below(i64),
    /// With the first one above this position.
    Above(i64),
}

/// A message in a list.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Listed {
    /// The position in its stream.
    pub position: i64,
    /// The position in the store.
    pub global_position: i64,
    /// The stream.
    pub stream_name: String,
    /// The type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// When it was written, UTC.
    pub time: String,
    /// How its data begins; none for data that is large.
    pub preview: Option<String>,
}

/// A page of a list, newest first.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The messages.
    pub messages: Vec<Listed>,
    /// How many were looked at.
    pub looked_at: i64,
    /// The last position that was looked at, where more may lie behind it.
    pub looked_to: Option<i64>,
}

/// What the database tells of a page.
#[derive(Default, Deserialize)]
struct Looked {
    looked_at: i64,
    /// The last position that was looked at.
    last: Option<i64>,
    messages: Vec<Listed>,
}

/// A stream on the way along the index.
#[derive(Deserialize)]
struct Stream {
    name: String,
    is_wanted: bool,
}

/// One message with all its columns.
#[derive(Clone, Debug, Deserialize)]
pub struct Whole {
    /// The unique id.
    pub id: String,
    /// The stream.
    pub stream_name: String,
    /// The stream's category.
    pub category: String,
    /// The type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// The position in its stream.
    pub position: i64,
    /// The position in the store.
    pub global_position: i64,
    /// When it was written, UTC.
    pub time: String,
    /// The stream that it came about through, where its metadata says so.
    pub correlation: Option<String>,
    /// The category of that stream.
    pub correlation_category: Option<String>,
    /// The data, pretty; none for NULL or where it is too large.
    pub data: Option<String>,
    /// Stored bytes of the data; none for NULL.
    pub data_bytes: Option<i64>,
    /// The metadata, pretty; none for NULL or where it is too large.
    pub metadata: Option<String>,
    /// Stored bytes of the metadata; none for NULL.
    pub metadata_bytes: Option<i64>,
}

impl Whole {
    /// True where more of a column may follow.
    pub fn is_cut(text: &str) -> bool {
        text.ends_with('…') || excerpt::is_cut(text, SHOWN_CHARACTERS)
    }
}

/// Which messages of a source are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these types; of any where none is named.
    pub types: Vec<String>,
    /// That came about through this category.
    pub correlation: Option<String>,
    /// Whose metadata has this value under this key.
    pub metadata: Option<(String, String)>,
}

impl Filter {
    /// True where all are.
    pub fn is_none(&self) -> bool {
        self.types.is_empty() && self.correlation.is_none() && self.metadata.is_none()
    }
}

/// How many messages something has, by a sample.
#[derive(Clone, Debug, Deserialize)]
pub struct Estimate {
    /// A category or a stream.
    pub name: String,
    /// About so many.
    pub messages: f64,
}

/// What was written last.
#[derive(Clone, Debug, Deserialize)]
pub struct Recent {
    /// A category or a stream.
    pub name: String,
    /// Of the messages that were looked at.
    pub messages: i64,
    /// Messages a second, over the time they took.
    pub rate: Option<f64>,
    /// The last of them.
    pub newest: i64,
    /// When it was written, UTC.
    pub time: String,
}

/// By what messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Categories.
    Category,
    /// Streams.
    Stream,
}

impl Grouping {
    fn expression(self) -> &'static str {
        match self {
            Self::Category => "message_store.category(stream_name)",
            Self::Stream => "stream_name",
        }
    }
}

impl Database {
    /// A page of a source. With a filter, at most [`LOOKED_AT`] messages are looked at: of all, or of
    /// those that have the wanted metadata where an index of the log tells which these are. On a standby, a
    /// category and all messages end where readers do.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`]; so for all that follow.
    pub async fn browse(&self, source: &Source, filter: &Filter, edge: Edge) -> Result<Found> {
        let InLog {
            at,
            condition,
            name,
        } = source.in_log();
        let (comparison, bound, order) = match edge {
            Edge::Newest => ("<=", i64::MAX, "DESC"),
            Edge::Below(position) => ("<", position, "DESC"),
            Edge::Oldest => (">=", 0, "ASC"),
            Edge::Above(position) => (">", position, "ASC"),
        };
        let Filter {
            types,
            correlation,
            metadata,
        } = filter;
        let (key, value) = metadata.as_ref().map_or((None, None), |(key, value)| {
            (Some(key.as_str()), Some(value.as_str()))
        });
        let end = self.end_of(source).await?;
        // Whatever the index finds is looked at as a whole; else the log is, so far.
        let found_by_index = match key {
            Some(key) if self.has_index_of(key).await? => "metadata ->> $5 = $6",
            _ => "true",
        };
        let look = if filter.is_none() {
            PAGE_SIZE + 1
        } else {
            LOOKED_AT
        };
        let sql = format!(
            "WITH looked AS MATERIALIZED (
               SELECT global_position AS g, {at} AS at, type,
                      message_store.category({correlated}) AS correlation, {valued} AS value
               FROM message_store.messages
               WHERE {condition} AND {found_by_index} AND {at} {comparison} $3
                 AND global_position <= $7 ORDER BY {at} {order} LIMIT {look}),
             wanted AS MATERIALIZED (
               SELECT g, at FROM looked
               WHERE (cardinality($2::varchar[]) = 0 OR type = ANY ($2))
                 AND ($4::varchar IS NULL OR correlation = $4)
                 AND ($5::text IS NULL OR value = $6::text)
               ORDER BY at {order} LIMIT {PAGE_SIZE})
             SELECT jsonb_build_object(
               'looked_at', (SELECT count(*) FROM looked),
               'last', (SELECT at FROM looked ORDER BY at {reverse} LIMIT 1),
               'messages', coalesce((SELECT jsonb_agg(to_jsonb(m) ORDER BY m.global_position DESC)
                 FROM wanted CROSS JOIN LATERAL (
                   SELECT global_position, position, left(stream_name, {NAME}) AS stream_name,
                          left(type, {NAME}) AS type,
                          to_char(time, 'YYYY-MM-DD HH24:MI:SS.MS') AS time, {preview} AS preview
                   FROM message_store.messages WHERE global_position = wanted.g) m), '[]'))",
            reverse = if order == "ASC" { "DESC" } else { "ASC" },
            correlated = correlation_stream_name(),
            valued = traced("metadata ->> $5::text"),
            preview = excerpt::text("data", excerpt::LISTED_BYTES, PREVIEW),
        );
        let action = format!("browse {source}");
        let looked: Option<Looked> = self
            .record(
                &action,
                &sql,
                &[&name, types, &bound, correlation, &key, &value, &end],
            )
            .await?;
        let Looked {
            looked_at,
            last,
            messages,
        } = looked.unwrap_or_default();
        let is_full = i64::try_from(messages.len()).is_ok_and(|count| count == PAGE_SIZE);
        // The list is newest first, whichever way it was read.
        let at_end = if order == "ASC" {
            messages.first()
        } else {
            messages.last()
        };
        let looked_to = if is_full {
            at_end.map(|message| source.position(message.position, message.global_position))
        } else {
            last
        };
        Ok(Found {
            messages,
            looked_at,
            looked_to: looked_to.filter(|_| is_full || looked_at == look),
        })
    }

    /// The last global position that is to be shown of a source.
    async fn end_of(&self, source: &Source) -> Result<i64> {
        if let Source::Stream(_) = source {
            return Ok(i64::MAX);
        }
        let is_standby = "SELECT pg_catalog.pg_is_in_recovery()";
        let action = "ask whether it is a standby".to_owned();
        if !self.answer::<bool>(action, is_standby, &[]).await? {
            return Ok(i64::MAX);
        }
        self.settled_position(source).await
    }

    /// Whether an index of the log, which its owner made, finds messages by this key of their metadata.
    async fn has_index_of(&self, key: &str) -> Result<bool> {
        self.answer(
            "look for an index of metadata".to_owned(),
            "SELECT EXISTS (
               SELECT FROM pg_index i
               WHERE i.indrelid = 'message_store.messages'::regclass AND i.indisvalid
                 AND i.indpred IS NULL
                 AND btrim(pg_get_indexdef(i.indexrelid, 1, true), '()')
                   = format('metadata ->> %L::text', $1::text))",
            &[&key],
        )
        .await
    }

    /// Up to [`STREAMS`] streams from a name on, in the order of the index, that begin with `prefix`; and
    /// the last that was looked at, where there are more. A step along the index for each stream.
    pub async fn streams_with_prefix(
        &self,
        prefix: &str,
        from: &str,
    ) -> Result<(Vec<String>, Option<String>)> {
        let sql = format!(
            "WITH RECURSIVE s (name, number) AS (
               (SELECT stream_name, 1 FROM message_store.messages
                WHERE stream_name >= $1 ORDER BY stream_name, position LIMIT 1)
               UNION ALL
               SELECT (SELECT m.stream_name FROM message_store.messages m
                       WHERE m.stream_name > s.name ORDER BY m.stream_name, m.position LIMIT 1),
                 s.number + 1
               FROM s WHERE s.name IS NOT NULL AND s.number <= {STREAMS})
             SELECT jsonb_build_object('name', left(name, {NAME}), 'is_wanted', starts_with(name, $2))
             FROM s WHERE name IS NOT NULL ORDER BY number"
        );
        let mut looked: Vec<Stream> = self
            .records("look for streams", &sql, &[&from, &prefix])
            .await?;
        let next = (looked.len() > STREAMS).then(|| looked.pop()).flatten();
        let wanted = looked.into_iter().filter(|stream| stream.is_wanted);
        Ok((
            wanted.map(|stream| stream.name).collect(),
            next.map(|stream| stream.name),
        ))
    }

    /// The message at a global position.
    pub async fn message_at(&self, global_position: i64) -> Result<Option<Whole>> {
        let action = format!("read the message at {global_position}");
        let column = |name: &str| {
            let text = excerpt::text(name, excerpt::SHOWN_BYTES, SHOWN_CHARACTERS);
            format!("pg_column_size({name}) AS {name}_bytes, {text} AS {name}")
        };
        let correlation = correlation_stream_name();
        let sql = format!(
            "SELECT to_jsonb(m) FROM (
               SELECT id::text, left(stream_name, {NAME}) AS stream_name, left(type, {NAME}) AS type,
                      position, global_position,
                      to_char(time, 'YYYY-MM-DD HH24:MI:SS.US') AS time,
                      left(message_store.category(stream_name), {NAME}) AS category,
                      {correlation} AS correlation,
                      message_store.category({correlation}) AS correlation_category, {}, {}
               FROM message_store.messages WHERE global_position = $1) m",
            column("data"),
            column("metadata")
        );
        let found: Option<Whole> = self.record(&action, &sql, &[&global_position]).await?;
        Ok(found.map(|mut message| {
            for json in [&mut message.data, &mut message.metadata] {
                *json = json.take().map(|text| pretty(&text, excerpt::PRETTY_BYTES));
            }
            message
        }))
    }

    /// A column of a message as it is stored, where it has no more than [`WHOLE`]; none
    /// where there is no such message.
    pub async fn raw_column(&self, global_position: i64, is_data: bool) -> Result<Option<Excerpt>> {
        let column = if is_data { "data" } else { "metadata" };
        let action = format!("read the {column} of the message at {global_position}");
        let sql = format!(
            "SELECT {column} IS NULL, nullif(left(whole, {WHOLE}), whole) IS NULL, whole
             FROM (SELECT {column}, {} AS whole FROM message_store.messages
                   WHERE global_position = $1) m",
            excerpt::text(column, WHOLE, WHOLE + 1)
        );
        let client = self.client().await?;
        let row = client.query_opt(&sql, &[&global_position]).await;
        let found = row.and_then(|row| {
            let column = |row: &tokio_postgres::Row| {
                let is_whole: bool = row.try_get(1)?;
                let text: Option<String> = row.try_get(2)?;
                Ok(Excerpt::of(row.try_get(0)?, text.filter(|_| is_whole)))
            };
            row.as_ref().map(column).transpose()
        });
        found.map_err(Error::database(action))
    }

    /// Where the message of an id is.
    pub async fn position_of_id(&self, id: uuid::Uuid) -> Result<Option<i64>> {
        self.answer(
            format!("look for the message {id}"),
            "SELECT (SELECT global_position FROM message_store.messages WHERE id = $1)",
            &[&id],
        )
        .await
    }

    /// Where the message at a position of a stream is.
    pub async fn position_in(&self, stream_name: &str, position: i64) -> Result<Option<i64>> {
        self.answer(
            format!("look for message {position} of {stream_name}"),
            "SELECT (SELECT global_position FROM message_store.messages
                     WHERE stream_name = $1 AND position = $2)",
            &[&stream_name, &position],
        )
        .await
    }

    /// True where a category has messages.
    pub async fn has_category(&self, name: &str) -> Result<bool> {
        self.answer(
            format!("look for the category {name}"),
            "SELECT EXISTS (SELECT FROM message_store.messages
                            WHERE message_store.category(stream_name) = $1)",
            &[&name],
        )
        .await
    }

    /// The biggest, by a sample of pages that is as large in a large log as in a small one.
    pub async fn biggest(&self, by: Grouping) -> Result<Vec<Estimate>> {
        const SAMPLED: f64 = 10_000.0;
        let action = "estimate sizes";
        let messages: f64 = self
            .answer(
                action.to_owned(),
                // Rows a page as they were last counted, times the pages of now.
                "SELECT CASE WHEN relpages > 0 AND reltuples > 0
                             THEN reltuples / relpages ELSE 20 END::float8
                        * (pg_relation_size(oid) / current_setting('block_size')::bigint)
                 FROM pg_class WHERE oid = 'message_store.messages'::regclass",
                &[],
            )
            .await?;
        // A table that was never counted, or a small one, is read to its end.
        let percent = if messages <= SAMPLED {
            100.0
        } else {
            SAMPLED / messages * 100.0
        };
        // A sample of whole pages of a small table misses too much of it.
        let sample = if percent >= 100.0 {
            format!("(SELECT stream_name FROM message_store.messages LIMIT {SAMPLED}) AS sampled")
        } else {
            format!("message_store.messages TABLESAMPLE SYSTEM ({percent})")
        };
        let sql = format!(
            "SELECT jsonb_build_object('name', left(name, {NAME}),
                      'messages', sampled * greatest($1::float8, total) / total)
             FROM (SELECT {} AS name, count(*) AS sampled, sum(count(*)) OVER () AS total
                   FROM {sample} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20) AS counted",
            by.expression()
        );
        self.records(action, &sql, &[&messages]).await
    }

    /// What the last 1,000 messages of the log belong to, the newest first.
    pub async fn newest(&self, by: Grouping) -> Result<Vec<Recent>> {
        let action = "look at the newest messages";
        let sql = format!(
            "WITH last AS MATERIALIZED (
               SELECT stream_name, global_position, time FROM message_store.messages
               ORDER BY global_position DESC LIMIT 1000)
             SELECT jsonb_build_object('name', left(name, {NAME}), 'messages', messages, 'newest', newest,
                      'time', to_char(at, 'YYYY-MM-DD HH24:MI:SS'),
                      'rate', messages / nullif(extract(epoch FROM
                        (clock_timestamp() AT TIME ZONE 'utc') - (SELECT min(time) FROM last)), 0))
             FROM (SELECT {} AS name, count(*) AS messages, max(global_position) AS newest,
                          max(time) AS at
                   FROM last GROUP BY 1 ORDER BY 3 DESC) AS counted",
            by.expression()
        );
        self.records(action, &sql, &[]).await
    }
}

/// The stream that a message came about through, where its metadata says so.
fn correlation_stream_name() -> String {
    traced("metadata ->> 'correlationStreamName'")
}

/// A text of a message's metadata, where that is no larger than whoever writes such metadata makes it.
fn traced(text: &str) -> String {
    format!(
        "CASE WHEN {} <= {} THEN left({text}, {NAME}) END",
        excerpt::most_bytes("metadata"),
        excerpt::TRACED_BYTES,
    )
}
