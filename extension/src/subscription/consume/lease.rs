//! `fetch`, `ack`, `park`: handlers in application code.
//!
//! A consumer leases the next messages of a member; while the lease runs nobody else gets any. What
//! it acknowledges is done. Delivery is at least once and in order: a consumer that dies before
//! its acknowledgement leaves its messages to the next, and its own late acknowledgement is refused.

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
use crate::subscription::parked::{self, Parked};
use crate::subscription::source::Source;
use crate::tables::messages::{self, column};
use crate::tables::parked::{self as table, LastFailure, ParkedMessage};
use crate::tables::subscription_progress;
use crate::tables::subscriptions::State;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

sql_functions! {
    fetch => fetch,
    ack => ack,
    park => park,
}

thread_local! {
    /// The last leases this session has fetched, by subscription: the transaction of one may have
    /// been rolled back.
    static OWN: RefCell<HashMap<String, Vec<i64>>> = RefCell::new(HashMap::new());
}

/// A lease lasts at most this long: a year.
const LONGEST_LEASE_MS: i64 = 366 * 86_400_000;
/// Leases of a session that are remembered.
const OWN_LEASES: usize = 16;

fn require_fetched(definition: &Definition) -> Result<(), Error> {
    if definition.is_fetched() {
        return Ok(());
    }
    Err(Error::SubscriptionState(
        definition.subscriber_id.clone(),
        "has handlers: it is ticked, not fetched",
        "Create it with handlers '{}' to fetch its messages.",
    ))
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
            let [
                id,
                stream,
                kind,
                position,
                global_position,
                data,
                metadata,
                time,
            ] = text.values(row);
            [
                id,
                stream,
                kind,
                position,
                global_position,
                data,
                metadata,
                time,
                parameter::bigint(lease),
                parameter::bigint(attempt),
            ]
        });
        self.left -= 1;
    }
}

fn fetch(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let wanted = call.bigint(1).filter(|n| *n >= 1).ok_or_else(|| {
        Error::argument(
            "n",
            "must be 1 or more",
            "Say how many messages you can handle.",
        )
    })?;
    let lease_ms = call
        .interval_ms(2)
        .filter(|ms| (1..=LONGEST_LEASE_MS).contains(ms))
        .ok_or_else(|| {
            Error::argument(
                "lease",
                "must be more than 0, and at most a year",
                "Pass how long handling takes at most, such as '30 s'.",
            )
        })?;
    transaction::require_writable(c"fetch()");
    let rows = Rows::begin(call, &FETCHED_MESSAGE);
    let definition = Definition::load_own(&id)?;
    require_fetched(&definition)?;
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
    let own = own_leases(&id);
    for candidate in Member::candidates(&id, call.bigint(3))? {
        let Some(member) = Member::lock(&id, candidate.number)? else {
            continue;
        };
        if !subscription_progress::is_free(&id, member.number, &own)? {
            continue;
        }
        if let Some(end) = member.drains_until {
            source.end_at(end);
        }
        lease_messages(&definition, &member, &source, &mut handed, lease_ms)?;
        if handed.left < wanted {
            break;
        }
    }
    Ok(handed.rows.finish())
}

/// Leases the next messages of a member that is held, where there are any.
fn lease_messages(
    definition: &Definition,
    member: &Member,
    source: &Source,
    handed: &mut Handed,
    lease_ms: i64,
) -> Result<(), Error> {
    let id = &definition.subscriber_id;
    let before = handed.left;
    let position = hand_out(definition, member, source, handed)?;
    if handed.left == before {
        return pass(id, member, source, position);
    }
    let lasts = Duration::from_millis(lease_ms.unsigned_abs());
    subscription_progress::lease(id, member.number, handed.lease, position, lasts)?;
    OWN.with_borrow_mut(|own| {
        let leases = own.entry(id.clone()).or_default();
        leases.push(handed.lease);
        let forgotten = leases.len().saturating_sub(OWN_LEASES);
        leases.drain(..forgotten);
    });
    Ok(())
}

fn own_leases(id: &str) -> Vec<i64> {
    OWN.with_borrow(|own| own.get(id).cloned().unwrap_or_default())
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

/// Hands out parked messages whose turn has come, else new ones; returns the last position read.
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
    for due in parked::due(definition, member)? {
        if handed.left == 0 {
            break;
        }
        let found = messages::find(&source.table, &snapshot, due.position)?;
        match found.and_then(|(address, _)| rows.row(address)) {
            Some(row) => {
                handed.push(row, due.attempts + 1);
                table::lease(id, due.position, handed.lease)?;
                last_due = due.position;
            }
            None => table::take(id, due.position)?,
        }
    }
    // Not mixed with new ones: an acknowledgement of these is none of those.
    if last_due > 0 {
        return Ok(last_due);
    }
    let parked = Parked::load(definition, member.position)?;
    let mut walk = source.walk(&snapshot, member.position);
    let (mut position, mut waiting_until) = (member.position, 0);
    let before = handed.left;
    while handed.left > 0 && walk.advance() {
        pgrx::check_for_interrupts!();
        let next = walk.bigint(column::GLOBAL_POSITION);
        let stream_name = walk.text(column::STREAM_NAME);
        let is_own = source.wants(&walk)
            && member.reads(stream_name.bytes())?
            && !parked.has_discarded(next);
        if is_own && parked.makes_wait(stream_name.bytes()) {
            if handed.left < before {
                // Comes first next time: inside a lease it would have to be remembered.
                break;
            }
            let message = ParkedMessage {
                position: next,
                stream_name: stream_name.bytes(),
                message_type: walk.text(column::TYPE).bytes(),
                is_replay: false,
            };
            parked.park_waiting(definition, &message)?;
            waiting_until = next;
        } else if is_own {
            handed.push(&walk, 1);
        }
        position = next;
    }
    if waiting_until > member.position {
        let (scanned, handled) = (0, 0);
        member.advance(id, waiting_until, scanned, handled)?;
    }
    Ok(position)
}

/// A lease that has not run out.
struct Lease {
    number: i64,
    /// Whose messages it is on; its progress is held.
    member: Member,
    /// The last position that was read for it.
    position: i64,
}

impl Lease {
    /// Whether it is on parked messages that are handled again.
    fn is_on_parked(&self) -> bool {
        self.position <= self.member.position
    }
}

fn holder(id: &str, lease: Option<i64>) -> Result<Lease, Error> {
    let lost = || Error::LeaseLost(id.to_owned());
    let leases = lease.map_or_else(|| own_leases(id), |lease| vec![lease]);
    let found = subscription_progress::hold_leased(id, &leases)?.ok_or_else(lost)?;
    let member = Member::find(id, found.member)?.ok_or_else(lost)?;
    Ok(Lease {
        number: found.lease,
        member,
        position: found.position,
    })
}

fn acknowledged(call: &Call<'_>) -> Result<(String, i64), Error> {
    let id = subscriber_id(call, 0)?;
    let position = call.bigint(1).ok_or_else(|| {
        Error::argument(
            "global_position",
            "must not be NULL",
            "Pass that of the last message that is handled.",
        )
    })?;
    Ok((id, position))
}

fn ack(call: &Call<'_>) -> Result<Reply, Error> {
    let (id, position) = acknowledged(call)?;
    transaction::require_writable(c"ack()");
    let definition = Definition::load_own(&id)?;
    require_fetched(&definition)?;
    let lease = holder(&id, call.bigint(2))?;
    if position > lease.position {
        return Err(Error::argument(
            "global_position",
            format!("is {position}, and the lease ends at {}", lease.position),
            "Acknowledge messages that were fetched.",
        ));
    }
    let ends_lease = position == lease.position;
    if lease.is_on_parked() {
        table::take_leased(&id, position, lease.number)?;
    } else if position > lease.member.position {
        move_on(&definition, &lease.member, position)?;
    }
    if ends_lease {
        subscription_progress::end_lease(&id, lease.member.number)?;
    }
    Ok(Reply::void())
}

/// Stores that messages up to `position` are dealt with.
fn move_on(definition: &Definition, member: &Member, position: i64) -> Result<(), Error> {
    let id = &definition.subscriber_id;
    let mut source = Source::open(definition, "ack")?;
    source.end_where_a_member_is(position);
    let (mut scanned, mut handled) = (0, 0);
    {
        let snapshot = Fresh::take();
        let mut walk = source.walk(&snapshot, member.position);
        while walk.advance() {
            scanned += 1;
            let is_own = member.reads(walk.text(column::STREAM_NAME).bytes())?;
            handled += i64::from(is_own && source.wants(&walk));
        }
    }
    member.advance(id, position, scanned, handled)
}

fn park(call: &Call<'_>) -> Result<Reply, Error> {
    let (id, position) = acknowledged(call)?;
    let error = call.text(2).map(|error| error.to_string());
    let error = error.unwrap_or_else(|| "the application gave no error".to_owned());
    transaction::require_writable(c"park()");
    let definition = Definition::load_own(&id)?;
    require_fetched(&definition)?;
    let lease = holder(&id, call.bigint(3))?;
    let (stream_name, message_type) = leased_message(&definition, &lease, position)?;
    let attempts = table::attempts(&id, position)? + 1;
    let mut parked = Parked::load(&definition, lease.member.position)?;
    parked.park_failed(
        &definition,
        &ParkedMessage {
            position,
            stream_name: &stream_name,
            message_type: &message_type,
            is_replay: false,
        },
        &LastFailure {
            sqlstate: "38000",
            error: &error,
            attempts,
        },
    )?;
    lease.member.note_error(&id, "38000", &error)?;
    if lease.is_on_parked() {
        table::take_leased(&id, position, lease.number)?;
    } else {
        move_on(&definition, &lease.member, position)?;
    }
    // What was fetched after it may be of its stream: the next fetch knows.
    subscription_progress::end_lease(&id, lease.member.number)?;
    Ok(Reply::void())
}

/// Stream and type of a message that was fetched under this lease and is not acknowledged.
fn leased_message(
    definition: &Definition,
    lease: &Lease,
    position: i64,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let source = Source::open(definition, "park")?;
    let snapshot = Fresh::take();
    let found = messages::find(&source.table, &snapshot, position)?;
    let mut rows = RowFetch::begin(&source.table, &snapshot);
    let message = found.and_then(|(address, message_type)| {
        let row = rows.row(address)?;
        let stream_name = row.text(column::STREAM_NAME).bytes().to_vec();
        source.wants(row).then_some((stream_name, message_type))
    });
    let is_fetched = match &message {
        None => false,
        Some(_) if lease.is_on_parked() => {
            table::is_leased(&definition.subscriber_id, position, lease.number)?
        }
        Some((stream_name, _)) => {
            (lease.member.position + 1..=lease.position).contains(&position)
                && source.includes(stream_name)
                && lease.member.reads(stream_name)?
        }
    };
    message.filter(|_| is_fetched).ok_or_else(|| {
        Error::argument(
            "global_position",
            format!("is not that of a message of the lease: {position}"),
            "Park a message that was fetched and is not acknowledged.",
        )
    })
}
