//! One stream at a time: where it ends, and that nobody else extends it meanwhile.
//!
//! Writers of one stream exclude each other without a lock that lasts: a lock-table entry per
//! stream would not survive a transaction over 100,000 streams. Instead the last row of the
//! stream says who is writing. While that row belongs to a transaction in flight, only that
//! transaction may add another; everybody else waits for its end. A lock on the stream's name,
//! held only from the look to the insertion, lets one writer at a time look.

use crate::consumer_group::hash_64;
use crate::error::Error;
use crate::pg::lock::{Exclusive, Tag};
use crate::pg::probe::{Look, Probe, RowWriter};
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, Order};
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::tables::messages::{self, column};
use crate::tables::tombstones;
use std::ffi::CStr;

/// Lock class of stream names; see [`crate::horizon`] for the classes of positions.
const STREAM_LOCK: u16 = 0x4C53;
/// The version of a stream without messages.
pub const NO_STREAM: i64 = -1;

/// The right to add the next message to a stream, until dropped.
pub struct Tail {
    /// The position of the last message, or [`NO_STREAM`].
    pub version: i64,
    /// The global position of the last message, 0 for none.
    pub global_position: i64,
    /// Held until the new row stands in the index, where others can see it. `None` where the
    /// last message is our own: nobody else may pass it before we end.
    _lock: Option<Exclusive>,
}

/// Where a stream ends.
struct End {
    version: i64,
    global_position: i64,
    writer: RowWriter,
}

/// Looks where streams end, one after another.
pub struct Ends<'a> {
    /// The last message of a whole stream.
    last: Probe<'a>,
    /// The last message from a position on.
    last_from: Probe<'a>,
}

impl<'a> Ends<'a> {
    /// `index` is the index of streams of `table`, see [`open_index_to_write`].
    pub fn new(table: &'a Table, index: &'a Index) -> Self {
        let probe = || Probe::new(table, index, Order::Descending);
        Self {
            last: probe(),
            last_from: probe(),
        }
    }

    /// Waits until no other transaction is adding to the stream, and finds its end. `expected` is
    /// where it may be: the index looks at every entry of a page that satisfies the conditions
    /// before it returns the first, and of a long stream there are many.
    ///
    /// A stream whose last message was deleted goes on behind it.
    ///
    /// Waiting is in line and honours `lock_timeout`; two transactions that write the same two
    /// streams in opposite order are a deadlock, which PostgreSQL detects (40P01).
    pub fn tail(&mut self, name: Text<'_>, expected: Option<i64>) -> Result<Tail, Error> {
        let hash = hash_64(name.bytes()) as u64;
        let tag = Tag {
            high: (hash >> 32) as u32,
            low: hash as u32,
            class: STREAM_LOCK,
        };
        // Somebody is looking or waiting, perhaps for us: if the stream's end is ours, standing
        // in line behind whoever waits for us to end would be a deadlock.
        let lock = match tag.try_exclusive() {
            Some(lock) => lock,
            None => match self.end(name, expected) {
                end @ End {
                    writer: RowWriter::Ourselves,
                    ..
                } => return end.tail(name, None),
                _ => {
                    self.rest();
                    tag.exclusive()
                }
            },
        };
        loop {
            match self.end(name, expected) {
                End {
                    writer: RowWriter::Running(transaction),
                    ..
                } => {
                    self.rest();
                    transaction::wait_for_end_of(transaction);
                }
                end => return end.tail(name, Some(lock)),
            }
        }
    }

    /// Lets go of the pages that were looked at last; to be called before anything else that may
    /// take long.
    pub fn rest(&mut self) {
        self.last.rest();
        self.last_from.rest();
    }

    fn end(&mut self, name: Text<'_>, expected: Option<i64>) -> End {
        let from = expected.filter(|expected| *expected > NO_STREAM);
        let there = from.and_then(|from| {
            let keys = [(0, Condition::Equals(name)), (1, Condition::AtLeast(from))];
            self.last_from.first(&keys, End::of)
        });
        let last = there.or_else(|| {
            let keys = [(0, Condition::Equals(name))];
            self.last.first(&keys, End::of)
        });
        last.unwrap_or(End {
            version: NO_STREAM,
            global_position: 0,
            writer: RowWriter::Committed,
        })
    }
}

impl End {
    fn of(row: &Look) -> Self {
        Self {
            version: row.bigint(column::POSITION),
            global_position: row.bigint(column::GLOBAL_POSITION),
            writer: row.writer(),
        }
    }

    fn tail(self, name: Text<'_>, lock: Option<Exclusive>) -> Result<Tail, Error> {
        let version = match self.version {
            NO_STREAM => tombstones::position(name)?.unwrap_or(NO_STREAM),
            version => version,
        };
        Ok(Tail {
            version,
            global_position: self.global_position,
            _lock: lock,
        })
    }
}

const INDEX: &CStr = c"messages_stream";

/// Opens the index of streams.
pub fn open_index() -> Result<Index, Error> {
    messages::open_index(INDEX)
}

/// Opens the index of streams by one who adds messages to them.
pub fn open_index_to_write() -> Result<Index, Error> {
    messages::open_index_to_write(INDEX)
}
