//! The type `message`, and how a row of the log becomes a value of it.

use crate::message_id;
use crate::pg::jsonb::Jsonb;
use crate::pg::slot::Slot;
use crate::pg::text::TextBuffer;
use crate::tables::messages::{COLUMNS, column};
use pgrx::pg_sys;

/// The attributes of type `message`, in its order.
pub const TYPES: [pg_sys::Oid; COLUMNS] = [
    pg_sys::VARCHAROID,
    pg_sys::VARCHAROID,
    pg_sys::VARCHAROID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::VARCHAROID,
    pg_sys::VARCHAROID,
    pg_sys::TIMESTAMPOID,
];

/// Where its stream name stands.
pub const STREAM_NAME: usize = 1;
/// Where its global position stands.
pub const GLOBAL_POSITION: usize = 4;

/// Room for what a value of type `message` has as text and its row has not, used row after row.
pub struct MessageText {
    id: TextBuffer,
    data: TextBuffer,
    metadata: TextBuffer,
}

impl MessageText {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            id: TextBuffer::new(),
            data: TextBuffer::new(),
            metadata: TextBuffer::new(),
        }
    }

    /// The row a scan stands on as a value of type `message`, column by column; good until the
    /// next one.
    pub fn values(&mut self, row: &Slot) -> [Option<pg_sys::Datum>; COLUMNS] {
        let print = |number, buffer: &mut TextBuffer| {
            row.jsonb(number)
                .map(|json: Jsonb<'_>| buffer.write(|text| json.print(text)))
        };
        let id = row.uuid(column::ID).map(|id| {
            self.id
                .write(|text| text.extend_from_slice(&message_id::text(&id)))
        });
        [
            id,
            row.datum(column::STREAM_NAME),
            row.datum(column::TYPE),
            row.datum(column::POSITION),
            row.datum(column::GLOBAL_POSITION),
            print(column::DATA, &mut self.data),
            print(column::METADATA, &mut self.metadata),
            row.datum(column::TIME),
        ]
    }
}
