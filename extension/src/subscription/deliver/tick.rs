//! `tick`: one pass of a subscription. One statement finds the horizon, reads a batch, hands it
//! to the handlers and stores the position: effect and position commit together, or neither.

use crate::error::Error;
use crate::handler_call;
use crate::kept_error::KeptError;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows;
use crate::pg::text::Text;
use crate::pg::{deferred, transaction};
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::deliver::delivery::Delivery;
use crate::subscription::deliver::delivery::outcome::{Delivered, DeliveryEnd, Fault};
use crate::subscription::member::Member;
use crate::subscription::operate::lifecycle;
use crate::subscription::parked::Parked;
use crate::subscription::source::Source;
use crate::tables::subscription_progress::{self, Failing};
use crate::tables::subscriptions::State;
use pgrx::{PgSqlErrorCode, pg_sys};

sql_functions! {
    tick_of_0_3(subscriber_id: Varchar, batch_size: Bigint, member: Bigint) => tick,
}

/// The attributes of type `tick_result`.
const TICK_RESULT: [pg_sys::Oid; 9] = [
    pg_sys::VARCHAROID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::TIMESTAMPTZOID,
    pg_sys::VARCHAROID,
    pg_sys::TEXTOID,
    pg_sys::JSONBOID,
];

/// What a tick did, in the words of the SQL type `tick_result`.
struct TickResult {
    name: &'static str,
    scanned: i64,
    handled: i64,
    position: i64,
    parked: i64,
    retry_at: Option<pg_sys::Datum>,
    failure: Option<KeptError>,
}

impl TickResult {
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
        Self {
            retry_at: member.retry_at,
            failure: member.error.clone(),
            ..Self::nothing("retrying", member.position)
        }
    }

    fn reply(self, call: &Call<'_>) -> Reply {
        let text = |text: &str| Text::copied(text.as_bytes()).datum();
        let [sqlstate, error, details] = self
            .failure
            .map_or([None; 3], |failure| failure.parameters());
        rows::composite(
            call,
            &TICK_RESULT,
            [
                Some(text(self.name)),
                Some(pg_sys::Datum::from(self.scanned)),
                Some(pg_sys::Datum::from(self.handled)),
                Some(pg_sys::Datum::from(self.position)),
                Some(pg_sys::Datum::from(self.parked)),
                self.retry_at,
                sqlstate,
                error,
                details,
            ],
        )
    }
}

fn tick(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let batch_size = call.bigint("batch_size");
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
    Ok(tick_once(&id, batch_size, call.bigint("member"))?.reply(call))
}

fn tick_once(id: &str, batch_size: Option<i64>, number: Option<i64>) -> Result<TickResult, Error> {
    let definition = Definition::load(id)?;
    if definition.is_fetched() {
        return Err(Error::SubscriptionState(
            id.to_owned(),
            "has no handlers: an application fetches its messages",
            "message_store.fetch(...) and ack(...) read it; alter_subscription(...) gives it handlers.",
        ));
    }
    let candidates = Member::candidates(id, number)?;
    let Some(first) = candidates.first() else {
        return Ok(TickResult::nothing("busy", definition.start_position));
    };
    if let Some(outcome) = resting(&definition, first) {
        return Ok(outcome);
    }
    let source = open(&definition, &candidates)?;
    let mut outcome = TickResult::idle(&source, first.position);
    for candidate in &candidates {
        if candidate.retry_at.is_some() {
            outcome = TickResult::pausing(candidate);
            break;
        }
        // Most ticks find nothing; they write nothing and take no lock.
        if !has_work(&definition, candidate, &source)? {
            continue;
        }
        // A handler that ticks its own subscription would find the row unlocked: the lock is ours.
        let held = if handler_call::is_ticking(id) {
            None
        } else {
            Member::lock(id, candidate.number)?
        };
        match held {
            None => outcome = TickResult::nothing("busy", candidate.position),
            Some(member) => match tick_member(id, &member, &source, batch_size)? {
                None => {}
                Some(done) => return Ok(done),
            },
        }
    }
    Ok(outcome)
}

/// Ticks a member whose progress is held; `None` where there is nothing to do any more.
fn tick_member(
    id: &str,
    member: &Member,
    source: &Source,
    batch_size: Option<i64>,
) -> Result<Option<TickResult>, Error> {
    // Whoever pauses, alters or drops holds the row that is ours now: what they did shows.
    let definition = Definition::load(id)?;
    if let Some(outcome) = resting(&definition, member) {
        return Ok(Some(outcome));
    }
    if member
        .drains_until
        .is_some_and(|end| end < source.horizon.position)
    {
        // Resized since the source was opened: the next tick knows where this one ends.
        return Ok(None);
    }
    if !source.is_of_now()? || !has_work(&definition, member, source)? {
        return Ok(None);
    }
    definition.require_owner()?;
    // A failure of what the caller has deferred is the caller's, not the handler's.
    deferred::fire();
    let limit = batch_size.unwrap_or(definition.options.batch_size);
    let delivery = Delivery::begin(&definition, member, source)?;
    if !delivery.may_call() {
        return Ok(Some(TickResult::nothing("busy", member.position)));
    }
    let delivered = delivery.deliver(limit)?;
    if delivered.has_written {
        transaction::commit_as_by_default();
    }
    finish(&definition, member, source, delivered).map(Some)
}

/// What a tick answers where the subscription, or this member of it, is not to be ticked now.
fn resting(definition: &Definition, member: &Member) -> Option<TickResult> {
    match definition.state {
        State::Paused => Some(TickResult::nothing("paused", member.position)),
        State::Stopped => Some(TickResult {
            failure: member.error.clone(),
            ..TickResult::nothing("stopped", member.position)
        }),
        State::Created | State::Started if member.retry_at.is_some() => {
            Some(TickResult::pausing(member))
        }
        State::Created | State::Started => None,
    }
}

/// Opens the source as far as these members may go, all of which drain, or none.
fn open(definition: &Definition, members: &[Member]) -> Result<Source, Error> {
    let mut source = Source::open(definition, "tick")?;
    if let Some(ahead) = members
        .iter()
        .find(|member| member.position > source.horizon.drawn)
    {
        return Err(Error::AheadOfLog(
            definition.subscriber_id.clone(),
            ahead.position,
            source.horizon.drawn,
        ));
    }
    if let Some(original) = &definition.copy_of {
        // A copy never passes the live one: what it handles was handled before.
        source.end_at(subscription_progress::least_position(original)?);
    }
    if let Some(end) = members.iter().find_map(|member| member.drains_until) {
        source.end_at(end);
    }
    Ok(source)
}

fn has_work(definition: &Definition, member: &Member, source: &Source) -> Result<bool, Error> {
    Ok(member.drains_until.is_some()
        || source.has_message_after(member.position)
        || !Parked::due(definition, member)?.is_empty())
}

/// Stores what a delivery did, in the same transaction.
fn finish(
    definition: &Definition,
    member: &Member,
    source: &Source,
    delivered: Delivered,
) -> Result<TickResult, Error> {
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
    let mut outcome = TickResult {
        scanned,
        handled,
        parked,
        ..TickResult::nothing("progressed", position)
    };
    match delivered.end {
        DeliveryEnd::Done => {
            let is_at_end = member
                .drains_until
                .is_some_and(|end| source.has_drained(end, position));
            if is_at_end {
                member.end_draining(id)?;
            } else if scanned == 0 {
                return Ok(TickResult::idle(source, position));
            }
        }
        DeliveryEnd::Retrying(fault, after) => {
            outcome.name = "retrying";
            outcome.retry_at = store_fault(id, member, &fault, Some(after))?;
            outcome.failure = Some(fault.error);
        }
        DeliveryEnd::Stopped(fault) => {
            outcome.name = "stopped";
            let never = None;
            store_fault(id, member, &fault, never)?;
            lifecycle::stop_for_failure(definition, fault.position, &fault.error.to_text())?;
            outcome.failure = Some(fault.error);
        }
    }
    if let Some(error) = &outcome.failure {
        warn(id, outcome.name, error);
    }
    Ok(outcome)
}

/// Says to whoever ticks, and in the server's log, that a handler failed.
fn warn(subscriber_id: &str, outcome: &str, error: &KeptError) {
    let first_line = error.message.lines().next().unwrap_or_default();
    let report = error.report(
        PgSqlErrorCode::ERRCODE_WARNING,
        format!(
            "subscription \"{subscriber_id}\" is {outcome}: {first_line} ({})",
            error.sqlstate
        ),
    );
    report.warn();
}

fn store_fault(
    id: &str,
    member: &Member,
    fault: &Fault,
    after: Option<std::time::Duration>,
) -> Result<Option<pg_sys::Datum>, Error> {
    let failing = Failing {
        position: fault.position,
        attempts: fault.attempts,
        retry_after: after,
        error: &fault.error,
    };
    member.fail(id, &failing)
}
