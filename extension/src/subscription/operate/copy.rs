//! The copy beside a subscription: a second one that fills copies of its tables, always behind it.

use crate::consumer_group::hash_64;
use crate::error::Error;
use crate::subscription::definition::Definition;
use crate::subscription::definition::options;
use crate::subscription::member::Member;
use crate::subscription::read_model;
use crate::tables::subscription_progress;
use crate::tables::subscriptions::{self, NewSubscription};
use serde_json::Value;

/// What is added to a subscriber id for the copy beside it.
pub const SUFFIX: &str = "#rebuild";

/// The subscriber id of the copy.
pub fn id_of(subscriber_id: &str) -> String {
    format!("{subscriber_id}{SUFFIX}")
}

/// The copy of a subscription, where it has one.
pub fn find(original: &Definition) -> Result<Option<Definition>, Error> {
    let copy = Definition::find(&id_of(&original.subscriber_id))?;
    Ok(copy.filter(|copy| copy.copy_of.as_deref() == Some(original.subscriber_id.as_str())))
}

/// 55000 where a copy is being filled, which is only right while the live one goes on from where it
/// is.
pub fn require_none(original: &Definition) -> Result<(), Error> {
    match find(original)? {
        None => Ok(()),
        Some(_) => Err(is_being_rebuilt(original)),
    }
}

fn is_being_rebuilt(original: &Definition) -> Error {
    Error::SubscriptionState(
        original.subscriber_id.clone(),
        "is being rebuilt side by side",
        "promote(...) ends it, cancel_rebuild(...) gives it up.",
    )
}

/// Makes the copy, started, and returns the schema of the tables that it is to fill, which is not
/// made.
pub fn create(original: &Definition) -> Result<String, Error> {
    let id = id_of(&original.subscriber_id);
    let hash = hash_64(original.subscriber_id.as_bytes()) as u64;
    let schema = format!("message_store_copy_{hash:016x}");
    let stored = subscriptions::options(&original.subscriber_id)?;
    let mut options = options::parse_object("options", &stored)?;
    options.remove("group_size");
    let created = subscriptions::insert(&NewSubscription {
        subscriber_id: &id,
        owner: original.owner,
        source: &original.source,
        handlers: &original.handlers,
        options: &Value::Object(options).to_string(),
        search_path: &original.search_path,
    })?;
    if !created {
        return Err(is_being_rebuilt(original));
    }
    let (group_size, start) = (1, original.replay_start());
    subscription_progress::insert(&id, group_size, start)?;
    subscriptions::set_start(&id, start)?;
    subscriptions::make_copy(&id, &original.subscriber_id, &schema)?;
    Ok(schema)
}

/// Forgets the copy of a subscription and its tables, where it has one; whether it had.
pub fn discard(original: &Definition) -> Result<bool, Error> {
    let Some(copy) = find(original)? else {
        return Ok(false);
    };
    delete(&copy)?;
    read_model::drop_copies(&copy.copy_schema.unwrap_or_default())?;
    Ok(true)
}

/// Forgets a subscription, once its running ticks have ended.
pub fn delete(definition: &Definition) -> Result<(), Error> {
    Member::lock_all(&definition.subscriber_id)?;
    subscriptions::delete(&definition.subscriber_id)
}
