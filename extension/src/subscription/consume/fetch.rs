//! `fetch`: messages for an application to handle, under a lease.

use super::lease;
use crate::error::Error;
use crate::message::{self, MessageText};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::parameter;
use crate::pg::rows::Rows;
use crate::pg::slot::{RowFetch, Slot};
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::member::Member;
use crate::subscription::parked::Parked;
use crate::subscription::source::Source;
use crate::tables::messages::{self, column};
use crate::tables::parked::{self, ParkedMessage};
use crate::tables::subscription_progress::{self, LeasedBy};
use crate::tables::subscriptions::State;
use pgrx::pg_sys;

sql_functions! {
    fetch(subscriber_id: Varchar, n: Bigint, lease: Interval, member: Bigint) => fetch,
}

const FETCHED_COLUMNS: usize = messages::COLUMNS + 2;
/// The attributes of type `fetched_message`: those of `message`, the lease and the attempt.
const FETCHED_MESSAGE: [pg_sys::Oid; FETCHED_COLUMNS] = {
    let mut types = [pg_sys::INT8OID; FETCHED_COLUMNS];
    let mut number = 0;
    while number < messages::COLUMNS {
        types[number] = message::TYPES[number];
        number += 1;
    }
    types
};

/// What a fetch hands out.
struct Handed {
    rows: Rows<FETCHED_COLUMNS>,
    text: MessageText,
    lease: i64,
    left: i64,
}

impl Handed {
    fn push(&mut self, row: &Slot, attempt: i64) {
        let (lease, text) = (self.lease, &mut self.text);
        self.rows.push(|| {
            let mut values = [None; FETCHED_COLUMNS];
            values[..messages::COLUMNS].copy_from_slice(&text.values(row));
            values[messages::COLUMNS..]
                .copy_from_slice(&[parameter::bigint(lease), parameter::bigint(attempt)]);
            values
        });
        self.left -= 1;
    }
}

fn fetch(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let wanted = call.bigint("n").filter(|n| *n >= 1).ok_or_else(|| {
        Error::argument(
            "n",
            "must be 1 or more",
            "Say how many messages you can handle.",
        )
    })?;
    let lasts = lease::duration(call, "lease")?;
    transaction::require_writable(c"fetch()");
    let rows = Rows::begin(call, &FETCHED_MESSAGE);
    let definition = Definition::load_own(&id)?;
    lease::require_fetched(&definition)?;
    if matches!(definition.state, State::Paused | State::Stopped) {
        return Ok(rows.finish());
    }
    let mut handed = Handed {
        text: MessageText::new(),
        rows,
        lease: transaction::random_id(),
        left: wanted,
    };
    // Proven before the row is locked: a writer that waits for it must not hold the horizon back.
    let mut source = Source::open(&definition, "fetch")?;
    let own = lease::own_leases(&id);
    for candidate in Member::candidates(&id, call.bigint("member"))? {
        let Some(member) = Member::lock(&id, candidate.number)? else {
            continue;
        };
        if !source.is_of_now()? {
            break;
        }
        let leased_by = subscription_progress::leased_by(&id, member.number, &own)?;
        if leased_by == LeasedBy::Another {
            continue;
        }
        if let Some(end) = member.drains_until {
            source.end_at(end);
        }
        let position = hand_out(&definition, &member, &source, &mut handed)?;
        if handed.left < wanted {
            subscription_progress::lease(&id, member.number, handed.lease, position, lasts)?;
            lease::remember(&id, handed.lease);
            break;
        }
        if leased_by == LeasedBy::Itself {
            subscription_progress::end_lease(&id, member.number)?;
        }
        pass(&id, &member, &source, position)?;
    }
    Ok(handed.rows.finish())
}

/// Nothing was handed out: what was read needs no acknowledgement.
fn pass(id: &str, member: &Member, source: &Source, position: i64) -> Result<(), Error> {
    if position > member.position {
        member.advance(id, position, 0, 0)?;
    }
    let has_come_to_its_end = member
        .drains_until
        .is_some_and(|end| source.has_drained(end, position));
    if has_come_to_its_end {
        member.end_draining(id)?;
    }
    Ok(())
}

/// Hands out parked messages whose turn has come, else new ones. Returns the position of the last
/// one, or the last position read where there is none.
fn hand_out(
    definition: &Definition,
    member: &Member,
    source: &Source,
    handed: &mut Handed,
) -> Result<i64, Error> {
    let id = &definition.subscriber_id;
    let snapshot = Fresh::take();
    let mut rows = RowFetch::begin(&source.table, &snapshot);
    let mut last_due = 0;
    for due in Parked::due(definition, member)? {
        if handed.left == 0 {
            break;
        }
        let found = messages::find(&source.table, &snapshot, due.position)?;
        match found.and_then(|(address, _)| rows.row(address)) {
            Some(row) => {
                handed.push(row, due.attempts + 1);
                parked::lease(id, due.position, handed.lease)?;
                last_due = due.position;
            }
            None => parked::take(id, due.position)?,
        }
    }
    // Not mixed with new ones: an acknowledgement of these is none of those.
    if last_due > 0 {
        return Ok(last_due);
    }
    let known = Parked::load(definition, member.position)?;
    let mut walk = source.walk(&snapshot, member.position);
    let (mut last_read, mut last_handed, mut waiting_until) = (member.position, None, 0);
    while handed.left > 0 && walk.advance() {
        pgrx::check_for_interrupts!();
        let next = walk.bigint(column::GLOBAL_POSITION);
        let stream_name = walk.text(column::STREAM_NAME);
        let is_own =
            source.wants(&walk) && member.reads(stream_name.bytes())? && !known.has_discarded(next);
        if is_own && known.makes_wait(stream_name.bytes()) {
            if last_handed.is_some() {
                // Comes first next time: inside a lease it would have to be remembered.
                break;
            }
            let message = ParkedMessage {
                position: next,
                stream_name: stream_name.bytes(),
                message_type: walk.text(column::TYPE).bytes(),
                is_replay: false,
            };
            known.park_waiting(definition, &message)?;
            waiting_until = next;
        } else if is_own {
            handed.push(&walk, 1);
            last_handed = Some(next);
        }
        last_read = next;
    }
    if waiting_until > member.position {
        let (scanned, handled) = (0, 0);
        member.advance(id, waiting_until, scanned, handled)?;
    }
    // A lease ends with its last message, so it must not reach beyond that.
    Ok(last_handed.unwrap_or(last_read))
}
