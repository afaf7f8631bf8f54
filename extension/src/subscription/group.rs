//! `resize_group`: a consumer group with more members, or fewer, while it runs.
//!
//! Another size gives entities to other members, whose positions differ. So the members of the old
//! size first come to one position, that of the furthest of them; only then do those of the new
//! size begin, all at that position. No entity's messages are handled twice, left out, or out of
//! order; messages behind the furthest member are few, unless a member fails.

use super::context;
use super::definition::{Definition, as_owner_of_subscriptions, subscriber_id};
use super::history;
use super::member::Member;
use super::options;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::pg::transaction;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, VARCHAROID};

sql_functions! {
    resize_group => resize_group,
}

static END_COMPLETE: Statement = Statement::new(
    c"DELETE FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND position OPERATOR(pg_catalog.>=) $2",
    &[VARCHAROID, INT8OID],
);
static DRAIN_OTHERS: Statement = Statement::new(
    c"UPDATE message_store.subscription_progress \
         SET member = (-1) OPERATOR(pg_catalog.-) member, drains_until = $2, \
             lease = NULL, leased_until = NULL, leased_position = NULL \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, INT8OID],
);
static BEGIN_NEW: Statement = Statement::new(
    c"INSERT INTO message_store.subscription_progress (subscriber_id, member, group_size, position) \
      SELECT $1, member, $3, $2 \
        FROM pg_catalog.generate_series(0, $3 OPERATOR(pg_catalog.-) 1) member",
    &[VARCHAROID, INT8OID, INT8OID],
);

fn resize_group(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let size = options::group_size(call.bigint(1)).map_err(|problem| {
        let problem = problem.trim_start_matches("group_size ").to_owned();
        Error::argument(
            "group_size",
            problem,
            "Say how many members the group shall have.",
        )
    })?;
    transaction::require_writable(c"resize_group()");
    let definition = Definition::load_own(&id)?;
    context::require_outside(&id)?;
    let members = Member::lock_all(&id)?;
    if members.iter().any(|member| member.drains_until.is_some()) {
        return Err(Error::SubscriptionState(
            id,
            "still brings an earlier change of its group's size to an end",
            "Try again when subscription_status shows no member below 0; a member that fails keeps it from ending.",
        ));
    }
    if members
        .first()
        .is_some_and(|member| member.group_size == size)
    {
        return Ok(Reply::void());
    }
    let furthest = members.iter().map(|member| member.position).max();
    let furthest = furthest.unwrap_or(definition.start_position);
    {
        let _owner = as_owner_of_subscriptions()?;
        let id = Some(Text::copied(id.as_bytes()).datum());
        let until = Some(pg_sys::Datum::from(furthest));
        END_COMPLETE.run(&[id, until], |_| {});
        DRAIN_OTHERS.run(&[id, until], |_| {});
        BEGIN_NEW.run(&[id, until, Some(pg_sys::Datum::from(size))], |_| {});
    }
    let reason = format!("{} to {size} members", members.len());
    history::note(&definition, "resize", Some(furthest), Some(&reason))?;
    Ok(Reply::void())
}
