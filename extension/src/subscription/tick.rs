//! `tick`: one pass of a subscription. One statement finds the horizon, reads a batch, hands it
//! to the handlers and stores the position: effect and position commit together, or neither.

use super::context;
use super::definition::{Definition, State, subscriber_id};
use super::delivery::{Delivered, Delivery, End, Fault};
use super::lifecycle;
use super::member::Member;
use super::source::Source;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows;
use crate::pg::text::Text;
use crate::pg::{constraints, transaction};
use pgrx::pg_sys;

sql_functions! {
    tick => tick,
}

/// What a tick did, in the words of the SQL type `tick_result`.
struct Outcome {
    name: &'static str,
    scanned: i64,
    handled: i64,
    position: i64,
    parked: i64,
    retry_at: Option<pg_sys::Datum>,
    failure: Option<(String, String)>,
}

impl Outcome {
    fn nothing(name: &'static str, position: i64) -> Self {
        Self {
            name,
            scanned: 0,
            handled: 0,
            position,
            parked: 0,
            retry_at: None,
            failure: None,
        }
    }

    fn idle(source: &Source, position: i64) -> Self {
        let is_held_back = source.horizon.is_held_back();
        Self::nothing(if is_held_back { "held_back" } else { "idle" }, position)
    }

    fn pausing(member: &Member) -> Self {
        let failure = member.sqlstate.clone().zip(member.error.clone());
        Self {
            retry_at: member.retry_at,
            failure,
            ..Self::nothing("retrying", member.position)
        }
    }

    fn reply(self, call: &Call<'_>) -> Reply {
        let text = |text: &str| Text::copied(text.as_bytes()).datum();
        let failure = self.failure.as_ref();
        rows::composite(
            call,
            [
                Some(text(self.name)),
                Some(pg_sys::Datum::from(self.scanned)),
                Some(pg_sys::Datum::from(self.handled)),
                Some(pg_sys::Datum::from(self.position)),
                Some(pg_sys::Datum::from(self.parked)),
                self.retry_at,
                failure.map(|(sqlstate, _)| text(sqlstate)),
                failure.map(|(_, error)| text(error)),
            ],
        )
    }
}

fn tick(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let batch_size = call.bigint(1);
    if let Some(batch_size) = batch_size
        && batch_size < 1
    {
        return Err(Error::argument(
            "batch_size",
            format!("must be 1 or more: {batch_size}"),
            "Pass how many messages one tick may read, such as 1000.",
        ));
    }
    transaction::require_writable(c"tick()");
    Ok(tick_once(&id, batch_size, call.bigint(2))?.reply(call))
}

fn tick_once(id: &str, batch_size: Option<i64>, number: Option<i64>) -> Result<Outcome, Error> {
    let definition = Definition::load(id)?;
    if definition.is_fetched() {
        return Err(Error::SubscriptionState(
            id.to_owned(),
            "has no handlers: an application fetches its messages",
            "message_store.fetch(...) and ack(...) read it; alter_subscription(...) gives it handlers.",
        ));
    }
    let Some(first) = Member::first(id, number)? else {
        return match number {
            Some(number) => Err(no_member(number)),
            None => Ok(Outcome::nothing("busy", definition.start_position)),
        };
    };
    if let Some(outcome) = resting(&definition, &first) {
        return Ok(outcome);
    }
    let mut source = open(&definition, &first)?;
    // Most ticks find nothing; they write nothing and take no lock.
    if !has_work(&definition, &first, &source)? {
        return Ok(Outcome::idle(&source, first.position));
    }
    // A handler that ticks its own subscription would find the row unlocked: the lock is ours.
    if context::is_ticking(id) {
        return Ok(Outcome::nothing("busy", first.position));
    }
    let Some(member) = Member::lock(id, number)? else {
        return Ok(Outcome::nothing("busy", first.position));
    };
    // Whoever pauses, alters or drops holds the row that is ours now: what they did shows.
    let definition = Definition::load(id)?;
    if let Some(outcome) = resting(&definition, &member) {
        return Ok(outcome);
    }
    if member.number != first.number {
        source = open(&definition, &member)?;
    }
    if !has_work(&definition, &member, &source)? {
        return Ok(Outcome::idle(&source, member.position));
    }
    definition.require_owner()?;
    // What the caller has deferred is checked with the caller's rights, before the owner's code.
    constraints::fire_deferred();
    let limit = batch_size.unwrap_or(definition.options.batch_size);
    let delivered = Delivery::begin(&definition, &member, &source)?.deliver(limit)?;
    if delivered.has_written {
        transaction::commit_as_by_default();
    }
    finish(&definition, &member, &source, delivered)
}

/// What a tick answers where the subscription, or this member of it, is not to be ticked now.
fn resting(definition: &Definition, member: &Member) -> Option<Outcome> {
    match definition.state {
        State::Paused => Some(Outcome::nothing("paused", member.position)),
        State::Stopped => Some(Outcome {
            failure: member.sqlstate.clone().zip(member.error.clone()),
            ..Outcome::nothing("stopped", member.position)
        }),
        State::Created | State::Started if member.retry_at.is_some() => {
            Some(Outcome::pausing(member))
        }
        State::Created | State::Started => None,
    }
}

fn open(definition: &Definition, member: &Member) -> Result<Source, Error> {
    let mut source = Source::open(definition, "tick")?;
    if member.position > source.horizon.drawn {
        return Err(Error::AheadOfLog(
            definition.subscriber_id.clone(),
            member.position,
            source.horizon.drawn,
        ));
    }
    if let Some(original) = &definition.copy_of {
        // A copy never passes the live one: what it handles was handled before.
        let live = Member::first(original, None)?;
        source.end_at(live.map_or(0, |live| live.position));
    }
    if let Some(end) = member.drains_until {
        source.end_at(end);
    }
    Ok(source)
}

fn has_work(definition: &Definition, member: &Member, source: &Source) -> Result<bool, Error> {
    Ok(member.drains_until.is_some()
        || source.has_message_after(member.position)
        || (definition.has_parked && !super::parked::Parked::due(definition, member)?.is_empty()))
}

fn no_member(number: i64) -> Error {
    Error::argument(
        "member",
        format!("is not one of the group's: {number}"),
        "Members count from 0; NULL takes whichever is free. While a group that was resized drains, only its old members (from -1 down) can be ticked.",
    )
}

/// Stores what a delivery did, in the same transaction.
fn finish(
    definition: &Definition,
    member: &Member,
    source: &Source,
    delivered: Delivered,
) -> Result<Outcome, Error> {
    let id = &definition.subscriber_id;
    let Delivered {
        scanned,
        handled,
        parked,
        position,
        ..
    } = delivered;
    if position > member.position || handled > 0 || parked > 0 {
        member.advance(id, position, scanned, handled)?;
    }
    let mut outcome = Outcome {
        scanned,
        handled,
        parked,
        ..Outcome::nothing("progressed", position)
    };
    match delivered.end {
        End::Done => {
            let is_at_end = member
                .drains_until
                .is_some_and(|end| position >= end || !source.has_message_after(position));
            if is_at_end {
                member.end_draining(id)?;
            } else if scanned == 0 {
                return Ok(Outcome::idle(source, position));
            }
        }
        End::Retrying(fault, after) => {
            outcome.name = "retrying";
            outcome.retry_at = store_fault(id, member, &fault, Some(after))?;
            outcome.failure = Some((fault.sqlstate, fault.error));
        }
        End::Stopped(fault) => {
            outcome.name = "stopped";
            let never = None;
            store_fault(id, member, &fault, never)?;
            lifecycle::stop_for_failure(definition, fault.position, &fault.error)?;
            outcome.failure = Some((fault.sqlstate, fault.error));
        }
    }
    if let Some((sqlstate, error)) = &outcome.failure {
        let first_line = error.lines().next().unwrap_or_default();
        pgrx::warning!(
            "subscription \"{id}\" is {}: {first_line} ({sqlstate})",
            outcome.name
        );
    }
    Ok(outcome)
}

fn store_fault(
    id: &str,
    member: &Member,
    fault: &Fault,
    after: Option<std::time::Duration>,
) -> Result<Option<pg_sys::Datum>, Error> {
    let failure = (fault.sqlstate.as_str(), fault.error.as_str());
    member.fail(id, fault.position, fault.attempts, after, failure)
}
