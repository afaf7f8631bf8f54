//! `rebuild`, `promote`, `cancel_rebuild`: a read model made anew from the first message.
//!
//! In place it is emptied and filled again, and readers see it grow. Side by side a second
//! subscription fills copies of the tables, always behind the live one, and `promote` lets the
//! copies' rows take the place of the live ones in one transaction.

use crate::error::Error;
use crate::handler_call;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::parameter;
use crate::pg::rows::Rows;
use crate::pg::{deferred, transaction};
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::deliver::delivery::Delivery;
use crate::subscription::deliver::delivery::outcome::DeliveryEnd;
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::subscription::operate::copy;
use crate::subscription::operate::lifecycle::run_init;
use crate::subscription::operate::look::looked_at;
use crate::subscription::operate::position;
use crate::subscription::read_model::{self, Change};
use crate::subscription::source::{self, Source};
use crate::tables::deletions;
use crate::tables::parked;
use crate::tables::subscription_progress::Which;
use pgrx::pg_sys;

sql_functions! {
    rebuild(subscriber_id: Varchar, side_by_side: Boolean) => rebuild,
    promote_of_0_3(subscriber_id: Varchar, may_empty: Boolean, dry: Boolean) => promote,
    cancel_rebuild(subscriber_id: Varchar) => cancel_rebuild,
}

/// Messages that a copy may be behind when it is promoted: they are handled in that transaction.
const CATCH_UP_LIMIT: i64 = 10_000;

fn rebuild(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let side_by_side = call.boolean("side_by_side").unwrap_or(false);
    transaction::require_writable(c"rebuild()");
    let definition = Definition::load_own(&id)?;
    handler_call::require_outside(&id)?;
    if definition.copy_of.is_some() {
        return Err(Error::SubscriptionState(
            id,
            "is itself a copy that is being filled",
            "promote(...) or cancel_rebuild(...) of the original ends it.",
        ));
    }
    deletions::hold_off()?;
    source::require_replayable(&definition)?;
    if side_by_side {
        rebuild_beside(&definition)?;
        history::note(&definition, "rebuild", None, Some("side by side"))?;
    } else {
        rebuild_in_place(&definition)?;
        history::note(&definition, "rebuild", None, Some("in place"))?;
    }
    Ok(Reply::void())
}

fn rebuild_in_place(definition: &Definition) -> Result<(), Error> {
    copy::require_none(definition)?;
    let members = Member::lock_all(&definition.subscriber_id)?;
    read_model::empty(definition)?;
    let start = definition.replay_start();
    position::go_to(definition, &members, start, Which::All)?;
    run_init(definition, None)
}

fn rebuild_beside(definition: &Definition) -> Result<(), Error> {
    read_model::require(definition)?;
    if definition.is_fetched() {
        return Err(Error::SubscriptionState(
            definition.subscriber_id.clone(),
            "has no handlers that could fill a copy",
            "An application that fetches fills its own; reset(...) lets it begin again.",
        ));
    }
    let schema = copy::create(definition)?;
    let with_rows = false;
    read_model::copy(definition, &schema, with_rows)?;
    run_init(definition, Some(&schema))
}

/// What `promote` returns: the table, and how many of its rows come, go and change.
const CHANGE: [pg_sys::Oid; 4] = [
    pg_sys::TEXTOID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
];

fn promote(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let may_empty = call.boolean("may_empty").unwrap_or(false);
    let is_dry = call.boolean("dry").unwrap_or(false);
    transaction::require_writable(c"promote()");
    let mut rows = Rows::begin(call, &CHANGE);
    let definition = Definition::load_own(&id)?;
    handler_call::require_outside(&id)?;
    handler_call::require_outside(&copy::id_of(&id))?;
    deferred::fire();
    let changes = if is_dry {
        looked_at(|| Ok(caught_up(&definition)?.changes))?
    } else {
        let caught_up = caught_up(&definition)?;
        if !may_empty {
            read_model::require_rows(&caught_up.changes)?;
        }
        swap(&definition, &caught_up)?;
        caught_up.changes
    };
    for change in changes {
        rows.push(|| {
            let count = |rows: i64| Some(pg_sys::Datum::from(rows));
            [
                parameter::text(&change.table),
                count(change.added),
                count(change.removed),
                count(change.changed),
            ]
        });
    }
    Ok(rows.finish())
}

/// A copy that has come as far as the live read model, both held.
struct CaughtUp {
    copy: Definition,
    target: i64,
    changes: Vec<Change>,
}

/// Lets the copy and all members come to one position.
fn caught_up(definition: &Definition) -> Result<CaughtUp, Error> {
    let id = &definition.subscriber_id;
    // From here on the live one stands still, and nobody else promotes.
    let live = Member::lock_all(id)?;
    let none = || {
        Error::SubscriptionState(
            id.clone(),
            "has no copy to promote",
            "rebuild(subscriber_id, side_by_side => true) makes one.",
        )
    };
    let copy = copy::find(definition)?.ok_or_else(none)?;
    let target = live.iter().map(|member| member.position).max().unwrap_or(0);
    for member in &live {
        catch_up(definition, member, target)?;
    }
    let filled = Member::lock_all(&copy.subscriber_id)?;
    if filled.is_empty() {
        // Whoever was waited for gave it up.
        return Err(none());
    }
    for member in &filled {
        catch_up(&copy, member, target)?;
        handle_what_live_has(definition, &copy, member, target)?;
    }
    let schema = copy.copy_schema.as_deref().unwrap_or_default();
    let changes = read_model::changes(definition, schema)?;
    Ok(CaughtUp {
        copy,
        target,
        changes,
    })
}

fn swap(definition: &Definition, caught_up: &CaughtUp) -> Result<(), Error> {
    let id = &definition.subscriber_id;
    let CaughtUp {
        copy,
        target,
        changes,
    } = caught_up;
    read_model::swap(definition, copy.copy_schema.as_deref().unwrap_or_default())?;
    // What the live one had parked the copy has handled, or parked itself, as far as it came.
    parked::forget_up_to(id, *target)?;
    parked::adopt(id, &copy.subscriber_id)?;
    copy::discard(definition)?;
    let reason = summary(changes);
    history::note(definition, "promote", Some(*target), Some(&reason))
}

/// What the history has of a promotion.
fn summary(changes: &[Change]) -> String {
    let told = changes.iter().map(|change| {
        format!(
            "{}: {} rows added, {} removed, {} changed",
            change.table, change.added, change.removed, change.changed
        )
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Brings a member, which is held, to the position where its read model is swapped: the copy to that
/// of the live one, and members of a group to one, since a copy has no members.
fn catch_up(definition: &Definition, member: &Member, target: i64) -> Result<(), Error> {
    let id = &definition.subscriber_id;
    let refuse = |problem| {
        Error::SubscriptionState(
            id.clone(),
            problem,
            "Wait until subscription_status shows all of it close to its head, and promote again.",
        )
    };
    if member.drains_until.is_some() {
        return Err(refuse("has a group whose size is being changed"));
    }
    let mut source = Source::open(definition, "promote")?;
    source.end_where_a_member_is(target);
    let (mut member, mut scanned) = (member.clone(), 0);
    while source.has_message_after(member.position) {
        if scanned >= CATCH_UP_LIMIT {
            return Err(refuse("has more than 10,000 messages to catch up with"));
        }
        let delivered = Delivery::begin(definition, &member, &source)?.deliver(CATCH_UP_LIMIT)?;
        if !matches!(delivered.end, DeliveryEnd::Done) {
            return Err(refuse("has a handler that fails"));
        }
        let position = delivered.position;
        member.advance(id, position, delivered.scanned, delivered.handled)?;
        member.position = position;
        scanned += delivered.scanned;
    }
    if member.position < target {
        member.advance(id, target, 0, 0)?;
    }
    Ok(())
}

/// The live read model must not lose by the swap what it has: messages that only the copy has parked
/// are handled again, and have to succeed.
fn handle_what_live_has(
    live: &Definition,
    copy: &Definition,
    member: &Member,
    target: i64,
) -> Result<(), Error> {
    let retried = parked::retry_unless_parked_by(&copy.subscriber_id, &live.subscriber_id)?;
    if retried == 0 {
        return Ok(());
    }
    let mut source = Source::open(copy, "promote")?;
    source.end_where_a_member_is(target);
    let limit = i64::try_from(retried).unwrap_or(i64::MAX);
    let delivered = Delivery::begin(copy, member, &source)?.deliver(limit)?;
    match delivered.parked_for {
        None => Ok(()),
        Some(fault) => Err(Error::HandlerFailed(
            copy.subscriber_id.clone(),
            fault.position,
            fault.error,
        )),
    }
}

fn cancel_rebuild(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    transaction::require_writable(c"cancel_rebuild()");
    let definition = Definition::load_own(&id)?;
    Ok(Reply::boolean(copy::discard(&definition)?))
}
