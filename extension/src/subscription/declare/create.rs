//! `create_subscription`, `alter_subscription`, `drop_subscription`: what is read and who handles
//! it. These start nothing.

use crate::error::Error;
use crate::pg::acting_as::ActingAs;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::identity;
use crate::pg::jsonb::Jsonb;
use crate::pg::parameter;
use crate::pg::snapshot::Fresh;
use crate::pg::spi::Statement;
use crate::pg::subtransaction::attempt;
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::stream_name;
use crate::subscription::declare::given_options;
use crate::subscription::definition::handlers;
use crate::subscription::definition::options::{self, StartFrom};
use crate::subscription::definition::rights::may_steer;
use crate::subscription::definition::run_as::run_as;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::subscription::operate::copy;
use crate::subscription::read_model;
use crate::subscription::source::Source;
use crate::tables::deletions;
use crate::tables::messages::{self, column};
use crate::tables::subscription_progress;
use crate::tables::subscriptions::{self, NewSubscription};
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::TEXTOID;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

sql_functions! {
    create_subscription(subscriber_id: Varchar, source: Varchar, handlers: Jsonb, options: Jsonb) => create_subscription,
    alter_subscription(subscriber_id: Varchar, handlers: Jsonb, options: Jsonb) => alter_subscription,
    drop_subscription(subscriber_id: Varchar) => drop_subscription,
}

static TIME: Statement = Statement::new(
    c"SELECT pg_catalog.timezone('UTC', $1::pg_catalog.timestamptz)",
    &[TEXTOID],
);

fn create_subscription(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    if id.ends_with(copy::SUFFIX) {
        return Err(Error::argument(
            "subscriber_id",
            format!("must not end in {}: {id}", copy::SUFFIX),
            "Such names belong to the copies that rebuild(..., side_by_side => true) makes.",
        ));
    }
    let source = source_argument(call.text("source"))?;
    transaction::require_writable(c"create_subscription()");
    let owner = identity::current_role();
    let handlers = json_text("handlers", call.jsonb("handlers"))?;
    let given = options::parse_object("options", &json_text("options", call.jsonb("options"))?)?;
    let own_path = given_options::search_path(&given, owner)?;
    let search_path = own_path.clone().unwrap_or_else(identity::search_path);
    let (handlers, given) = found_on(own_path.as_deref(), owner, || {
        let handlers = handlers::normalized(&handlers, owner)?;
        Ok((
            handlers,
            given_options::normalized(given, owner, &search_path)?,
        ))
    })?;
    let given = Value::Object(given).to_string();
    let created = subscriptions::insert(&NewSubscription {
        subscriber_id: &id,
        owner,
        source: &source,
        handlers: &handlers,
        options: &given,
        search_path: &search_path,
    })?;
    if created {
        // Who creates it now is told apart from who was there when messages were deleted.
        deletions::hold_off()?;
        subscriptions::set_created(&id, deletions::after_the_last()?)?;
        let definition = Definition::load(&id)?;
        begin(&definition)?;
        history::note(&definition, "create", None, None)?;
        return Ok(Reply::boolean(true));
    }
    let existing = Definition::load(&id)?;
    // Not merely somebody with the owner's rights: a superuser's boot must not adopt a
    // subscription that another role has put in the place of its own.
    if existing.owner != owner {
        return Err(Error::NotOwner(id));
    }
    if existing.source != source {
        return Err(Error::SubscriptionExists(id, existing.source));
    }
    Ok(Reply::boolean(replace(
        &existing,
        &subscriptions::options(&id)?,
        &handlers,
        &given,
        &search_path,
    )?))
}

/// Runs `work`, which finds the functions that a subscription names: on its own path, where it has
/// one, else on the session's.
fn found_on<T>(
    own_path: Option<&str>,
    owner: pg_sys::Oid,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    match own_path {
        Some(path) => run_as(owner, path, &[], work),
        None => work(),
    }
}

/// Makes the members of a new subscription, where it starts from.
fn begin(definition: &Definition) -> Result<(), Error> {
    let position = first_position(definition)?;
    let id = &definition.subscriber_id;
    subscriptions::set_start(id, position)?;
    // What init makes has all until there.
    let drawn = messages::sequence()?.last_value();
    let position = position.max(definition.options.baseline.min(drawn));
    subscription_progress::insert(id, definition.options.group_size, position)
}

/// The position after which a new subscription begins.
fn first_position(definition: &Definition) -> Result<i64, Error> {
    match &definition.options.start_from {
        StartFrom::Beginning => Ok(0),
        StartFrom::Position(first) => {
            let drawn = messages::sequence()?.last_value();
            if *first > drawn + 1 {
                return Err(Error::argument(
                    "options",
                    format!("must give start_from a global position up to {}", drawn + 1),
                    "The log does not reach further; \"now\" starts at its end.",
                ));
            }
            Ok(first - 1)
        }
        StartFrom::Now => Ok(Source::open(definition, "create_subscription")?
            .horizon
            .position),
        StartFrom::Time(time) => {
            let time = microseconds(time)?;
            let source = Source::open(definition, "create_subscription")?;
            let snapshot = Fresh::take();
            let mut walk = source.walk(&snapshot, 0);
            // Times are those of transactions' beginnings and do not rise with positions.
            while walk.advance() {
                pgrx::check_for_interrupts!();
                if walk.bigint(column::TIME) >= time {
                    return Ok(walk.bigint(column::GLOBAL_POSITION) - 1);
                }
            }
            Ok(source.horizon.position)
        }
    }
}

/// A time as PostgreSQL reads it, in microseconds since 2000-01-01 00:00 UTC. Without a zone it is in
/// UTC, as the times of messages are, whatever the session's zone.
fn microseconds(time: &str) -> Result<i64, Error> {
    let _utc = ActingAs::role(identity::current_role()).in_utc();
    let read = attempt(|| -> Result<_, Error> {
        let mut microseconds = None;
        TIME.run(&[parameter::text(time)], |row| {
            microseconds = row.timestamp(0)
        });
        Ok(microseconds)
    });
    read.ok().flatten().ok_or_else(|| {
        Error::argument(
            "options",
            format!("must give start_from a position or a time, not \"{time}\""),
            "Pass \"beginning\", \"now\", a global position from 1, or a time such as \
             \"2026-01-31T12:00:00Z\".",
        )
    })
}

/// `before`: the options that it has.
fn replace(
    existing: &Definition,
    before: &str,
    handlers: &str,
    options: &str,
    search_path: &str,
) -> Result<bool, Error> {
    let id = &existing.subscriber_id;
    let changed = subscriptions::replace(id, handlers, options, search_path)?;
    if changed {
        // The tick that is running ends with the handlers it began with.
        Member::lock_all(&existing.subscriber_id)?;
        let altered = altered(existing, handlers, before, options, search_path);
        history::note(existing, "alter", None, Some(&altered))?;
    }
    Ok(changed)
}

/// What the history has of a change: the names of what was changed.
fn altered(
    existing: &Definition,
    handlers: &str,
    options_before: &str,
    options: &str,
    search_path: &str,
) -> String {
    let object = |text: &str| serde_json::from_str::<Map<_, Value>>(text).unwrap_or_default();
    let differing = |before: &str, after: &str| -> Vec<String> {
        let (before, after) = (object(before), object(after));
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let differ = |name: &&&String| before.get(**name) != after.get(**name);
        names
            .iter()
            .filter(differ)
            .map(ToString::to_string)
            .collect()
    };
    let mut told = Vec::new();
    let types = differing(&existing.handlers, handlers);
    if !types.is_empty() {
        told.push(format!("handlers of {}", types.join(", ")));
    }
    let mut options = differing(options_before, options);
    if existing.search_path != search_path && !options.iter().any(|name| name == "search_path") {
        options.push("search_path".to_owned());
    }
    if !options.is_empty() {
        told.push(options.join(", "));
    }
    told.join("; ")
}

/// Options that say what runs with the owner's rights, and how.
const OPTIONS_OF_CODE: [&str; 4] = ["init", "read_model", "search_path", "settings"];

fn alter_subscription(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    transaction::require_writable(c"alter_subscription()");
    let definition = Definition::load_own(&id)?;
    let handlers = match call.jsonb("handlers") {
        None => None,
        given => {
            definition.require_rights_of_code()?;
            Some(json_text("handlers", given)?)
        }
    };
    let mut changes_path = false;
    let before = subscriptions::options(&id)?;
    let mut merged = options::parse_object("options", &before)?;
    if let Some(given) = call.jsonb("options") {
        for (name, value) in options::parse_object("options", &given.to_text().to_str())? {
            if name == "group_size" || name == "start_from" {
                return Err(Error::argument(
                    "options",
                    format!("cannot change {name} of a subscription that exists"),
                    "resize_group(...) changes the size of a group; reset(...) and skip(...) move \
                     its position.",
                ));
            }
            if OPTIONS_OF_CODE.contains(&name.as_str()) {
                definition.require_rights_of_code()?;
            }
            changes_path |= name == "search_path";
            if value.is_null() {
                merged.remove(&name);
            } else {
                merged.insert(name, value);
            }
        }
    }
    definition.require_owner()?;
    let owner = definition.owner;
    let own_path = given_options::search_path(&merged, owner)?;
    let search_path = match &own_path {
        Some(path) => path.clone(),
        None if changes_path => identity::search_path(),
        // What names mean to its handlers is not the business of whoever alters something else.
        None => definition.search_path.clone(),
    };
    let (handlers, merged) = found_on(own_path.as_deref(), owner, || {
        let handlers = match handlers {
            Some(given) => handlers::normalized(&given, owner)?,
            None => definition.handlers.clone(),
        };
        Ok((
            handlers,
            given_options::normalized(merged, owner, &search_path)?,
        ))
    })?;
    let merged = Value::Object(merged).to_string();
    let changed = replace(&definition, &before, &handlers, &merged, &search_path)?;
    Ok(Reply::boolean(changed))
}

fn drop_subscription(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    transaction::require_writable(c"drop_subscription()");
    let Some(definition) = Definition::find(&id)? else {
        return Ok(Reply::boolean(false));
    };
    if !may_steer(definition.owner) {
        return Err(Error::NotOwner(id));
    }
    copy::discard(&definition)?;
    copy::delete(&definition)?;
    if let Some(schema) = &definition.copy_schema {
        read_model::drop_copies(schema)?;
    }
    history::note(&definition, "drop", None, None)?;
    Ok(Reply::boolean(true))
}

fn source_argument(source: Option<Text<'_>>) -> Result<String, Error> {
    let repair = "Pass a category such as viewings, a stream such as account-123, or $all.";
    let source = match source {
        Some(source) => source.to_str().into_owned(),
        None => return Err(Error::argument("source", "must not be NULL", repair)),
    };
    let is_all = source == stream_name::ALL;
    if !is_all && stream_name::category(source.as_bytes()).is_empty() {
        return Err(Error::argument(
            "source",
            format!("has no category: \"{source}\""),
            repair,
        ));
    }
    if source.starts_with('$') && !is_all {
        return Err(Error::argument(
            "source",
            format!("is not known: \"{source}\""),
            repair,
        ));
    }
    Ok(source)
}

fn json_text(argument: &'static str, value: Option<Jsonb<'_>>) -> Result<String, Error> {
    match value {
        Some(json) => Ok(json.to_text().to_str().into_owned()),
        None => Err(Error::argument(
            argument,
            "must not be NULL",
            "Pass a JSON object.",
        )),
    }
}
