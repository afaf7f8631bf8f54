//! One stream at a time: where it ends, and that nobody else extends it meanwhile.
//!
//! Writers of one stream exclude each other without a lock that lasts: a lock-table entry per
//! stream would not survive a transaction over 100,000 streams. Instead the last row of the
//! stream says who is writing. While that row belongs to a transaction in flight, only that
//! transaction may add another; everybody else waits for its end. A lock on the stream's name,
//! held only from the look to the insertion, lets one writer at a time look.

use crate::consumer_group::hash_64;
use crate::error::Error;
use crate::message::{self, column};
use crate::pg::lock::{Exclusive, Tag};
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order, Writer};
use crate::pg::text::Text;
use crate::pg::transaction;

/// Lock class of stream names; see [`crate::horizon`] for the classes of positions.
const STREAM_LOCK: u16 = 0x4C53;
/// The version of a stream without messages.
pub const NO_STREAM: i64 = -1;

/// The right to add the next message to a stream, until dropped.
pub struct Tail {
    /// The position of the last message, or [`NO_STREAM`].
    pub version: i64,
    /// Held until the new row stands in the index, where others can see it. `None` where the
    /// last message is our own: nobody else may pass it before we end.
    _lock: Option<Exclusive>,
}

enum End {
    At(i64),
    OursAt(i64),
    BeingWrittenBy(pgrx::pg_sys::TransactionId),
}

impl Tail {
    /// Waits until no other transaction is adding to the stream, and finds its end.
    ///
    /// Waiting is in line and honours `lock_timeout`; two transactions that write the same two
    /// streams in opposite order are a deadlock, which PostgreSQL detects (40P01).
    pub fn of(table: &Table, index: &Index, name: Text<'_>) -> Self {
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
            None => match end(table, index, name) {
                End::OursAt(version) => {
                    return Self {
                        version,
                        _lock: None,
                    };
                }
                End::At(_) | End::BeingWrittenBy(_) => tag.exclusive(),
            },
        };
        loop {
            match end(table, index, name) {
                End::At(version) | End::OursAt(version) => {
                    return Self {
                        version,
                        _lock: Some(lock),
                    };
                }
                End::BeingWrittenBy(transaction) => transaction::wait_for_end_of(transaction),
            }
        }
    }
}

fn end(table: &Table, index: &Index, name: Text<'_>) -> End {
    let keys = [(0, Condition::Equals(name))];
    let mut scan = IndexScan::begin_dirty(table, index, &keys, Order::Descending);
    if !scan.advance() {
        return End::At(NO_STREAM);
    }
    let version = scan.bigint(column::POSITION);
    match scan.writer() {
        Writer::Committed => End::At(version),
        Writer::Ourselves => End::OursAt(version),
        Writer::Running(transaction) => End::BeingWrittenBy(transaction),
    }
}

/// Opens the index of streams.
pub fn open_index() -> Result<Index, Error> {
    message::open_index(c"messages_stream")
}
