//! How far a reader may go, and why: no consumer ever skips a message.
//!
//! Positions are drawn before commit, so a higher one can become visible first. A writer
//! therefore holds, from *before* it draws its first position to the end of its transaction, a
//! shared lock whose tag says "whatever I write in this category lies above `low`". A reader
//!
//! 1. samples the sequence,
//! 2. looks for held tags that cover its category,
//! 3. takes the lowest of the sample and the tags' `low` as its horizon,
//! 4. **then** takes a new snapshot and reads up to the horizon.
//!
//! A writer that owns a position at or below the horizon is neither running (its tag would have
//! lowered the horizon) nor invisible (locks are released after a transaction becomes visible,
//! and the snapshot is newer than the look). Nobody waits for anybody. The order of the steps
//! is the proof; see `docs/decisions/0003-ordering.md`.
//!
//! A standby does not have the writers' locks. It reads as far as what was proven on the primary and
//! written down there, once that has come to it: `docs/decisions/0021-standbys.md`.

mod blockers;
mod record;
mod show;
mod wait;

use crate::epoch;
use crate::error::Error;
use crate::fnv::fnv_1a;
use crate::pg::catalog::{self, Generation};
use crate::pg::lock::{self, Holding, Tag};
use crate::pg::sequence::{Sequence, Settings};
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;
use crate::shard::STRIDE;
use crate::stream_name;
use crate::tables::horizons::{Horizons, Recorded};
use crate::tables::messages;
use std::cell::{Cell, RefCell};

/// The protocol of the tags below, in the upper byte of the lock class. Writers and readers of
/// one database must agree on it; a change of meaning needs a new number, and readers refuse to
/// go on beside a writer of a number they do not know.
const PROTOCOL: u16 = 0x4D;
/// Numbers set aside for later protocols.
const NEWER_PROTOCOLS: std::ops::RangeInclusive<u16> = 0x4E..=0x4F;
/// How many bits of `low` a tag carries: 32 in one field, 8 in the class.
const LOW_BITS: u32 = 40;
/// How many steps may be left out at once, and while a transaction is open that a tag stands for: far less
/// than a tag can tell apart, and more than a few epochs leave out ([`epoch::MOST`]).
const FURTHEST_STEPS: i64 = 1 << 36;
const _: () = assert!(FURTHEST_STEPS > 4 * epoch::MOST && FURTHEST_STEPS < 1 << (LOW_BITS - 2));
/// The tag's category for a transaction that writes to more categories than
/// [`CATEGORIES_PER_TRANSACTION`]: it stands for all of them.
const EVERY_CATEGORY: u32 = 0;
/// From how many categories on a transaction holds one tag for all of them.
const CATEGORIES_PER_TRANSACTION: usize = 32;

/// What a transaction holds, so that its later writes take the same tags again.
struct Held {
    transaction: u32,
    categories: Vec<(u32, i64)>,
    every_category: Option<i64>,
}

thread_local! {
    static HELD: RefCell<Held> =
        const { RefCell::new(Held { transaction: 0, categories: Vec::new(), every_category: None }) };
    /// The catalogs in which the sequence was last found to be as it must be, and its scale.
    static CHECKED: Cell<Option<(Generation, Scale)>> = const { Cell::new(None) };
}

/// What a tag counts `low` in: positions, or in a shard, where they come in steps, those steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scale {
    /// The logarithm of the step.
    shift: u32,
    /// What positions leave when they are divided by the step.
    residue: i64,
}

impl Scale {
    fn of(settings: &Settings) -> Self {
        if settings.increment == STRIDE {
            Self {
                shift: STRIDE.trailing_zeros(),
                residue: settings.start.rem_euclid(STRIDE),
            }
        } else {
            Self {
                shift: 0,
                residue: 0,
            }
        }
    }

    /// From one position to the next.
    fn step(self) -> i64 {
        1 << self.shift
    }

    /// The last position before the next that is drawn after this one. One that was never drawn, as before the
    /// first, is followed by the next one of the scale.
    fn last_before_next(self, position: i64) -> i64 {
        self.position(self.steps(position))
            .saturating_add(self.step() - 1)
    }

    /// How many steps a position is, rounded down.
    fn steps(self, position: i64) -> i64 {
        position.saturating_sub(self.residue) >> self.shift
    }

    /// The position of so many steps: exact for one that was drawn, and else never beyond.
    fn position(self, steps: i64) -> i64 {
        steps
            .saturating_mul(self.step())
            .saturating_add(self.residue)
    }
}

/// Draws the global position of a message in `category`, having first told readers that it is
/// coming. The promise lasts until the transaction ends, through PREPARE and restart.
pub fn draw_position(category: &[u8]) -> Result<i64, Error> {
    Draw::announced([category])?.next()
}

/// The global positions of messages that readers were told about before the first is drawn.
///
/// Good within one statement: ROLLBACK TO SAVEPOINT takes the announcement back.
pub struct Draw {
    sequence: Sequence,
    last: i64,
}

impl Draw {
    /// Tells readers that messages of these categories are coming.
    pub fn announced<'a>(categories: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let sequence = messages::sequence()?;
        let scale = checked_scale(sequence)?;
        let sample = checked_sample(sequence)?;
        for category in categories {
            announce(scale, sample, category_hash(category));
        }
        Ok(Self {
            sequence,
            last: sample,
        })
    }

    /// The next position, above all that were drawn before.
    pub fn next(&mut self) -> Result<i64, Error> {
        let position = self.sequence.next_value();
        if position <= self.last {
            return Err(Error::SequenceChanged(format!(
                "went backwards: it handed out {position} after {}",
                self.last
            )));
        }
        self.last = position;
        Ok(position)
    }
}

/// An error where the sequence could hand out positions in another order than we rely on. Nothing
/// is looked up again while no sequence changes.
fn checked_scale(sequence: Sequence) -> Result<Scale, Error> {
    let generation = catalog::generation();
    if let Some((checked, scale)) = CHECKED.get()
        && checked == generation
    {
        return Ok(scale);
    }
    let settings = sequence
        .settings()
        .ok_or(Error::NoStore("messages_global_position_seq"))?;
    if settings.cache != 1 {
        return Err(Error::SequenceChanged(format!(
            "has CACHE {}",
            settings.cache
        )));
    }
    if settings.increment < 1 {
        return Err(Error::SequenceChanged(format!(
            "has INCREMENT {}",
            settings.increment
        )));
    }
    if settings.cycles {
        return Err(Error::SequenceChanged("has CYCLE".to_owned()));
    }
    let scale = Scale::of(&settings);
    CHECKED.set(Some((generation, scale)));
    Ok(scale)
}

/// Holds the tag for this category; `sample` is its `low` where the transaction has none yet.
///
/// The lock is taken anew at every write, never remembered as held: ROLLBACK TO SAVEPOINT
/// releases what was taken since. What is remembered is only the `low` of the first write, so
/// that a transaction of many messages has one lock a category; an older `low` is never wrong.
fn announce(scale: Scale, sample: i64, category: u32) {
    announce_as(scale, |held| {
        let known = held.categories.iter().find(|(hash, _)| *hash == category);
        match (known, held.every_category) {
            (Some(known), _) => *known,
            (None, Some(low)) => (EVERY_CATEGORY, low),
            (None, None) => {
                if held.categories.len() < CATEGORIES_PER_TRANSACTION {
                    held.categories.push((category, sample));
                    (category, sample)
                } else {
                    held.every_category = Some(sample);
                    (EVERY_CATEGORY, sample)
                }
            }
        }
    });
}

/// Holds the tag of this hash and `low`, of what the transaction holds.
fn announce_as(scale: Scale, choose: impl FnOnce(&mut Held) -> (u32, i64)) {
    let transaction = transaction::local_id();
    HELD.with_borrow_mut(|held| {
        if held.transaction != transaction {
            *held = Held {
                transaction,
                categories: Vec::new(),
                every_category: None,
            };
        }
        let (hash, low) = choose(held);
        tag(hash, scale.steps(low)).share_until_end();
    });
}

/// Tells readers of every category that this transaction is about to draw positions.
pub fn announce_every_category() -> Result<(), Error> {
    let sequence = messages::sequence()?;
    let scale = checked_scale(sequence)?;
    let sample = checked_sample(sequence)?;
    announce_as(scale, |held| {
        let low = *held.every_category.get_or_insert(sample);
        (EVERY_CATEGORY, low)
    });
    Ok(())
}

/// Whether this transaction has drawn positions, which nobody can pass before it ends.
pub fn has_announced() -> bool {
    HELD.with_borrow(|held| {
        held.transaction == transaction::local_id()
            && !(held.categories.is_empty() && held.every_category.is_none())
    })
}

/// Samples the sequence and makes sure that it was not set back behind messages that readers may
/// have passed already.
fn checked_sample(sequence: Sequence) -> Result<i64, Error> {
    epoch::make_positions_safe(sequence)?;
    let state = sequence.state_before_drawing();
    if !state.may_have_been_set {
        return Ok(state.last_value);
    }
    let highest = messages::highest_global_position()?;
    // Sampled again: a message was drawn before it could be found in the log.
    let sample = sequence.last_value();
    if sample < highest {
        return Err(Error::SequenceChanged(format!(
            "was set back to {sample}, behind message {highest}"
        )));
    }
    Ok(sample)
}

/// `low` in steps.
fn tag(category: u32, low: i64) -> Tag {
    let upper = (low >> 32) as u16 & 0xFF;
    Tag {
        high: low as u32,
        low: category,
        class: (PROTOCOL << 8) | upper,
    }
}

/// The `low` of a tag, given a sample of the sequence that was taken after the tag was seen; all in steps.
///
/// Exact as long as the tag's transaction has not been open for 2^40 steps.
fn low_of(tag: &Tag, later_sample: i64) -> i64 {
    let known = (u64::from(tag.class & 0xFF) << 32) | u64::from(tag.high);
    let behind = (later_sample as u64).wrapping_sub(known) & ((1 << LOW_BITS) - 1);
    later_sample.saturating_sub(behind as i64)
}

/// A stable hash of a category for the tags: FNV-1a, folded to 32 bits, never
/// [`EVERY_CATEGORY`]. Part of the protocol. A collision only makes two categories wait for
/// each other's writers.
fn category_hash(category: &[u8]) -> u32 {
    let hash = fnv_1a(category);
    let folded = (hash >> 32) as u32 ^ hash as u32;
    if folded == EVERY_CATEGORY { 1 } else { folded }
}

/// How far messages are settled: none that is still to come lies at or below `position`.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    /// The last position a reader may return.
    pub position: i64,
    /// The last position that was drawn when the proof began.
    pub drawn: i64,
}

impl Horizon {
    /// Whether a writer in flight keeps back messages that may have been drawn already.
    pub fn is_held_back(&self) -> bool {
        self.position < self.drawn
    }
}

/// What a reader wants to be settled.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// One category.
    Category(&'a [u8]),
    /// Every category.
    All,
}

impl Scope<'_> {
    /// What its row in `horizons` is called.
    fn name(&self) -> &[u8] {
        match self {
            Self::Category(category) => category,
            Self::All => stream_name::ALL.as_bytes(),
        }
    }
}

/// Proves a horizon, or on a standby takes what was proven on the primary. The caller must read with a
/// [`snapshot`] that it takes *afterwards*.
///
/// `function` is named in the error of a transaction that keeps one snapshot, 25001; a standby reads
/// there too. 55000 on a standby that nothing has come to. Our own transaction does not hold itself back:
/// what it wrote, it may read.
pub fn settled(scope: Scope<'_>, function: &'static str) -> Result<Horizon, Error> {
    if transaction::is_in_recovery() {
        let position = arrived(scope)?.map_or(0, |recorded| recorded.position);
        return Ok(Horizon {
            position,
            drawn: position,
        });
    }
    if transaction::has_one_snapshot() {
        return Err(Error::OneSnapshot(function));
    }
    Ok(Look::take(messages::sequence()?)?.horizon(scope))
}

/// Proves a horizon for a reader of several shards, after all positions up to `target` were drawn or left
/// out here: the furthest that one of the others has drawn. Whoever hears of it may rely on it, whatever
/// fails: nothing at or below it is drawn here again.
pub fn settled_beyond(
    scope: Scope<'_>,
    function: &'static str,
    target: i64,
) -> Result<Horizon, Error> {
    if transaction::has_one_snapshot() {
        return Err(Error::OneSnapshot(function));
    }
    let sequence = messages::sequence()?;
    let room = Room::of(sequence)?;
    if target > room.drawn {
        // Where that is not all the way, the next reader comes nearer: nothing is passed.
        sequence.leave_out(target.min(room.furthest()?));
    }
    let look = Look::take(sequence)?;
    sequence.make_durable();
    let scale = checked_scale(sequence)?;
    let Horizon { position, drawn } = look.horizon(scope);
    Ok(Horizon {
        position: scale.last_before_next(position),
        drawn: scale.last_before_next(drawn),
    })
}

/// Draws no position up to `target` from here on; returns the last that was drawn or left out. 22023 where
/// that is further than a writer's announcement can tell.
pub fn leave_out_up_to(target: i64) -> Result<i64, Error> {
    let sequence = messages::sequence()?;
    let room = Room::of(sequence)?;
    if target <= room.drawn {
        return Ok(room.drawn);
    }
    let furthest = room.furthest()?;
    if target > furthest {
        return Err(Error::argument(
            "target",
            format!("is too far: {target}, and {furthest} is the furthest"),
            "Pass the last position that another shard has drawn.",
        ));
    }
    Ok(sequence.leave_out(target))
}

/// From where on positions may be left out, and how far.
struct Room {
    sequence: Sequence,
    scale: Scale,
    drawn: i64,
}

impl Room {
    fn of(sequence: Sequence) -> Result<Self, Error> {
        let scale = checked_scale(sequence)?;
        epoch::make_positions_safe(sequence)?;
        Ok(Self {
            sequence,
            scale,
            drawn: sequence.last_value(),
        })
    }

    fn furthest(&self) -> Result<i64, Error> {
        let others = writers(self.sequence)?.into_iter().map(|writer| writer.low);
        let open = others.chain(own_low()).fold(self.drawn, i64::min);
        Ok(open.saturating_add(self.scale.step().saturating_mul(FURTHEST_STEPS)))
    }
}

/// The lowest `low` that our own transaction has announced.
fn own_low() -> Option<i64> {
    HELD.with_borrow(|held| {
        let is_ours = held.transaction == transaction::local_id();
        let lows = held.categories.iter().map(|(_, low)| *low);
        lows.chain(held.every_category).min().filter(|_| is_ours)
    })
}

/// The snapshot to read with up to a horizon that was settled before.
pub fn snapshot() -> Fresh {
    if transaction::has_one_snapshot() {
        Fresh::of_transaction()
    } else {
        Fresh::take()
    }
}

/// On a standby: the furthest of what was recorded of `scope` and has come here; `None` where no position
/// was ever drawn. What is settled of all is settled of each category.
fn arrived(scope: Scope<'_>) -> Result<Option<Recorded>, Error> {
    let rows = Horizons::open()?.ok_or(Error::Standby)?;
    let snapshot = snapshot();
    let of = |name: &[u8]| rows.of(&snapshot, name);
    let all = of(Scope::All.name());
    let own = match scope {
        Scope::Category(_) => of(scope.name()),
        Scope::All => None,
    };
    // A log that was emptied is known by its sequence, whose page is never behind the messages.
    let drawn = messages::sequence()?.last_value();
    let furthest = [all, own]
        .into_iter()
        .flatten()
        .filter(|recorded| recorded.position <= drawn)
        .max_by_key(|recorded| recorded.position);
    match furthest {
        None if drawn > 0 => Err(Error::Standby),
        found => Ok(found),
    }
}

/// On a standby: whether it knows how far anything is settled.
pub fn has_arrived() -> Result<bool, Error> {
    match arrived(Scope::All) {
        Err(Error::Standby) => Ok(false),
        found => found.map(|_| true),
    }
}

/// A transaction that has announced messages and not ended.
pub struct Writer {
    /// Its process id; 0 for a prepared transaction.
    pub pid: i32,
    /// Everything it writes lies above this position.
    pub low: i64,
    /// The hash of its category, or [`EVERY_CATEGORY`].
    category: u32,
}

/// What a look at the sequence and then at the writers has found.
struct Look {
    drawn: i64,
    writers: Vec<Writer>,
}

impl Look {
    fn take(sequence: Sequence) -> Result<Self, Error> {
        let drawn = sequence.last_value();
        Ok(Self {
            drawn,
            writers: writers(sequence)?,
        })
    }

    fn horizon(&self, scope: Scope<'_>) -> Horizon {
        let concerns = concerning(scope);
        let lows = self.writers.iter().filter(|writer| concerns(writer));
        Horizon {
            position: lows.map(|writer| writer.low).fold(self.drawn, i64::min),
            drawn: self.drawn,
        }
    }
}

/// Whether a writer may still bring messages within `scope`.
fn concerning(scope: Scope<'_>) -> impl Fn(&Writer) -> bool {
    let wanted = match scope {
        Scope::Category(category) => Some(category_hash(category)),
        Scope::All => None,
    };
    move |writer| {
        writer.category == EVERY_CATEGORY || wanted.is_none_or(|hash| writer.category == hash)
    }
}

/// The transactions, but for our own, that may still bring messages within `scope`.
pub fn writers_in_flight(sequence: Sequence, scope: Scope<'_>) -> Result<Vec<Writer>, Error> {
    let mut writers = writers(sequence)?;
    writers.retain(concerning(scope));
    Ok(writers)
}

/// The transactions, but for our own, that may still bring messages.
fn writers(sequence: Sequence) -> Result<Vec<Writer>, Error> {
    let known = PROTOCOL..=*NEWER_PROTOCOLS.end();
    let holdings = lock::held_by_others(|class| known.contains(&(class >> 8)));
    if holdings.is_empty() {
        return Ok(Vec::new());
    }
    if holdings
        .iter()
        .any(|holding| NEWER_PROTOCOLS.contains(&(holding.tag.class >> 8)))
    {
        return Err(Error::NewerLibrary);
    }
    let later_sample = sequence.last_value();
    // Asked after that: a writer in steps began after the sequence had them, which is known by now.
    let scale = checked_scale(sequence)?;
    let later = scale.steps(later_sample);
    Ok(holdings
        .into_iter()
        .map(|Holding { tag, pid }| Writer {
            pid,
            low: scale.position(low_of(&tag, later)),
            category: tag.low,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tag_gives_back_its_low(low in 0..i64::MAX, drawn_since in 0..(1_i64 << LOW_BITS)) {
            let later_sample = low.saturating_add(drawn_since);
            prop_assert_eq!(low_of(&tag(7, low), later_sample), low);
        }
    }

    proptest! {
        #[test]
        fn in_steps_what_was_drawn_comes_back_and_nothing_goes_beyond(
            residue in 0..STRIDE, drawn in -1..1_000_000_000_i64, since in 0..1_000_000_i64, off in 0..STRIDE,
        ) {
            let scale = Scale { shift: 10, residue };
            let low = residue + drawn * STRIDE;
            let back = |low: i64, later: i64| {
                scale.position(low_of(&tag(7, scale.steps(low)), scale.steps(later)))
            };
            prop_assert_eq!(back(low, low + since * STRIDE), low);
            prop_assert!((low + off - STRIDE + 1..=low + off).contains(&back(low + off, low + since * STRIDE + off)));
        }
    }

    #[test]
    fn before_the_next_position_of_a_shard_there_is_none() {
        let last = |residue, position| {
            let scale = Scale { shift: 10, residue };
            scale.last_before_next(position)
        };
        // Drawn, and about to draw the first: 1 or 1,024.
        assert_eq!(last(1, 1_025), 2_048);
        assert_eq!(last(1, 0), 0);
        assert_eq!(last(0, 1_023), 1_023);
        let single = Scale {
            shift: 0,
            residue: 0,
        };
        assert_eq!(single.last_before_next(7), 7);
    }

    #[test]
    fn positions_one_by_one_are_their_own_steps() {
        let settings = Settings {
            cache: 1,
            start: 1,
            increment: 1,
            cycles: false,
        };
        let scale = Scale::of(&settings);
        assert_eq!((scale.steps(4_711), scale.position(4_711)), (4_711, 4_711));
    }

    #[test]
    fn the_fields_of_a_tag_are_part_of_the_protocol() {
        let tag = tag(7, 0x12_3456_789A);
        assert_eq!((tag.high, tag.low, tag.class), (0x3456_789A, 7, 0x4D12));
    }

    #[test]
    fn a_horizon_below_what_was_drawn_is_held_back() {
        let is_held_back = |position, drawn| Horizon { position, drawn }.is_held_back();
        assert!(is_held_back(4, 5));
        assert!(!is_held_back(5, 5));
        // What a member that handles its own messages has proven before.
        assert!(!is_held_back(6, 5));
    }

    #[test]
    fn the_hash_is_part_of_the_protocol() {
        assert_eq!(category_hash(b"viewings"), 0x572a_c4b0);
        assert_ne!(category_hash(b""), EVERY_CATEGORY);
    }
}
