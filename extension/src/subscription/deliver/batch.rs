//! A batch of messages: which handler each goes to, and how they are called in runs.

use crate::error::Error;
use crate::pg::slot::Slot;
use crate::pg::snapshot::Fresh;
use crate::subscription::definition::Definition;
use crate::subscription::deliver::calls::{BatchMessage, Calls};
use crate::subscription::deliver::crash::Suspects;
use crate::subscription::member::Member;
use crate::subscription::parked::Parked;
use crate::subscription::source::Source;
use crate::tables::messages::column;
use std::cell::RefCell;

/// Items that a session keeps room for between batches.
const ROOM_KEPT: usize = 1 << 14;

thread_local! {
    /// The room of the last batch: memory of this size comes from the kernel, page by page, each
    /// time it is asked for.
    static ROOM: RefCell<Vec<BatchMessage>> = const { RefCell::new(Vec::new()) };
}

/// What was read of a source.
pub struct Batch {
    /// The messages for handlers, in order.
    pub items: Vec<BatchMessage>,
    /// Messages read.
    pub scanned: i64,
    /// The last position read.
    pub position: i64,
    /// Messages that wait behind parked ones of their streams.
    pub waiting: Vec<BatchMessage>,
    /// Why it ends before its end: the message at this position has no handler that can be called.
    pub no_handler: Option<(i64, Error)>,
}

impl Batch {
    /// Reads up to `limit` messages after `position`.
    pub fn read(
        definition: &Definition,
        member: &Member,
        source: &Source,
        snapshot: &Fresh,
        parked: &Parked,
        calls: &mut Calls,
        limit: i64,
    ) -> Result<Self, Error> {
        let mut batch = Self {
            items: ROOM.take(),
            scanned: 0,
            position: member.position,
            waiting: Vec::new(),
            no_handler: None,
        };
        let mut walk = source.walk(snapshot, member.position);
        while batch.scanned < limit && walk.advance() {
            pgrx::check_for_interrupts!();
            let message_type = walk.text(column::TYPE);
            let position = walk.bigint(column::GLOBAL_POSITION);
            let is_wanted = source.wants(&walk)
                && (member.group_size == 1
                    || member.reads(walk.text(column::STREAM_NAME).bytes())?)
                && !parked.has_discarded(position);
            if is_wanted {
                let item = |handler| -> Result<BatchMessage, Error> {
                    Ok(BatchMessage {
                        position,
                        address: walk.address(),
                        handler,
                        is_replay: is_replay(definition, parked, position, &walk)?,
                        message: None,
                    })
                };
                match calls.handler_of(message_type.bytes()) {
                    Ok(None) => {}
                    Ok(Some(handler)) => {
                        if !parked.is_empty() {
                            let stream_name = walk.text(column::STREAM_NAME);
                            if parked.makes_wait(stream_name.bytes()) {
                                batch.waiting.push(item(handler)?);
                                batch.scanned += 1;
                                batch.position = position;
                                continue;
                            }
                        }
                        let mut item = item(handler)?;
                        item.message = calls.build(handler, &walk);
                        batch.items.push(item);
                    }
                    Err(error) => {
                        batch.no_handler = Some((position, error));
                        break;
                    }
                }
            }
            batch.scanned += 1;
            batch.position = position;
        }
        Ok(batch)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.items);
        room.clear();
        room.shrink_to(ROOM_KEPT);
        ROOM.replace(room);
    }
}

/// Whether a message was handled before: by this subscription, or, for a copy, which never passes
/// it, by the original; unless it is parked there.
fn is_replay(
    definition: &Definition,
    parked: &Parked,
    position: i64,
    row: &Slot,
) -> Result<bool, Error> {
    if parked.is_first_time(position) {
        return Ok(false);
    }
    if definition.copy_of.is_some() {
        return Ok(true);
    }
    let stream_name = || row.text(column::STREAM_NAME).bytes().to_vec();
    definition.replayed.covers(position, stream_name)
}

/// Cuts messages into runs, one call of a handler each: the longest sequences for one handler,
/// and one message where a handler takes no more. Replays are not mixed with others, and messages
/// that `is_single` names are called alone.
pub fn runs<'a>(
    items: &'a [BatchMessage],
    calls: &Calls,
    is_single: impl Fn(i64) -> bool,
) -> Vec<&'a [BatchMessage]> {
    let mut runs = Vec::new();
    let mut start = 0;
    while start < items.len() {
        let first = items[start];
        let mut end = start + 1;
        if calls.takes_runs(first.handler) && !is_single(first.position) {
            while end < items.len()
                && items[end].handler == first.handler
                && items[end].is_replay == first.is_replay
                && !is_single(items[end].position)
            {
                end += 1;
            }
        }
        runs.push(&items[start..end]);
        start = end;
    }
    runs
}

/// Whether a message must be called alone: it is suspected of killing its process, it failed
/// before, or it alone was never handled before.
pub fn is_single(
    suspects: Option<Suspects>,
    failing_position: Option<i64>,
    parked: &Parked,
) -> impl Fn(i64) -> bool + '_ {
    move |position| {
        suspects.is_some_and(|suspects| suspects.contain(position))
            || failing_position == Some(position)
            || parked.is_first_time(position)
    }
}
