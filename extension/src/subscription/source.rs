//! What a subscription reads: the settled messages of a category, a stream, or all of them.

use crate::error::Error;
use crate::horizon::{self, Horizon, Scope};
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::slot::Slot;
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;
use crate::shard::{self, Shard};
use crate::stream;
use crate::stream_name;
use crate::subscription::definition::Definition;
use crate::tables::deletions;
use crate::tables::messages::{self, column};
use std::ops::Deref;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Category,
    Stream,
    All,
}

fn kind(name: &[u8]) -> Kind {
    if name == stream_name::ALL.as_bytes() {
        Kind::All
    } else if stream_name::is_category(name) {
        Kind::Category
    } else {
        Kind::Stream
    }
}

/// The highest global position that was deleted of what a source reads; 0 for none.
pub fn deleted_up_to(source: &[u8]) -> Result<i64, Error> {
    deleted_since(source, None)
}

/// 55000 where a read model cannot be made anew: its baseline lies ahead of the log, or messages behind it
/// were deleted. They may be deleted the next moment: what reads them asks again when it has.
pub fn require_replayable(definition: &Definition) -> Result<(), Error> {
    let (baseline, drawn) = (
        definition.options.baseline,
        messages::sequence()?.last_value(),
    );
    if baseline > drawn {
        return Err(Error::SubscriptionState(
            definition.original().to_owned(),
            "has a baseline ahead of the log",
            "alter_subscription(...) with the position that the read model of its init is of.",
        ));
    }
    require_none_deleted(definition, definition.replay_start())
}

/// 55000 where messages that `definition` reads after a position were deleted since it was created: who
/// goes back to there would miss them. Nothing is deleted from here on until the transaction ends.
pub fn require_undeleted(definition: &Definition, after: i64) -> Result<(), Error> {
    deletions::hold_off()?;
    require_none_deleted(definition, after)
}

fn require_none_deleted(definition: &Definition, after: i64) -> Result<(), Error> {
    let id = definition.original();
    let deleted = deleted_since(definition.source.as_bytes(), Some(id))?;
    if deleted > after {
        return Err(Error::BeginningDeleted(id.to_owned(), after, deleted));
    }
    Ok(())
}

fn deleted_since(source: &[u8], subscriber_id: Option<&str>) -> Result<i64, Error> {
    let category = Some(stream_name::category(source));
    match kind(source) {
        Kind::All => deletions::up_to(None, None, subscriber_id),
        Kind::Category => deletions::up_to(category, None, subscriber_id),
        Kind::Stream => deletions::up_to(category, Some(source), subscriber_id),
    }
}

/// The messages that a subscription reads, up to a horizon.
pub struct Source {
    /// The table of messages.
    pub table: Table,
    /// How far they are settled, or may be read.
    pub horizon: Horizon,
    index: Index,
    kind: Kind,
    name: Text<'static>,
    correlation: Option<String>,
    types: Option<Vec<String>>,
    shard: Option<Shard>,
}

impl Source {
    /// Proves a horizon and opens the source up to it. `function` is named in errors.
    pub fn open(definition: &Definition, function: &'static str) -> Result<Self, Error> {
        let name = definition.source.as_bytes();
        let scope = match kind(name) {
            Kind::All => Scope::All,
            Kind::Category | Kind::Stream => Scope::Category(stream_name::category(name)),
        };
        Self::up_to(definition, horizon::settled(scope, function)?)
    }

    /// Opens the source up to a horizon.
    pub fn up_to(definition: &Definition, horizon: Horizon) -> Result<Self, Error> {
        let name = definition.source.as_bytes();
        let kind = kind(name);
        let table = messages::open_to_deliver()?;
        let index = match kind {
            Kind::Category => messages::open_index(c"messages_category")?,
            Kind::Stream => stream::open_index()?,
            Kind::All => messages::open_index(c"messages_pkey")?,
        };
        Ok(Self {
            table,
            horizon,
            index,
            kind,
            name: Text::copied(name),
            correlation: definition.options.correlation.clone(),
            types: definition.options.types.clone(),
            shard: shard::this()?,
        })
    }

    /// Whether the store is still what it was when this was opened: a shard that has become two since reads
    /// less. To be asked when a member is held, which a growth waits for.
    pub fn is_of_now(&self) -> Result<bool, Error> {
        Ok(shard::this()? == self.shard)
    }

    /// Whether a stream's messages are handled here, and not on another shard.
    pub fn lives_here(&self, stream_name: &[u8]) -> Result<bool, Error> {
        shard::lives_here(self.shard, stream_name)
    }

    /// Goes as far as a member has come, no more and no less: it has proven that nothing is to come
    /// up to there. A proof of now may reach less far, since a transaction that wrote messages and
    /// handled them gives back its member a moment before the announcement of its messages.
    pub fn end_where_a_member_is(&mut self, position: i64) {
        self.horizon = Horizon {
            position,
            drawn: position,
        };
    }

    /// Whether a member that drains until `end` has come to it: `position` is the last it dealt
    /// with. Where less is proven than that, nobody can say.
    pub fn has_drained(&self, end: i64, position: i64) -> bool {
        position >= end || (self.horizon.position >= end && !self.has_message_after(position))
    }

    /// Goes no further than this position.
    pub fn end_at(&mut self, position: i64) {
        self.horizon.position = self.horizon.position.min(position);
        self.horizon.drawn = self.horizon.drawn.min(position);
    }

    /// Walks the messages after a position. The snapshot must be newer than the horizon.
    pub fn walk<'b>(&'b self, snapshot: &'b Fresh, after: i64) -> Walk<'b> {
        let (low, high) = (after.saturating_add(1), self.horizon.position);
        let keys = match self.kind {
            Kind::Category => vec![
                (0, Condition::Equals(self.name)),
                (1, Condition::AtLeast(low)),
                (1, Condition::AtMost(high)),
            ],
            Kind::All => vec![(0, Condition::AtLeast(low)), (0, Condition::AtMost(high))],
            Kind::Stream => vec![
                (0, Condition::Equals(self.name)),
                (1, Condition::AtLeast(self.first_in_stream(snapshot, low))),
            ],
        };
        let scan = IndexScan::begin(&self.table, &self.index, snapshot, &keys, Order::Ascending);
        // What every message is asked for: its position, and its type for its handler.
        Walk {
            scan: scan.taking(column::TYPE + 1),
            high,
            shard: self.shard,
        }
    }

    /// The position in the stream of its first message at or after a global position: global
    /// positions rise with positions, so halving finds it.
    fn first_in_stream(&self, snapshot: &Fresh, global_position: i64) -> i64 {
        let scan = |at_least, order| {
            let keys = [
                (0, Condition::Equals(self.name)),
                (1, Condition::AtLeast(at_least)),
            ];
            IndexScan::begin(&self.table, &self.index, snapshot, &keys, order)
        };
        let mut last = scan(0, Order::Descending);
        if !last.advance() {
            return 0;
        }
        let (mut low, mut high) = (0, last.bigint(column::POSITION) + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut probe = scan(middle, Order::Ascending);
            if probe.advance() && probe.bigint(column::GLOBAL_POSITION) < global_position {
                low = probe.bigint(column::POSITION) + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The last global position of the source up to the horizon; 0 for none.
    pub fn head(&self, snapshot: &Fresh) -> i64 {
        let keys = match self.kind {
            Kind::Category => vec![
                (0, Condition::Equals(self.name)),
                (1, Condition::AtMost(self.horizon.position)),
            ],
            Kind::All => vec![(0, Condition::AtMost(self.horizon.position))],
            Kind::Stream => vec![(0, Condition::Equals(self.name))],
        };
        let order = Order::Descending;
        let mut scan = IndexScan::begin(&self.table, &self.index, snapshot, &keys, order);
        if scan.advance() {
            scan.bigint(column::GLOBAL_POSITION)
        } else {
            0
        }
    }

    /// Whether there is anything to read after `position`.
    pub fn has_message_after(&self, position: i64) -> bool {
        if self.horizon.position <= position {
            return false;
        }
        let snapshot = Fresh::take();
        self.walk(&snapshot, position).advance()
    }

    /// Whether a stream belongs to the source.
    pub fn includes(&self, stream_name: &[u8]) -> bool {
        match self.kind {
            Kind::All => true,
            Kind::Stream => stream_name == self.name.bytes(),
            Kind::Category => stream_name::category(stream_name) == self.name.bytes(),
        }
    }

    /// Whether the subscription's filters let a message through.
    pub fn wants(&self, row: &Slot) -> bool {
        if let Some(types) = &self.types {
            let message_type = row.text(column::TYPE);
            if !types
                .iter()
                .any(|known| known.as_bytes() == message_type.bytes())
            {
                return false;
            }
        }
        match &self.correlation {
            None => true,
            Some(category) => row
                .jsonb(column::METADATA)
                .and_then(|metadata| metadata.string_field("correlationStreamName"))
                .is_some_and(|stream| stream_name::category(&stream) == category.as_bytes()),
        }
    }
}

/// A walk over a source's messages, in order.
pub struct Walk<'a> {
    scan: IndexScan<'a>,
    high: i64,
    shard: Option<Shard>,
}

impl Walk<'_> {
    /// Goes to the next message that lives here; `false` at the end.
    pub fn advance(&mut self) -> bool {
        while self.scan.advance() && self.scan.bigint(column::GLOBAL_POSITION) <= self.high {
            if self.lives_here() {
                return true;
            }
            pgrx::check_for_interrupts!();
        }
        false
    }

    /// What cannot be hashed is nobody's, and stays.
    fn lives_here(&self) -> bool {
        self.shard.is_none_or(|shard| {
            let stream_name = self.scan.text(column::STREAM_NAME);
            shard.owns(stream_name.bytes()).unwrap_or(true)
        })
    }
}

impl Deref for Walk<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.scan
    }
}
