//! A batch of messages, written together or not at all.
//!
//! Streams are looked at in the order of their names, so that two batches over the same streams
//! wait for each other in one order and never deadlock; positions are drawn in the order of the
//! batch. As with a single write, a lock on a stream's name covers the time from the look at its
//! end to the new rows in the index. Only so many are held at a time: a batch over more streams
//! goes from group to group.

use crate::error::Error;
use crate::horizon::Draw;
use crate::message_db::adoption;
use crate::message_id;
use crate::pg::guard::{self, Raised, Rewording};
use crate::pg::insert::Insert;
use crate::pg::jsonb::Jsonb;
use crate::pg::probe::{Probe, RowWriter};
use crate::pg::relation::Table;
use crate::pg::scan::{Condition, Order};
use crate::pg::slot::Slot;
use crate::pg::text::Text;
use crate::pg::{transaction, uuid};
use crate::shard;
use crate::stream::{self, Ends, Tail};
use crate::stream_name;
use crate::tables::messages::{self, COLUMNS, column};
use crate::write::causation;
use crate::write::new_message::{self, NewMessage};
use pgrx::pg_sys;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ops::Range;

/// Streams whose names a batch locks at a time; what PostgreSQL by default reserves for each
/// transaction in its lock table.
const STREAMS_TOGETHER: usize = 64;

/// A message of a batch.
pub struct Entry<'a> {
    /// What is written. Stream name and type are not NULL.
    pub message: NewMessage<'a>,
    /// Its id.
    pub id: [u8; 16],
    /// What is done where a message of this id is in the log already.
    pub duplicate: Duplicate,
    /// The version its stream must have when it is written.
    pub expected_version: Option<i64>,
}

impl<'a> Entry<'a> {
    fn may_be_duplicate(&self) -> bool {
        self.duplicate != Duplicate::Refused
    }

    fn stream_name(&self) -> &'a [u8] {
        self.message
            .stream_name
            .map_or(&b""[..], |name| name.bytes())
    }

    fn message_type(&self) -> &'a [u8] {
        self.message
            .message_type
            .map_or(&b""[..], |name| name.bytes())
    }
}

/// What is done where a message's id is in the log already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// It is an error.
    Refused,
    /// It is left as it is: its writer says that the message is the same one.
    Kept,
    /// The id was derived in a handler. It is left as it is where it is the message that we would
    /// have written. Anybody can compute such an id and write something else under it, which is an
    /// error.
    KeptIfSame,
}

/// Where a message of the batch is in the log.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// In its stream.
    pub position: i64,
    /// In the log.
    pub global_position: i64,
    /// Whether it was there before.
    pub is_duplicate: bool,
}

/// Writes the batch, and returns where each message is. `version_before` is the version that the
/// stream of a batch over one stream must have before it.
pub fn write(entries: &[Entry<'_>], version_before: Option<i64>) -> Result<Vec<Place>, Error> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let table = messages::open_to_write()?;
    let order = by_stream(entries);
    let streams = streams(entries, &order);
    for stream in &streams {
        shard::require_own(entries[order[stream.start]].stream_name())?;
    }
    let categories = entries
        .iter()
        .map(|entry| stream_name::category(entry.stream_name()));
    adoption::lock_categories(&table, categories);
    let stream_index = stream::open_index_to_write()?;
    let id_index = messages::open_index(c"messages_id")?;
    let mut writer = BatchWriter {
        table: &table,
        ids: Probe::new(&table, &id_index, Order::Ascending),
        entries,
        order: &order,
        repeated: repeated_ids(entries)?,
        version_before,
        draw: None,
        places: vec![Place::default(); entries.len()],
        insert: None,
    };
    let mut ends = Ends::new(&table, &stream_index);
    for group in streams.chunks(STREAMS_TOGETHER) {
        writer.write_group(group, &mut ends)?;
    }
    if let Some(insert) = writer.insert {
        insert.finish();
    }
    for (number, first) in &writer.repeated {
        writer.places[*number] = Place {
            is_duplicate: true,
            ..writer.places[*first]
        };
    }
    transaction::command_counter_increment();
    Ok(writer.places)
}

/// The numbers of the entries by stream name, those of one stream in the order of the batch.
fn by_stream(entries: &[Entry<'_>]) -> Vec<usize> {
    let names: Vec<&[u8]> = entries.iter().map(Entry::stream_name).collect();
    let mut order: Vec<usize> = (0..entries.len()).collect();
    if names.iter().any(|name| *name != names[0]) {
        order.sort_by_key(|number| names[*number]);
    }
    order
}

/// Entries whose id an earlier one of the batch has, and which that is.
fn repeated_ids(entries: &[Entry<'_>]) -> Result<HashMap<usize, usize>, Error> {
    let mut repeated = HashMap::new();
    if !entries.iter().any(Entry::may_be_duplicate) {
        return Ok(repeated);
    }
    let mut first_of = HashMap::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let first = *first_of.entry(entry.id).or_insert(number);
        if first != number {
            require_same(
                entry,
                entries[first].stream_name(),
                entries[first].message_type(),
            )?;
            repeated.insert(number, first);
        }
    }
    Ok(repeated)
}

/// An error where the message of the same id is another one.
fn require_same(entry: &Entry<'_>, stream_name: &[u8], message_type: &[u8]) -> Result<(), Error> {
    if entry.stream_name() == stream_name && entry.message_type() == message_type {
        return Ok(());
    }
    let id = message_id::to_text(&entry.id);
    let other = format!(
        "It is of type {} in stream {}.",
        String::from_utf8_lossy(message_type),
        String::from_utf8_lossy(stream_name)
    );
    Err(match entry.duplicate {
        Duplicate::KeptIfSame => Error::DerivedIdTaken(id, other),
        _ => Error::IdTaken(id, other),
    })
}

/// An error where a message under a derived id is not what the handler would have written.
fn require_same_content(entry: &Entry<'_>, row: &Slot) -> Result<(), Error> {
    if entry.duplicate != Duplicate::KeptIfSame {
        return Ok(());
    }
    let (data, metadata) = (row.jsonb(column::DATA), row.jsonb(column::METADATA));
    let problem = if !Jsonb::are_equal(data, entry.message.data) {
        "Its data are others."
    } else if !causation::is_same(metadata, entry.message.metadata) {
        "Its metadata name another cause."
    } else {
        return Ok(());
    };
    Err(Error::DerivedIdTaken(
        message_id::to_text(&entry.id),
        problem.to_owned(),
    ))
}

/// The streams of the batch, each as the range of its entries in the order by stream.
fn streams(entries: &[Entry<'_>], order: &[usize]) -> Vec<Range<usize>> {
    let mut streams = Vec::new();
    let mut first = 0;
    while first < order.len() {
        let name = entries[order[first]].stream_name();
        let length = order[first..]
            .iter()
            .take_while(|number| entries[**number].stream_name() == name)
            .count();
        streams.push(first..first + length);
        first += length;
    }
    streams
}

struct BatchWriter<'a> {
    table: &'a Table,
    ids: Probe<'a>,
    entries: &'a [Entry<'a>],
    order: &'a [usize],
    repeated: HashMap<usize, usize>,
    version_before: Option<i64>,
    draw: Option<Draw>,
    places: Vec<Place>,
    insert: Option<Insert<'a>>,
}

impl<'a> BatchWriter<'a> {
    fn write_group(&mut self, group: &[Range<usize>], ends: &mut Ends<'_>) -> Result<(), Error> {
        let tails: Vec<Tail> = group
            .iter()
            .map(|stream| ends.tail(self.name(stream), self.expected(stream)))
            .collect::<Result<_, _>>()?;
        ends.rest();
        // A message of this id in the same stream is settled now: its writer has passed the
        // stream's end before us.
        for stream in group {
            for number in &self.order[stream.clone()] {
                self.look_for_duplicate(*number)?;
            }
        }
        self.ids.rest();
        let mut to_write = Vec::new();
        for (stream, tail) in group.iter().zip(&tails) {
            self.give_positions(stream, tail.version, &mut to_write)?;
        }
        if to_write.is_empty() {
            return Ok(());
        }
        self.draw_positions(group, &tails)?;
        to_write.sort_unstable();
        self.insert(&to_write)
        // The rows stand in the index of streams: whoever looks now finds us there.
    }

    fn name(&self, stream: &Range<usize>) -> Text<'a> {
        let first = self.order[stream.start];
        self.entries[first]
            .message
            .stream_name
            .unwrap_or_else(|| Text::copied(b""))
    }

    /// The version that the stream is expected to have, where its writer says so.
    fn expected(&self, stream: &Range<usize>) -> Option<i64> {
        let first = self.order[stream.start];
        self.version_before.or(self.entries[first].expected_version)
    }

    fn is_written(&self, number: usize) -> bool {
        !self.places[number].is_duplicate && !self.repeated.contains_key(&number)
    }

    /// Notes where the message of this id is, where there is one already. One that is being
    /// written is waited for.
    fn look_for_duplicate(&mut self, number: usize) -> Result<(), Error> {
        let entry = &self.entries[number];
        if !entry.may_be_duplicate() || self.repeated.contains_key(&number) {
            return Ok(());
        }
        let keys = [(0, Condition::Is(&entry.id))];
        loop {
            let found = self.ids.first(&keys, |row| match row.writer() {
                RowWriter::Running(transaction) => Err(transaction),
                RowWriter::Committed | RowWriter::Ourselves => {
                    let stream_name = row.text(column::STREAM_NAME);
                    let message_type = row.text(column::TYPE);
                    let place = Place {
                        position: row.bigint(column::POSITION),
                        global_position: row.bigint(column::GLOBAL_POSITION),
                        is_duplicate: true,
                    };
                    let same = require_same(entry, stream_name.bytes(), message_type.bytes())
                        .and_then(|()| require_same_content(entry, row));
                    Ok(same.map(|()| place))
                }
            });
            match found {
                None => return Ok(()),
                Some(Ok(place)) => {
                    self.places[number] = place?;
                    return Ok(());
                }
                Some(Err(transaction)) => {
                    self.ids.rest();
                    transaction::wait_for_end_of(transaction);
                }
            }
        }
    }

    /// Checks versions and gives the messages of a stream their positions in it.
    fn give_positions(
        &mut self,
        stream: &Range<usize>,
        mut version: i64,
        to_write: &mut Vec<usize>,
    ) -> Result<(), Error> {
        let entries = self.entries;
        let mut expected_before = self.version_before;
        for number in &self.order[stream.clone()] {
            if !self.is_written(*number) {
                continue;
            }
            let entry = &entries[*number];
            for expected in [expected_before.take(), entry.expected_version] {
                new_message::require_version(expected, version, entry.message.stream_name)?;
            }
            version = new_message::next_position(version)?;
            self.places[*number].position = version;
            to_write.push(*number);
        }
        Ok(())
    }

    /// Draws positions, for all messages at once, in the order of the batch. Where a stream of a
    /// later group has meanwhile got a message of somebody else's with a higher position, its own
    /// are drawn anew: in a stream, positions rise.
    fn draw_positions(&mut self, group: &[Range<usize>], tails: &[Tail]) -> Result<(), Error> {
        let Some(mut draw) = self.draw.take() else {
            let mut draw = Draw::announced(self.categories())?;
            for number in 0..self.entries.len() {
                if self.is_written(number) {
                    self.places[number].global_position = draw.next()?;
                }
            }
            self.draw = Some(draw);
            return Ok(());
        };
        for (stream, tail) in group.iter().zip(tails) {
            let numbers = &self.order[stream.clone()];
            let first = numbers.iter().find(|number| self.is_written(**number));
            let was_passed = first
                .is_some_and(|first| self.places[*first].global_position < tail.global_position);
            if was_passed {
                for number in numbers {
                    if self.is_written(*number) {
                        self.places[*number].global_position = draw.next()?;
                    }
                }
            }
        }
        self.draw = Some(draw);
        Ok(())
    }

    /// The categories of the batch; one may come more than once.
    fn categories(&self) -> Vec<&'a [u8]> {
        let mut categories: Vec<&[u8]> = self
            .order
            .iter()
            .map(|number| stream_name::category(self.entries[*number].stream_name()))
            .collect();
        categories.dedup();
        categories
    }

    fn insert(&mut self, to_write: &[usize]) -> Result<(), Error> {
        let (table, entries, places) = (self.table, self.entries, &self.places);
        let insert = self
            .insert
            .get_or_insert_with(|| Insert::begin(table, COLUMNS));
        let row = |nth: usize| -> [Option<pg_sys::Datum>; COLUMNS] {
            let entry = &entries[to_write[nth]];
            let place = &places[to_write[nth]];
            let id = Some(uuid::datum(&entry.id));
            entry.message.row(id, place.position, place.global_position)
        };
        let at = Cell::new(0);
        let inserted = guard::reword(
            || insert.rows(to_write.len(), row, &new_message::FIXED, |nth| at.set(nth)),
            |raised| {
                let violates = raised.violates(c"messages_id");
                violates.then(|| id_is_taken(&entries[to_write[at.get()]].id, raised))
            },
        );
        inserted.or_else(|(_, outcome)| new_message::require_inserted(table, outcome))
    }
}

fn id_is_taken(id: &[u8; 16], raised: &Raised<'_>) -> Rewording {
    let text = |text: String| CString::new(text).unwrap_or_default();
    Rewording {
        sqlstate: None,
        message: text(format!(
            "a message with the id {} is in the log already",
            message_id::to_text(id)
        )),
        detail: raised.detail.map(CStr::to_owned),
        hint: Some(text(
            "Where this is a retry, on_duplicate => 'ignore' returns what the first one wrote."
                .to_owned(),
        )),
    }
}
