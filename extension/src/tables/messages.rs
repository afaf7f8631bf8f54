//! The log: where its columns are, that it is what we know how to read and write, and its indexes.

mod positions;
pub mod removal;
pub mod select;

pub use positions::{keep_writers_out, restart_positions};

use super::SCHEMA;
use crate::error::Error;
use crate::pg::catalog::{self, Generation};
use crate::pg::probe::Probe;
use crate::pg::relation::{ColumnOrder, Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::sequence::Sequence;
use crate::pg::slot::RowAddress;
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CStr;

/// Column numbers of `messages`, from 0, in the order of Message DB since 1.2.6.
pub mod column {
    /// `global_position bigint`.
    pub const GLOBAL_POSITION: usize = 0;
    /// `position bigint`.
    pub const POSITION: usize = 1;
    /// `time timestamp`.
    pub const TIME: usize = 2;
    /// `stream_name text`.
    pub const STREAM_NAME: usize = 3;
    /// `type text`.
    pub const TYPE: usize = 4;
    /// `data jsonb`.
    pub const DATA: usize = 5;
    /// `metadata jsonb`.
    pub const METADATA: usize = 6;
    /// `id uuid`.
    pub const ID: usize = 7;
}

/// How many columns Message DB's table has; a user may append more.
pub const COLUMNS: usize = 8;

const LAYOUT: [(&CStr, pg_sys::Oid); COLUMNS] = [
    (c"global_position", pg_sys::INT8OID),
    (c"position", pg_sys::INT8OID),
    (c"time", pg_sys::TIMESTAMPOID),
    (c"stream_name", pg_sys::TEXTOID),
    (c"type", pg_sys::TEXTOID),
    (c"data", pg_sys::JSONBOID),
    (c"metadata", pg_sys::JSONBOID),
    (c"id", pg_sys::UUIDOID),
];

/// Where those columns stand in a table that Message DB before 1.2.6 has made: `id`, `stream_name`,
/// `type`, `position`, `global_position`, `data`, `metadata`, `time`.
const OLDER: ColumnOrder = ColumnOrder(Some(&[4, 3, 7, 1, 2, 5, 6, 0]));

/// The sequence of global positions.
pub fn sequence() -> Result<Sequence, Error> {
    Sequence::find(SCHEMA, c"messages_global_position_seq")
        .ok_or(Error::NoStore("messages_global_position_seq"))
}

/// Opens `messages` to write to it, checked to be what we know how to write.
pub fn open_to_write() -> Result<Table, Error> {
    checked(Table::open_to_write(SCHEMA, c"messages"))
}

/// Opens `messages` to read it with the caller's SELECT privilege, as Message DB's queries do.
pub fn open_to_read() -> Result<Table, Error> {
    let table = checked(Table::open_to_read(SCHEMA, c"messages"))?;
    table.require_select();
    Ok(table)
}

/// Opens `messages` to read it on behalf of a function whose EXECUTE is the privilege.
pub fn open_to_deliver() -> Result<Table, Error> {
    checked(Table::open_to_read(SCHEMA, c"messages"))
}

thread_local! {
    /// The catalogs in which `messages` was last found to be as it must be.
    static CHECKED: Cell<Option<(Generation, ColumnOrder)>> = const { Cell::new(None) };
}

fn checked(table: Option<Table>) -> Result<Table, Error> {
    let table = table.ok_or(Error::NoStore("messages"))?;
    let generation = catalog::generation();
    if let Some((checked, order)) = CHECKED.get()
        && checked == generation
    {
        return Ok(table.with_order(order));
    }
    if table.has_row_security() {
        return Err(Error::NotHeeded(
            "row-level security",
            "ALTER TABLE message_store.messages DISABLE ROW LEVEL SECURITY; EXECUTE on the functions \
             decides who reads and writes.",
        ));
    }
    if table.has_rules() {
        return Err(Error::NotHeeded(
            "a rule",
            "DROP RULE ... ON message_store.messages; a trigger is heeded.",
        ));
    }
    if table.has_children() {
        return Err(Error::NotHeeded(
            "a table that inherits",
            "ALTER TABLE ... NO INHERIT message_store.messages; the functions read and write the one \
             table only.",
        ));
    }
    let is_ordered = |order: &ColumnOrder| {
        LAYOUT.iter().enumerate().all(|(number, (name, type_oid))| {
            let column = table.column(order.place(number));
            !column.is_dropped && column.name == *name && column.type_oid == *type_oid
        })
    };
    let is_whole = table.is_ordinary() && table.column_count() >= COLUMNS;
    let orders = [ColumnOrder(None), OLDER];
    let Some(order) = orders
        .into_iter()
        .find(|order| is_whole && is_ordered(order))
    else {
        return Err(Error::StoreChanged(
            "message_store.messages does not have Message DB's columns".to_owned(),
            "It is an ordinary heap table that begins with global_position, position, time, \
             stream_name, type, data, metadata, id; further columns come after those."
                .to_owned(),
        ));
    };
    CHECKED.set(Some((generation, order)));
    Ok(table.with_order(order))
}

/// Opens one of the indexes that `create_store()` makes.
pub fn open_index(name: &'static CStr) -> Result<Index, Error> {
    usable(name, Index::open(SCHEMA, name))
}

/// The same, by one who writes to it too.
pub fn open_index_to_write(name: &'static CStr) -> Result<Index, Error> {
    usable(name, Index::open_to_write(SCHEMA, name))
}

fn usable(name: &'static CStr, index: Option<Index>) -> Result<Index, Error> {
    index.ok_or_else(|| {
        let name = name.to_string_lossy();
        Error::StoreChanged(
            format!("index message_store.{name} is missing or invalid"),
            "SELECT message_store.create_store(); makes what is missing; REINDEX repairs what \
             is invalid."
                .to_owned(),
        )
    })
}

/// The highest global position in the log, of messages not yet committed too; 0 for none.
pub fn highest_global_position() -> Result<i64, Error> {
    let table = open_to_deliver()?;
    let index = open_index(c"messages_pkey")?;
    let mut last = Probe::new(&table, &index, Order::Descending);
    let position = last.first(&[], |row| row.bigint(column::GLOBAL_POSITION));
    Ok(position.unwrap_or(0))
}

/// When the newest message was written, in microseconds since 2000; `None` where there is none.
pub fn newest_time() -> Result<Option<i64>, Error> {
    let table = open_to_deliver()?;
    let index = open_index(c"messages_pkey")?;
    let snapshot = Fresh::take();
    let mut last = IndexScan::begin(&table, &index, &snapshot, &[], Order::Descending);
    Ok(last.advance().then(|| last.bigint(column::TIME)))
}

/// Whether messages of a category lie after a position, and not after another.
pub fn are_in_category(category: &[u8], after: i64, up_to: i64) -> Result<bool, Error> {
    let table = open_to_deliver()?;
    let index = open_index(c"messages_category")?;
    let snapshot = Fresh::take();
    let keys = [
        (0, Condition::Equals(Text::copied(category))),
        (1, Condition::AtLeast(after.saturating_add(1))),
        (1, Condition::AtMost(up_to)),
    ];
    Ok(IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending).advance())
}

/// Where a message lies, and its type; `None` where the snapshot has no message at this position.
pub fn find(
    table: &Table,
    snapshot: &Fresh,
    global_position: i64,
) -> Result<Option<(RowAddress, Vec<u8>)>, Error> {
    let index = open_index(c"messages_pkey")?;
    let keys = [
        (0, Condition::AtLeast(global_position)),
        (0, Condition::AtMost(global_position)),
    ];
    let mut scan = IndexScan::begin(table, &index, snapshot, &keys, Order::Ascending);
    Ok(scan
        .advance()
        .then(|| (scan.address(), scan.text(column::TYPE).bytes().to_vec())))
}
