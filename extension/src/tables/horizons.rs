//! How far messages were proven to be settled, for standbys.

use super::{SCHEMA, owner};
use crate::error::Error;
use crate::pg::parameter::{bigint, bytes};
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::slot::Slot;
use crate::pg::snapshot::Fresh;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, TEXTOID};

static ADD: Statement = Statement::new(
    c"INSERT INTO message_store.horizons (source, position, drawn) VALUES ($1, $2, $3) \
      ON CONFLICT (source) DO NOTHING",
    &[TEXTOID, INT8OID, INT8OID],
);
static HOLD: Statement = Statement::new(
    c"SELECT position FROM message_store.horizons WHERE source OPERATOR(pg_catalog.=) $1 \
         FOR NO KEY UPDATE SKIP LOCKED",
    &[TEXTOID],
);
static PUT: Statement = Statement::new(
    c"UPDATE message_store.horizons \
         SET position = $2, drawn = $3, proven_at = pg_catalog.clock_timestamp() \
       WHERE source OPERATOR(pg_catalog.=) $1",
    &[TEXTOID, INT8OID, INT8OID],
);
static FORGET: Statement = Statement::new(
    c"DELETE FROM message_store.horizons WHERE position OPERATOR(pg_catalog.>) $1",
    &[INT8OID],
);

/// A row.
#[derive(Clone, Copy)]
pub struct Recorded {
    /// No message of the source is still to come at or below this.
    pub position: i64,
    /// The last position that was drawn when it was proven.
    pub drawn: i64,
    /// When, in microseconds since 2000-01-01 00:00 UTC.
    pub proven_at: i64,
}

/// The rows, to be looked at.
pub struct Horizons {
    table: Table,
    index: Index,
    places: [usize; 3],
}

impl Horizons {
    /// Opens them; `None` in a store that 0.3 made.
    pub fn open() -> Result<Option<Self>, Error> {
        let Some(table) = Table::open_to_read(SCHEMA, c"horizons") else {
            return Ok(None);
        };
        let columns = [
            (c"source", pg_sys::TEXTOID),
            (c"position", pg_sys::INT8OID),
            (c"drawn", pg_sys::INT8OID),
            (c"proven_at", pg_sys::TIMESTAMPTZOID),
        ];
        let places = table.columns(columns).filter(|_| table.is_ordinary());
        let index = Index::open(SCHEMA, c"horizons_pkey");
        let (Some([_, position, drawn, proven_at]), Some(index)) = (places, index) else {
            return Err(Error::StoreChanged(
                "message_store.horizons is not the table that create_store() made".to_owned(),
                "Drop it; create_store() makes it anew.".to_owned(),
            ));
        };
        Ok(Some(Self {
            table,
            index,
            places: [position, drawn, proven_at],
        }))
    }

    /// The row of a category or of `$all`.
    pub fn of(&self, snapshot: &Fresh, source: &[u8]) -> Option<Recorded> {
        let source = Text::copied(source);
        let mut scan = self.scan(snapshot, &[(0, Condition::Equals(source))]);
        scan.advance().then(|| self.row(&scan))
    }

    /// The highest position of any source; 0 for none.
    pub fn highest(&self, snapshot: &Fresh) -> i64 {
        let mut highest = 0;
        let mut scan = self.scan(snapshot, &[]);
        while scan.advance() {
            highest = highest.max(self.row(&scan).position);
        }
        highest
    }

    fn scan<'a>(&'a self, snapshot: &'a Fresh, keys: &[(usize, Condition<'_>)]) -> IndexScan<'a> {
        IndexScan::begin(&self.table, &self.index, snapshot, keys, Order::Ascending)
    }

    fn row(&self, row: &Slot) -> Recorded {
        let [position, drawn, proven_at] = self.places.map(|place| row.bigint(place));
        Recorded {
            position,
            drawn,
            proven_at,
        }
    }
}

/// Writes a row that is not there yet.
pub fn add(source: &[u8], position: i64, drawn: i64) -> Result<(), Error> {
    let _owner = owner::of("horizons")?;
    ADD.run(&[bytes(source), bigint(position), bigint(drawn)], |_| {});
    Ok(())
}

/// Lets a row rise to a position that was proven. Whoever else writes it at this moment has proven as
/// much, or soon will have: nobody waits for him.
pub fn raise(source: &[u8], position: i64, drawn: i64) -> Result<(), Error> {
    let _owner = owner::of("horizons")?;
    let mut is_higher = true;
    HOLD.run(&[bytes(source)], |row| {
        is_higher = row.bigint(0).is_some_and(|known| known > position);
    });
    if !is_higher {
        PUT.run(&[bytes(source), bigint(position), bigint(drawn)], |_| {});
    }
    Ok(())
}

/// Forgets what was proven beyond a position: of another log, or of one that was emptied.
pub fn forget_beyond(position: i64) -> Result<(), Error> {
    let _owner = owner::of("horizons")?;
    FORGET.run(&[bigint(position)], |_| {});
    Ok(())
}
