//! Which shard this store is, where it is one of several.

use super::{SCHEMA, owner};
use crate::error::Error;
use crate::pg::parameter::{Parameter, bigint};
use crate::pg::relation::{self, Index, Table};
use crate::pg::scan::{IndexScan, Order};
use crate::pg::snapshot::Fresh;
use crate::pg::spi::Statement;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, TEXTARRAYOID};

/// From one position of a shard to its next; also how many shards there may be. Each has the positions that
/// leave its number when they are divided by it, so a shard more needs nothing of the others.
pub const STRIDE: i64 = 1_024;

/// Which shard this store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub number: i64,
    /// How many there are.
    pub count: i64,
    /// The version of the map that says where they are; it rises when streams move.
    pub map: i64,
    /// How many there were when what lies here was divided last.
    pub grown_from: i64,
}

static ARE_ADDRESSES: Statement = Statement::new(
    c"SELECT true WHERE pg_catalog.cardinality($1) OPERATOR(pg_catalog.=) $2 \
         AND NOT EXISTS (SELECT FROM pg_catalog.unnest($1) AS a (address) \
           WHERE a.address IS NULL OR a.address OPERATOR(pg_catalog.~*) \
             '(\\mpassword\\s*=|^\\s*postgres(ql)?://)')",
    &[TEXTARRAYOID, INT8OID],
);
static PUT: Statement = Statement::new(
    c"INSERT INTO message_store.shard AS s (number, shards, map, addresses, grown_from) \
      VALUES ($1, $2, $3, coalesce($4, '{}'), $5) \
      ON CONFLICT (is_only) DO UPDATE \
         SET number = excluded.number, shards = excluded.shards, map = excluded.map, \
             grown_from = excluded.grown_from, \
             addresses = coalesce($4, CASE WHEN s.shards OPERATOR(pg_catalog.=) $2 THEN s.addresses ELSE '{}' END), \
             since = CASE WHEN s.number OPERATOR(pg_catalog.=) $1 AND s.shards OPERATOR(pg_catalog.=) $2 \
                            AND s.map OPERATOR(pg_catalog.=) $3 \
                          THEN s.since ELSE pg_catalog.clock_timestamp() END",
    &[INT8OID, INT8OID, INT8OID, TEXTARRAYOID, INT8OID],
);

/// What the row says; `None` where the store is no shard.
pub fn row(snapshot: &Fresh) -> Result<Option<Shard>, Error> {
    // A store that 0.3 made has none.
    let Some(table) = Table::open_to_read(SCHEMA, c"shard") else {
        return Ok(None);
    };
    let columns = [
        (c"number", pg_sys::INT8OID),
        (c"shards", pg_sys::INT8OID),
        (c"map", pg_sys::INT8OID),
        (c"grown_from", pg_sys::INT8OID),
    ];
    let places = table.columns(columns).filter(|_| table.is_ordinary());
    let index = Index::open(SCHEMA, c"shard_pkey");
    let (Some(places), Some(index)) = (places, index) else {
        return Err(Error::StoreChanged(
            "message_store.shard is not the table that create_store() made".to_owned(),
            "Give it back its columns and its primary key.".to_owned(),
        ));
    };
    let mut scan = IndexScan::begin(&table, &index, snapshot, &[], Order::Ascending);
    Ok(scan.advance().then(|| {
        let [number, count, map, grown_from] = places.map(|place| scan.bigint(place));
        Shard {
            number,
            count,
            map,
            grown_from,
        }
    }))
}

/// Whether these are so many addresses, as keywords and values without passwords.
pub fn are_addresses(addresses: Parameter, count: i64) -> bool {
    ARE_ADDRESSES.run(&[addresses, bigint(count)], |_| {}) > 0
}

/// Writes it, and lets every session look again.
pub fn put(shard: Shard, addresses: Parameter) -> Result<(), Error> {
    let _owner = owner::of("shard")?;
    let values = [
        bigint(shard.number),
        bigint(shard.count),
        bigint(shard.map),
        addresses,
        bigint(shard.grown_from),
    ];
    PUT.run(&values, |_| {});
    relation::announce_change(SCHEMA, c"shard");
    Ok(())
}
