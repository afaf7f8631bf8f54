//! `ack`, `park`: what an application has come to with the messages of its lease.

use super::lease::{self, Lease, require_fetched};
use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::slot::RowFetch;
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::member::Member;
use crate::subscription::parked::Parked;
use crate::subscription::source::Source;
use crate::tables::messages::{self, column};
use crate::tables::parked::{self, LastFailure, ParkedMessage};
use crate::tables::subscription_progress;

sql_functions! {
    ack(subscriber_id: Varchar, global_position: Bigint, lease: Bigint) => ack,
    park(subscriber_id: Varchar, global_position: Bigint, error: Text, lease: Bigint) => park,
}

fn acknowledged(call: &Call<'_>) -> Result<(String, i64), Error> {
    let id = subscriber_id(call)?;
    let position = call.bigint("global_position").ok_or_else(|| {
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
    let lease = lease::hold(&id, call.bigint("lease"))?;
    if position > lease.position {
        return Err(Error::argument(
            "global_position",
            format!("is {position}, and the lease ends at {}", lease.position),
            "Acknowledge messages that were fetched.",
        ));
    }
    let ends_lease = position == lease.position;
    if lease.is_on_parked() {
        parked::take_leased(&id, position, lease.number)?;
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
    let known = Parked::load(definition, member.position)?;
    let (mut scanned, mut handled) = (0, 0);
    let mut replayed = Vec::new();
    {
        let snapshot = Fresh::take();
        let mut walk = source.walk(&snapshot, member.position);
        while walk.advance() {
            scanned += 1;
            let is_own = member.reads(walk.text(column::STREAM_NAME).bytes())?;
            if is_own && source.wants(&walk) {
                handled += 1;
                let next = walk.bigint(column::GLOBAL_POSITION);
                replayed.extend(known.is_first_time(next).then_some(next));
            }
        }
    }
    // Parked before a reset, handled now.
    for position in replayed {
        parked::take(id, position)?;
    }
    member.advance(id, position, scanned, handled)
}

fn park(call: &Call<'_>) -> Result<Reply, Error> {
    let (id, position) = acknowledged(call)?;
    let error = call.text("error").map(|error| error.to_string());
    let error = error.as_deref().unwrap_or("the application gave no error");
    let error = KeptError::new("38000", error);
    transaction::require_writable(c"park()");
    let definition = Definition::load_own(&id)?;
    require_fetched(&definition)?;
    let lease = lease::hold(&id, call.bigint("lease"))?;
    let (stream_name, message_type) = leased_message(&definition, &lease, position)?;
    let attempts = parked::attempts(&id, position)? + 1;
    let mut known = Parked::load(&definition, lease.member.position)?;
    known.park_failed(
        &definition,
        &ParkedMessage {
            position,
            stream_name: &stream_name,
            message_type: &message_type,
            is_replay: false,
        },
        &LastFailure {
            error: &error,
            attempts,
        },
    )?;
    lease.member.note_error(&id, &error)?;
    if lease.is_on_parked() {
        parked::take_leased(&id, position, lease.number)?;
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
        // It was fetched before this shard became two, and the other one hands it out.
        Some((stream_name, _)) if !source.lives_here(stream_name)? => false,
        Some(_) if lease.is_on_parked() => {
            parked::is_leased(&definition.subscriber_id, position, lease.number)?
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
