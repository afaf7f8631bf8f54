//! What a subscription reads: the settled messages of its category.

use crate::error::Error;
use crate::horizon::Horizon;
use crate::message;
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;

/// The settled messages of one category.
pub struct Source<'a> {
    table: Table,
    index: Index,
    category: Text<'a>,
    horizon: Horizon,
}

impl<'a> Source<'a> {
    /// Opens the category up to a horizon that was proven before.
    pub fn open(category: Text<'a>, horizon: Horizon) -> Result<Self, Error> {
        let table = message::open_to_deliver()?;
        let index = message::open_index(c"messages_category")?;
        Ok(Self {
            table,
            index,
            category,
            horizon,
        })
    }

    /// Walks the messages after a position. The snapshot must be newer than the horizon.
    pub fn scan<'b>(&'b self, snapshot: &'b Fresh, after: i64) -> IndexScan<'b> {
        let keys = [
            (0, Condition::Equals(self.category)),
            (1, Condition::AtLeast(after.saturating_add(1))),
            (1, Condition::AtMost(self.horizon.position)),
        ];
        IndexScan::begin(&self.table, &self.index, snapshot, &keys, Order::Ascending)
    }

    /// Whether there is anything to do after `position`.
    pub fn has_message_after(&self, position: i64) -> bool {
        if self.horizon.position <= position {
            return false;
        }
        let snapshot = Fresh::take();
        self.scan(&snapshot, position).advance()
    }
}
