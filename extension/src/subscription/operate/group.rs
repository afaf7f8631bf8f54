//! `resize_group`: a consumer group with more members, or fewer, while it runs.
//!
//! Another size gives entities to other members, whose positions differ. So the members of the old
//! size first come to one position, that of the furthest of them; only then do those of the new
//! size begin, all at that position. No entity's messages are handled twice, left out, or out of
//! order; messages behind the furthest member are few, unless a member fails.

use crate::error::Error;
use crate::handler_call;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::transaction;
use crate::subscription::definition::options;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::tables::subscription_progress;

sql_functions! {
    resize_group(subscriber_id: Varchar, group_size: Bigint) => resize_group,
}

fn resize_group(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let size = options::group_size(call.bigint("group_size")).map_err(|problem| {
        let problem = problem.trim_start_matches("group_size ").to_owned();
        Error::argument(
            "group_size",
            problem,
            "Say how many members the group shall have.",
        )
    })?;
    transaction::require_writable(c"resize_group()");
    let definition = Definition::load_own(&id)?;
    handler_call::require_outside(&id)?;
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
    subscription_progress::drain(&id, furthest)?;
    subscription_progress::insert(&id, size, furthest)?;
    let reason = format!("{} to {size} members", members.len());
    history::note(&definition, "resize", Some(furthest), Some(&reason))?;
    Ok(Reply::void())
}
