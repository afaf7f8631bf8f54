//! Reading messages: by stream, by category, all of them.

use crate::consumer_group::Member;
use crate::error::{Error, printed};
use crate::horizon::{self, Scope};
use crate::message::{self, column};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::expression;
use crate::pg::rows::Rows;
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::snapshot::Fresh;
use crate::pg::spi;
use crate::pg::text::Text;
use crate::{settings, stream, stream_name};
use pgrx::pg_sys;
use std::ffi::CString;

sql_functions! {
    get_stream_messages => get_stream_messages,
    get_category_messages => get_category_messages,
    get_all_messages => get_all_messages,
    get_last_stream_message => get_last_stream_message,
    stream_version => stream_version,
}

/// How many messages one call may return.
#[derive(Clone, Copy)]
struct BatchSize(Option<u64>);

impl BatchSize {
    const DEFAULT: i64 = 1000;
    const UNLIMITED: i64 = -1;
    const FEW: u64 = 32;

    /// NULL is the default, -1 is no limit, anything below is refused as LIMIT refuses it.
    fn from_argument(batch_size: Option<i64>) -> Result<Self, Error> {
        match batch_size.unwrap_or(Self::DEFAULT) {
            Self::UNLIMITED => Ok(Self(None)),
            size => u64::try_from(size)
                .map(|size| Self(Some(size)))
                .map_err(|_| Error::NegativeLimit),
        }
    }

    fn allows_another(self, returned: u64) -> bool {
        self.0.is_none_or(|limit| returned < limit)
    }

    /// For a batch of a few messages: where it ends in a stream without holes. An index looks at
    /// every entry of a page that satisfies the conditions before it returns the first, so it is
    /// asked for no more.
    fn few_from(self, position: i64) -> Option<i64> {
        let size = self.0.filter(|size| (1..=Self::FEW).contains(size))?;
        position.checked_add(size as i64 - 1)
    }
}

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

fn require_condition_allowed() -> Result<(), Error> {
    if settings::SQL_CONDITION.get() {
        Ok(())
    } else {
        Err(Error::MessageDb(
            "Retrieval with SQL condition is not activated".to_owned(),
        ))
    }
}

fn get_stream_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let (name, position, batch_size, condition) = (
        call.text(0),
        call.bigint(1).unwrap_or(0),
        call.bigint(2),
        call.text(3),
    );
    let name = match name {
        Some(name) if !stream_name::is_category(name.bytes()) => name,
        other => {
            return Err(Error::MessageDb(format!(
                "Must be a stream name: {}",
                printed(other)
            )));
        }
    };
    if condition.is_some() {
        require_condition_allowed()?;
    }
    if settings::debug_get() {
        pgrx::notice!("» get_stream_messages");
        pgrx::notice!("stream_name ($1): {name}");
        pgrx::notice!("position ($2): {position}");
        pgrx::notice!(
            "batch_size ($3): {}",
            batch_size.unwrap_or(BatchSize::DEFAULT)
        );
        pgrx::notice!("condition ($4): {}", printed(condition));
    }
    if let Some(condition) = condition {
        let rows = format!(
            "
    SELECT {COLUMNS}
    FROM
      message_store.messages
    WHERE
      stream_name OPERATOR(pg_catalog.=) $1 AND
      position OPERATOR(pg_catalog.>=) $2"
        );
        let arguments = [
            (pg_sys::BuiltinOid::VARCHAROID, Some(name.datum())),
            (
                pg_sys::BuiltinOid::INT8OID,
                Some(pg_sys::Datum::from(position)),
            ),
            (pg_sys::BuiltinOid::INT8OID, limit(batch_size)),
        ];
        return with_condition(call, &rows, condition, "position", &arguments);
    }
    let batch_size = BatchSize::from_argument(batch_size)?;
    let table = message::open_to_read()?;
    let index = stream::open_index()?;
    let snapshot = Fresh::of_transaction();
    let scan = |first, last: Option<i64>| {
        let mut keys = vec![(0, Condition::Equals(name)), (1, Condition::AtLeast(first))];
        keys.extend(last.map(|last| (1, Condition::AtMost(last))));
        IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending)
    };
    let mut batch = Batch::begin(call, batch_size)?;
    let mut rest = Some(position);
    if let Some(last) = batch_size.few_from(position) {
        batch.fill(scan(position, Some(last)), |_| Ok(true))?;
        rest = last.checked_add(1);
    }
    // The stream ends before that, or its owner has deleted messages.
    if let Some(first) = rest.filter(|_| !batch.is_full()) {
        batch.fill(scan(first, None), |_| Ok(true))?;
    }
    Ok(batch.rows.finish())
}

fn get_category_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let (category, position, batch_size, correlation) = (
        call.text(0),
        call.bigint(1).unwrap_or(1),
        call.bigint(2),
        call.text(3),
    );
    let (member, group_size, condition) = (call.bigint(4), call.bigint(5), call.text(6));
    if let Some(name) = category
        && !stream_name::is_category(name.bytes())
    {
        return Err(Error::MessageDb(format!("Must be a category: {name}")));
    }
    if let Some(correlation) = correlation
        && !stream_name::is_category(correlation.bytes())
    {
        return Err(Error::MessageDb(format!(
            "Correlation must be a category (Correlation: {correlation})"
        )));
    }
    let group = Member::from_arguments(member, group_size)?;
    if condition.is_some() {
        require_condition_allowed()?;
    }
    if settings::debug_get() {
        pgrx::notice!("» get_category_messages");
        pgrx::notice!("category ($1): {}", printed(category));
        pgrx::notice!("position ($2): {position}");
        pgrx::notice!(
            "batch_size ($3): {}",
            batch_size.unwrap_or(BatchSize::DEFAULT)
        );
        pgrx::notice!("correlation ($4): {}", printed(correlation));
        pgrx::notice!("consumer_group_member ($5): {}", printed(member));
        pgrx::notice!("consumer_group_size ($6): {}", printed(group_size));
        pgrx::notice!("condition: {}", printed(condition));
    }
    if let Some(group) = group {
        group.require_smallint_size()?;
    }
    let Some(category) = category else {
        BatchSize::from_argument(batch_size)?;
        return Ok(Rows::begin(call, &message::TYPES).finish());
    };
    let horizon =
        horizon::settled(Scope::Category(category.bytes()), "get_category_messages")?.position;
    if let Some(condition) = condition {
        // The condition cannot reach what is not settled, whatever it says.
        let filter_correlation = correlation.map_or("", |_| {
            "AND message_store.category((metadata OPERATOR(pg_catalog.->>) 'correlationStreamName')
        ::pg_catalog.varchar) OPERATOR(pg_catalog.=) $4"
        });
        let filter_group = group.map_or("", |_| {
            "AND pg_catalog.mod(OPERATOR(pg_catalog.@) message_store.hash_64(
        message_store.cardinal_id(stream_name::pg_catalog.varchar)), $6::pg_catalog.int8)
        OPERATOR(pg_catalog.=) $5"
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
      {filter_group}"
        );
        let smallint = group_size.map(|size| pg_sys::Datum::from(size as i16));
        let arguments = [
            (pg_sys::BuiltinOid::VARCHAROID, Some(category.datum())),
            (
                pg_sys::BuiltinOid::INT8OID,
                Some(pg_sys::Datum::from(position)),
            ),
            (pg_sys::BuiltinOid::INT8OID, limit(batch_size)),
            (
                pg_sys::BuiltinOid::VARCHAROID,
                correlation.map(|name| name.datum()),
            ),
            (pg_sys::BuiltinOid::INT8OID, member.map(pg_sys::Datum::from)),
            (pg_sys::BuiltinOid::INT2OID, smallint),
            (
                pg_sys::BuiltinOid::INT8OID,
                Some(pg_sys::Datum::from(horizon)),
            ),
        ];
        return with_condition(call, &rows, condition, "global_position", &arguments);
    }
    let batch_size = BatchSize::from_argument(batch_size)?;
    let table = message::open_to_read()?;
    let index = message::open_index(c"messages_category")?;
    let snapshot = Fresh::take();
    let mut keys = vec![
        (0, Condition::Equals(category)),
        (1, Condition::AtLeast(position)),
        (1, Condition::AtMost(horizon)),
    ];
    keys.extend(correlation.map(|name| (2, Condition::Equals(name))));
    let scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending);
    return_rows(call, scan, batch_size, |row| match group {
        Some(group) => group.reads(row.text(column::STREAM_NAME).bytes()),
        None => Ok(true),
    })
}

fn get_all_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let (position, batch_size) = (call.bigint(0).unwrap_or(1), call.bigint(1));
    let batch_size = BatchSize::from_argument(batch_size)?;
    let horizon = horizon::settled(Scope::All, "get_all_messages")?.position;
    let table = message::open_to_read()?;
    let index = message::open_index(c"messages_pkey")?;
    let snapshot = Fresh::take();
    let keys = [
        (0, Condition::AtLeast(position)),
        (0, Condition::AtMost(horizon)),
    ];
    let scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending);
    return_rows(call, scan, batch_size, |_| Ok(true))
}

fn get_last_stream_message(call: &Call<'_>) -> Result<Reply, Error> {
    let (name, message_type) = (call.text(0), call.text(1));
    if settings::debug_get() {
        pgrx::notice!("» get_last_message");
        pgrx::notice!("stream_name ($1): {}", printed(name));
        pgrx::notice!("type ($2): {}", printed(message_type));
    }
    let Some(name) = name else {
        return Ok(Rows::begin(call, &message::TYPES).finish());
    };
    let table = message::open_to_read()?;
    let index = stream::open_index()?;
    let snapshot = Fresh::of_transaction();
    let keys = [(0, Condition::Equals(name))];
    let scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Descending);
    return_rows(call, scan, BatchSize(Some(1)), |row| {
        Ok(message_type.is_none_or(|wanted| row.text(column::TYPE).bytes() == wanted.bytes()))
    })
}

fn stream_version(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(name) = call.text(0) else {
        return Ok(Reply::null());
    };
    let table = message::open_to_read()?;
    let index = stream::open_index()?;
    let snapshot = Fresh::of_transaction();
    let keys = [(0, Condition::Equals(name))];
    let mut scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Descending);
    let version = scan.advance().then(|| scan.bigint(column::POSITION));
    Ok(Reply::bigint(version))
}

/// Returns the rows of `scan` that `wanted` keeps, until the batch is full.
fn return_rows(
    call: &Call<'_>,
    scan: IndexScan<'_>,
    batch_size: BatchSize,
    wanted: impl Fn(&IndexScan<'_>) -> Result<bool, Error>,
) -> Result<Reply, Error> {
    let mut batch = Batch::begin(call, batch_size)?;
    batch.fill(scan, wanted)?;
    Ok(batch.rows.finish())
}

/// The messages that one call returns.
struct Batch {
    rows: Rows<{ message::COLUMNS }>,
    printed: message::Printed,
    size: BatchSize,
    returned: u64,
}

impl Batch {
    fn begin(call: &Call<'_>, size: BatchSize) -> Result<Self, Error> {
        Ok(Self {
            rows: Rows::begin(call, &message::TYPES),
            printed: message::Printed::new(),
            size,
            returned: 0,
        })
    }

    fn is_full(&self) -> bool {
        !self.size.allows_another(self.returned)
    }

    /// Adds the rows of `scan` that `wanted` keeps, until it is full.
    fn fill(
        &mut self,
        scan: IndexScan<'_>,
        wanted: impl Fn(&IndexScan<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut scan = scan.taking(message::COLUMNS);
        while !self.is_full() && scan.advance() {
            pgrx::check_for_interrupts!();
            if wanted(&scan)? {
                self.rows.push(|| self.printed.values(&scan));
                self.returned += 1;
            }
        }
        Ok(())
    }
}

/// The batch size as a LIMIT clause takes it, which checks it itself: NULL for no limit.
fn limit(batch_size: Option<i64>) -> Option<pg_sys::Datum> {
    let batch_size = batch_size.unwrap_or(BatchSize::DEFAULT);
    (batch_size != BatchSize::UNLIMITED).then(|| pg_sys::Datum::from(batch_size))
}

/// Runs the command that begins with `rows` and ends with the caller's own condition, the column to
/// order by and a limit (`$3`), with the caller's own rights. The condition must be one expression:
/// 42601, 22023.
fn with_condition(
    call: &Call<'_>,
    rows: &str,
    condition: Text<'_>,
    order: &str,
    arguments: &[(pg_sys::BuiltinOid, Option<pg_sys::Datum>)],
) -> Result<Reply, Error> {
    // A text value never contains NUL.
    let alone = CString::new(condition.bytes()).unwrap_or_default();
    if !expression::is_one(&alone) {
        return Err(Error::argument(
            "condition",
            "is not one SQL expression",
            "Pass a condition on the columns of messages, such as type = 'Deposited'.",
        ));
    }
    // On lines of its own, so that a comment in it ends with it; in the database's encoding.
    let before = format!("{rows} AND\n      (\n");
    let after = format!("\n      )\n    ORDER BY\n      {order} ASC\n    LIMIT $3");
    let command = [before.as_bytes(), condition.bytes(), after.as_bytes()].concat();
    let command = CString::new(command).unwrap_or_default();
    if settings::debug_get() {
        pgrx::notice!("Generated Command: {}", command.to_string_lossy());
    }
    let mut rows = Rows::begin(call, &message::TYPES);
    spi::run_text(&command, arguments, |row| {
        rows.push(|| std::array::from_fn(|number| row.value(number, message::TYPES[number])));
    });
    Ok(rows.finish())
}
