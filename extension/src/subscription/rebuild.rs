//! `rebuild`, `promote`, `cancel_rebuild`: a read model made anew from the first message.
//!
//! In place it is emptied and filled again, and readers see it grow. Side by side a second
//! subscription fills copies of the tables, always behind the live one, and `promote` lets the
//! copies' rows take the place of the live ones in one transaction.

use super::context;
use super::create;
use super::definition::{Definition, as_owner_of_subscriptions, subscriber_id};
use super::delivery::{Delivery, End};
use super::history;
use super::lifecycle::run_init;
use super::member::Member;
use super::position::{self, Which};
use super::read_model;
use super::source::Source;
use crate::consumer_group::hash_64;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::pg::{deferred, transaction};
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, VARCHAROID};

sql_functions! {
    rebuild => rebuild,
    promote => promote,
    cancel_rebuild => cancel_rebuild,
}

/// What is added to a subscriber id for the copy beside it.
pub const COPY_SUFFIX: &str = "#rebuild";
/// Messages that a copy may be behind when it is promoted: they are handled in that transaction.
const CATCH_UP_LIMIT: i64 = 10_000;

/// What the live subscription had parked the copy has handled, or parked itself, as far as it came.
static FORGET_PARKED: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.<=) $2 \
         AND status OPERATOR(pg_catalog.<>) 'discarded'",
    &[VARCHAROID, INT8OID],
);
/// What the copy has parked and the live one has handled: it was repaired since.
static RETRY_HANDLED: Statement = Statement::new(
    c"UPDATE message_store.parked c SET status = 'retry' \
       WHERE c.subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND c.status OPERATOR(pg_catalog.<>) 'discarded' AND NOT EXISTS ( \
               SELECT FROM message_store.parked l \
                WHERE l.subscriber_id OPERATOR(pg_catalog.=) $2 \
                  AND l.global_position OPERATOR(pg_catalog.=) c.global_position)",
    &[VARCHAROID, VARCHAROID],
);
static ADOPT_PARKED: Statement = Statement::new(
    c"INSERT INTO message_store.parked \
        (subscriber_id, global_position, stream_name, type, status, holds_stream, attempts, \
         sqlstate, error, parked_at, last_failed_at, reason) \
      SELECT $2, global_position, stream_name, type, status, holds_stream, attempts, \
             sqlstate, error, parked_at, last_failed_at, reason \
        FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND status OPERATOR(pg_catalog.<>) 'replaying' \
      ON CONFLICT DO NOTHING",
    &[VARCHAROID, VARCHAROID],
);

fn copy_id(subscriber_id: &str) -> String {
    format!("{subscriber_id}{COPY_SUFFIX}")
}

fn rebuild(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let side_by_side = call.boolean(1).unwrap_or(false);
    transaction::require_writable(c"rebuild()");
    let definition = Definition::load_own(&id)?;
    context::require_outside(&id)?;
    if definition.copy_of.is_some() {
        return Err(Error::SubscriptionState(
            id,
            "is itself a copy that is being filled",
            "promote(...) or cancel_rebuild(...) of the original ends it.",
        ));
    }
    if side_by_side {
        rebuild_beside(&definition)?;
        history::note(&definition, "rebuild", None, Some("side by side"))?;
    } else {
        rebuild_in_place(&definition)?;
        history::note(&definition, "rebuild", None, Some("in place"))?;
    }
    Ok(Reply::void())
}

/// 55000 where a copy is being filled, which is only right while the live one goes on from where it
/// is.
pub fn require_no_copy(definition: &Definition) -> Result<(), Error> {
    match find_copy(definition)? {
        None => Ok(()),
        Some(_) => Err(Error::SubscriptionState(
            definition.subscriber_id.clone(),
            "is being rebuilt side by side",
            "promote(...) ends it, cancel_rebuild(...) gives it up.",
        )),
    }
}

fn rebuild_in_place(definition: &Definition) -> Result<(), Error> {
    require_no_copy(definition)?;
    let members = Member::lock_all(&definition.subscriber_id)?;
    read_model::empty(definition)?;
    let start = definition.start_position;
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
    let id = copy_id(&definition.subscriber_id);
    let hash = hash_64(definition.subscriber_id.as_bytes()) as u64;
    let schema = format!("message_store_copy_{hash:016x}");
    create::create_copy(definition, &id, &schema)?;
    let with_rows = false;
    read_model::copy(definition, &schema, with_rows)?;
    run_init(definition, Some(&schema))
}

fn find_copy(definition: &Definition) -> Result<Option<Definition>, Error> {
    let copy = Definition::find(&copy_id(&definition.subscriber_id))?;
    Ok(copy.filter(|copy| copy.copy_of.as_deref() == Some(definition.subscriber_id.as_str())))
}

fn promote(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    transaction::require_writable(c"promote()");
    let definition = Definition::load_own(&id)?;
    context::require_outside(&id)?;
    context::require_outside(&copy_id(&id))?;
    // From here on the live one stands still, and nobody else promotes.
    let live = Member::lock_all(&id)?;
    let copy = find_copy(&definition)?.ok_or_else(|| {
        Error::SubscriptionState(
            id.clone(),
            "has no copy to promote",
            "rebuild(subscriber_id, side_by_side => true) makes one.",
        )
    })?;
    let target = live.iter().map(|member| member.position).max().unwrap_or(0);
    deferred::fire();
    for member in &live {
        catch_up(&definition, member, target)?;
    }
    let filled = Member::lock_all(&copy.subscriber_id)?;
    for member in &filled {
        catch_up(&copy, member, target)?;
        handle_what_live_has(&definition, &copy, member, target)?;
    }
    let schema = copy.copy_schema.clone().unwrap_or_default();
    read_model::swap(&definition, &schema)?;
    {
        let _owner = as_owner_of_subscriptions()?;
        let text = |id: &str| Some(Text::copied(id.as_bytes()).datum());
        FORGET_PARKED.run(&[text(&id), Some(pg_sys::Datum::from(target))], |_| {});
        ADOPT_PARKED.run(&[text(&copy.subscriber_id), text(&id)], |_| {});
    }
    drop_copy(&definition)?;
    history::note(&definition, "promote", Some(target), None)?;
    Ok(Reply::void())
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
        if !matches!(delivered.end, End::Done) {
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
    let text = |id: &str| Some(Text::copied(id.as_bytes()).datum());
    let retried = {
        let _owner = as_owner_of_subscriptions()?;
        let ids = [text(&copy.subscriber_id), text(&live.subscriber_id)];
        RETRY_HANDLED.run(&ids, |_| {})
    };
    if retried == 0 {
        return Ok(());
    }
    // Read again: it has parked messages by now.
    let copy = Definition::load(&copy.subscriber_id)?;
    let mut source = Source::open(&copy, "promote")?;
    source.end_where_a_member_is(target);
    let limit = i64::try_from(retried).unwrap_or(i64::MAX);
    let delivered = Delivery::begin(&copy, member, &source)?.deliver(limit)?;
    match delivered.put_aside_for {
        None => Ok(()),
        Some(fault) => Err(Error::HandlerFailed(
            copy.subscriber_id,
            fault.position,
            fault.sqlstate,
            fault.error,
        )),
    }
}

/// Forgets the copy of a subscription, where it has one; whether it had.
pub fn drop_copy(definition: &Definition) -> Result<bool, Error> {
    let Some(copy) = find_copy(definition)? else {
        return Ok(false);
    };
    create::delete(&copy)?;
    read_model::drop_copies(&copy.copy_schema.unwrap_or_default())?;
    Ok(true)
}

fn cancel_rebuild(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    transaction::require_writable(c"cancel_rebuild()");
    let definition = Definition::load_own(&id)?;
    Ok(Reply::boolean(drop_copy(&definition)?))
}
