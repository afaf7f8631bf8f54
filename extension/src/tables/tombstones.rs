//! Streams whose last message was deleted.

use super::{SCHEMA, owner};
use crate::error::Error;
use crate::pg::parameter::{bigints, bytes, texts};
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::snapshot::Fresh;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8ARRAYOID, TEXTARRAYOID, TEXTOID};

static PUT: Statement = Statement::new(
    c"INSERT INTO message_store.tombstones AS t (stream_name, position) \
      SELECT e.stream_name, e.position \
        FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS e (stream_name, position) \
      ON CONFLICT (stream_name) DO UPDATE SET position = GREATEST(t.position, excluded.position)",
    &[TEXTARRAYOID, INT8ARRAYOID],
);
static REMOVE: Statement = Statement::new(
    c"DELETE FROM message_store.tombstones WHERE stream_name OPERATOR(pg_catalog.=) $1",
    &[TEXTOID],
);

/// The position of the last message that a stream had, where it was deleted. To be asked after the
/// stream was found to have no message: who deletes a last message leaves this in the same
/// transaction.
pub fn position(stream_name: Text<'_>) -> Result<Option<i64>, Error> {
    // A store that 0.3 made has none, and nothing was deleted there.
    let Some(table) = Table::open_to_read(SCHEMA, c"tombstones") else {
        return Ok(None);
    };
    if table.is_ordinary() && table.has_no_page() {
        return Ok(None);
    }
    let columns = [
        (c"stream_name", pg_sys::TEXTOID),
        (c"position", pg_sys::INT8OID),
    ];
    let places = table.columns(columns).filter(|_| table.is_ordinary());
    let index = Index::open(SCHEMA, c"tombstones_pkey");
    let (Some([_, position]), Some(index)) = (places, index) else {
        return Err(Error::StoreChanged(
            "message_store.tombstones is not the table that create_store() made".to_owned(),
            "Give it back its columns and its primary key, or rename it; create_store() makes it anew."
                .to_owned(),
        ));
    };
    let snapshot = Fresh::take();
    let keys = [(0, Condition::Equals(stream_name))];
    let mut scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending);
    Ok(scan.advance().then(|| scan.bigint(position)))
}

/// Keeps the last positions of streams that have no message any more.
pub fn put(ended: &[(String, i64)]) -> Result<(), Error> {
    let _owner = owner::of("tombstones")?;
    let names = ended.iter().map(|(name, _)| name.as_bytes());
    let positions: Vec<i64> = ended.iter().map(|(_, position)| *position).collect();
    PUT.run(&[texts(names), bigints(&positions)], |_| {});
    Ok(())
}

/// Lets a stream begin at 0 again; whether it would not have.
pub fn remove(stream_name: &[u8]) -> Result<bool, Error> {
    let _owner = owner::of("tombstones")?;
    Ok(REMOVE.run(&[bytes(stream_name)], |_| {}) > 0)
}
