//! `reset`, `skip`, `continue_from`: where a subscription goes on.

use crate::account::require_reason;
use crate::error::Error;
use crate::handler_call;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::stream;
use crate::subscription::definition::replay::{Layer, Replayed};
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::subscription::operate::copy;
use crate::subscription::source;
use crate::tables::messages::{self, column};
use crate::tables::parked;
use crate::tables::subscription_progress::{self, Which};
use crate::tables::subscriptions;
use serde_json::Value;

sql_functions! {
    reset(subscriber_id: Varchar, position: Bigint, reason: Varchar) => reset,
    skip(subscriber_id: Varchar, position: Bigint, reason: Varchar) => skip,
    continue_from(subscriber_id: Varchar, position_stream: Varchar) => continue_from,
}

fn reset(call: &Call<'_>) -> Result<Reply, Error> {
    move_by_hand(
        call,
        "reset",
        |wanted, now| wanted <= now,
        "must not be ahead of the subscription",
    )
}

fn skip(call: &Call<'_>) -> Result<Reply, Error> {
    move_by_hand(
        call,
        "skip",
        |wanted, now| wanted >= now,
        "must not be behind the subscription",
    )
}

fn move_by_hand(
    call: &Call<'_>,
    action: &'static str,
    is_right: impl Fn(i64, i64) -> bool,
    rule: &str,
) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let repair = "reset(...) goes back, skip(...) goes on; positions count from 0, before the first message.";
    let position = call
        .bigint("position")
        .filter(|position| *position >= 0)
        .ok_or_else(|| Error::argument("position", "must be 0 or more", repair))?;
    let reason = require_reason(call.text("reason"))?;
    transaction::require_writable(c"reset() or skip()");
    let definition = Definition::load_own(&id)?;
    copy::require_none(&definition)?;
    handler_call::require_outside(&id)?;
    if action == "reset" {
        source::require_undeleted(&definition, position)?;
    }
    let members = Member::lock_all(&id)?;
    if members.iter().any(|member| member.drains_until.is_some()) {
        return Err(Error::SubscriptionState(
            id,
            "has a group whose size is being changed",
            "Try again when subscription_status shows no member below 0.",
        ));
    }
    let drawn = messages::sequence()?.last_value();
    if position > drawn {
        return Err(Error::argument(
            "position",
            format!("is {position}, and the log ends at {drawn}"),
            repair,
        ));
    }
    // A restored log may be shorter than the subscription has come: back is then the only way.
    let now = members.iter().map(|member| member.position.min(drawn));
    let now = if action == "reset" {
        now.max()
    } else {
        now.min()
    }
    .unwrap_or(0);
    if !is_right(position, now) {
        return Err(Error::argument(
            "position",
            format!("{rule}: {position}, and it is at {now}"),
            repair,
        ));
    }
    let which = if action == "reset" {
        Which::Further
    } else {
        Which::LessFar
    };
    go_to(&definition, &members, position, which)?;
    history::note(&definition, action, Some(position), Some(&reason))?;
    Ok(Reply::void())
}

/// Moves members to a position. What was handled before counts as a replay when it comes
/// again; what is parked and comes again does not.
pub fn go_to(
    definition: &Definition,
    members: &[Member],
    position: i64,
    which: Which,
) -> Result<(), Error> {
    // As it is now that the members are held: another may have set it back just before.
    let mut replayed = Definition::load(&definition.subscriber_id)?.replayed;
    for layer in layers(members) {
        replayed.add(layer);
    }
    set_replayed(definition, &replayed)?;
    let id = &definition.subscriber_id;
    parked::expect_after(id, position)?;
    subscription_progress::go_to(id, position, which)
}

fn set_replayed(definition: &Definition, replayed: &Replayed) -> Result<(), Error> {
    let id = &definition.subscriber_id;
    subscriptions::set_replayed(id, replayed.mark, &replayed.layers_text())
}

/// How far members have come: those of the group's size, and before them those of an earlier size
/// that drain.
fn layers(members: &[Member]) -> Vec<Layer> {
    let until = members.iter().find_map(|member| member.drains_until);
    let mut layers = Vec::new();
    if let Some(until) = until {
        let draining = || {
            members
                .iter()
                .filter(|member| member.drains_until.is_some())
        };
        let size = draining().next().map_or(1, |member| member.group_size);
        // Members that have come to the end are gone.
        let mut positions = vec![until; usize::try_from(size).unwrap_or(1)];
        for member in draining() {
            let number = usize::try_from(member.group_member()).unwrap_or(0);
            if let Some(position) = positions.get_mut(number) {
                *position = member.position;
            }
        }
        let after = 0;
        layers.push(Layer { after, positions });
    }
    let mut own: Vec<&Member> = members
        .iter()
        .filter(|member| member.drains_until.is_none())
        .collect();
    own.sort_by_key(|member| member.number);
    if !own.is_empty() {
        layers.push(Layer {
            after: until.unwrap_or(0),
            positions: own.iter().map(|member| member.position).collect(),
        });
    }
    layers
}

fn continue_from(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let repair = "Name the stream another program keeps its position in: \
                  subscriberPosition-<subscriberId>, or <category>:position-<consumerId>.";
    let Some(saved_in) = call.text("position_stream") else {
        return Err(Error::argument(
            "position_stream",
            "must not be NULL",
            repair,
        ));
    };
    transaction::require_writable(c"continue_from()");
    let definition = Definition::load_own(&id)?;
    copy::require_none(&definition)?;
    handler_call::require_outside(&id)?;
    let saved = saved_position(saved_in)?.ok_or_else(|| {
        Error::argument(
            "position_stream",
            format!("has no message with a position: {saved_in}"),
            repair,
        )
    })?;
    let drawn = messages::sequence()?.last_value();
    if saved > drawn {
        return Err(Error::argument(
            "position_stream",
            format!("says {saved}, and the log ends at {drawn}"),
            "The position belongs to another log.",
        ));
    }
    source::require_undeleted(&definition, saved)?;
    let members = Member::lock_all(&id)?;
    go_to(&definition, &members, saved, Which::All)?;
    // What the other program has handled is no news to services either.
    let mut replayed = Definition::load(&id)?.replayed;
    replayed.add_all_until(saved);
    set_replayed(&definition, &replayed)?;
    history::note(
        &definition,
        "continue",
        Some(saved),
        Some(&saved_in.to_str()),
    )?;
    Ok(Reply::bigint(Some(saved)))
}

/// The field `position` of the data of a stream's last message that has one. Both the book and
/// Eventide keep the global position of the last message they have handled there.
fn saved_position(stream_name: Text<'_>) -> Result<Option<i64>, Error> {
    let table = messages::open_to_deliver()?;
    let index = stream::open_index()?;
    let snapshot = Fresh::take();
    let keys = [(0, Condition::Equals(stream_name))];
    let mut scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Descending);
    while scan.advance() {
        let data = scan.jsonb(column::DATA).map(|data| data.to_text());
        let data: Option<Value> = data.and_then(|text| serde_json::from_str(&text.to_str()).ok());
        let position = data.and_then(|data| data.get("position")?.as_i64());
        if position.is_some_and(|position| position >= 0) {
            return Ok(position);
        }
    }
    Ok(None)
}
