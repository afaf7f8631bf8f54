//! Messages that satisfy a caller's own condition: the commands that Message DB runs, with names and
//! operators qualified.

use crate::pg::parameter::{Parameter, bigint};
use crate::pg::spi::{self, Row};
use crate::pg::text::Text;
use crate::tables::shard::Shard;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{self, INT2OID, INT8OID, VARCHAROID};
use std::borrow::Cow;
use std::ffi::CString;

/// The columns of type `message`, as Message DB's commands select them.
const COLUMNS: &str = "
      id::pg_catalog.varchar,
      stream_name::pg_catalog.varchar,
      type::pg_catalog.varchar,
      position::pg_catalog.int8,
      global_position::pg_catalog.int8,
      data::pg_catalog.varchar,
      metadata::pg_catalog.varchar,
      time::pg_catalog.timestamp";

/// A command that runs with the rights of whoever asks.
pub struct Select {
    sql: CString,
    arguments: Vec<(BuiltinOid, Parameter)>,
}

/// Which messages of a category are asked for.
pub struct OfCategory<'a> {
    /// The category.
    pub category: Text<'a>,
    /// The first global position.
    pub position: i64,
    /// The last global position.
    pub horizon: i64,
    /// The category of the streams that the messages are correlated with.
    pub correlation: Option<Text<'a>>,
    /// A member of a consumer group, and the group's size.
    pub consumer: Option<(i64, i16)>,
    /// Only what lives on this shard.
    pub shard: Option<Shard>,
}

impl Select {
    /// Messages of a stream from a position on. `condition` must be one expression; `limit`: NULL
    /// for no limit.
    pub fn of_stream(
        name: Text<'_>,
        position: i64,
        limit: Option<i64>,
        condition: Text<'_>,
    ) -> Self {
        let rows = format!(
            "
    SELECT {COLUMNS}
    FROM
      message_store.messages
    WHERE
      stream_name OPERATOR(pg_catalog.=) $1 AND
      position OPERATOR(pg_catalog.>=) $2"
        );
        let arguments = vec![
            (VARCHAROID, Some(name.datum())),
            (INT8OID, bigint(position)),
            (INT8OID, limit.and_then(bigint)),
        ];
        Self::with_condition(&rows, condition, "position", arguments)
    }

    /// Messages of a category. The condition cannot reach what is not settled, whatever it says.
    pub fn of_category(asked: &OfCategory<'_>, limit: Option<i64>, condition: Text<'_>) -> Self {
        let filter_correlation = asked.correlation.map_or("", |_| {
            "AND message_store.category((metadata OPERATOR(pg_catalog.->>) 'correlationStreamName')
        ::pg_catalog.varchar) OPERATOR(pg_catalog.=) $4"
        });
        let filter_group = asked.consumer.map_or("", |_| {
            "AND pg_catalog.mod(OPERATOR(pg_catalog.@) message_store.hash_64(
        message_store.cardinal_id(stream_name::pg_catalog.varchar)), $6::pg_catalog.int8)
        OPERATOR(pg_catalog.=) $5"
        });
        let filter_shard = asked.shard.map_or("", |_| {
            "AND coalesce(message_store.shard_of(stream_name::pg_catalog.varchar, $8), 0)
        OPERATOR(pg_catalog.=) $9"
        });
        let rows = format!(
            "
    SELECT {COLUMNS}
    FROM
      (SELECT * FROM message_store.messages
        WHERE global_position OPERATOR(pg_catalog.<=) $7) AS messages
    WHERE
      message_store.category(stream_name) OPERATOR(pg_catalog.=) $1 AND
      global_position OPERATOR(pg_catalog.>=) $2
      {filter_correlation}
      {filter_group}{filter_shard}"
        );
        let (member, size) = asked.consumer.unzip();
        let mut arguments = vec![
            (VARCHAROID, Some(asked.category.datum())),
            (INT8OID, bigint(asked.position)),
            (INT8OID, limit.and_then(bigint)),
            (VARCHAROID, asked.correlation.map(|name| name.datum())),
            (INT8OID, member.and_then(bigint)),
            (INT2OID, size.map(pg_sys::Datum::from)),
            (INT8OID, bigint(asked.horizon)),
        ];
        if let Some(shard) = asked.shard {
            arguments.extend([
                (INT8OID, bigint(shard.count)),
                (INT8OID, bigint(shard.number)),
            ]);
        }
        Self::with_condition(&rows, condition, "global_position", arguments)
    }

    /// The command that begins with `rows` and ends with the condition, the column to order by and
    /// a limit, `$3`. The condition stands on lines of its own, so that a comment in it ends with
    /// it, and in the database's encoding.
    fn with_condition(
        rows: &str,
        condition: Text<'_>,
        order: &str,
        arguments: Vec<(BuiltinOid, Parameter)>,
    ) -> Self {
        let before = format!("{rows} AND\n      (\n");
        let after = format!("\n      )\n    ORDER BY\n      {order} ASC\n    LIMIT $3");
        let sql = [before.as_bytes(), condition.bytes(), after.as_bytes()].concat();
        Self {
            // A text value never contains NUL.
            sql: CString::new(sql).unwrap_or_default(),
            arguments,
        }
    }

    /// Its text, for people.
    pub fn text(&self) -> Cow<'_, str> {
        self.sql.to_string_lossy()
    }

    /// Runs it; the columns of a row are those of type `message`.
    pub fn run(&self, each: impl FnMut(&Row)) {
        spi::run_text(&self.sql, &self.arguments, each);
    }
}
