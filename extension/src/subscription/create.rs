//! `create_subscription`: says what is read and who handles it. It starts nothing.

use super::definition::{Definition, as_owner_of_subscriptions, subscriber_id};
use super::handlers;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::identity;
use crate::pg::jsonb::Jsonb;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::read::require_category;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{OIDOID, TEXTOID, VARCHAROID};
use serde_json::{Map, Value};

sql_functions! {
    create_subscription => create_subscription,
}

/// The key of the init function in `options`.
const INIT: &str = "init";

static INSERT_DEFINITION: Statement = Statement::new(
    c"INSERT INTO message_store.subscriptions (subscriber_id, owner, category, handlers, options, search_path) \
      VALUES ($1, $2::pg_catalog.regrole, $3, $4::pg_catalog.jsonb, $5::pg_catalog.jsonb, $6) \
      ON CONFLICT DO NOTHING",
    &[VARCHAROID, OIDOID, VARCHAROID, TEXTOID, TEXTOID, TEXTOID],
);
static INSERT_PROGRESS: Statement = Statement::new(
    c"INSERT INTO message_store.subscription_progress (subscriber_id) VALUES ($1)",
    &[VARCHAROID],
);
static REPLACE: Statement = Statement::new(
    c"UPDATE message_store.subscriptions \
         SET handlers = $2::pg_catalog.jsonb, options = $3::pg_catalog.jsonb, search_path = $4 \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND (handlers OPERATOR(pg_catalog.<>) $2::pg_catalog.jsonb \
           OR options OPERATOR(pg_catalog.<>) $3::pg_catalog.jsonb \
           OR search_path OPERATOR(pg_catalog.<>) $4)",
    &[VARCHAROID, TEXTOID, TEXTOID, TEXTOID],
);

fn create_subscription(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let category = require_category("category", call.text(1))?;
    transaction::require_writable(c"create_subscription()");
    let owner = identity::current_role();
    let handlers = handlers::normalized(&json_text("handlers", call.jsonb(2))?, owner)?;
    let options = normalized_options(&json_text("options", call.jsonb(3))?, owner)?;

    let search_path = Some(Text::copied(identity::search_path().as_bytes()).datum());
    let handlers = Some(Text::copied(handlers.as_bytes()).datum());
    let options = Some(Text::copied(options.as_bytes()).datum());
    let created = {
        let _owner = as_owner_of_subscriptions()?;
        let definition = [
            Some(id.datum()),
            Some(pg_sys::Datum::from(owner)),
            Some(category.datum()),
            handlers,
            options,
            search_path,
        ];
        let created = INSERT_DEFINITION.run(&definition, |_| {}) == 1;
        if created {
            INSERT_PROGRESS.run(&[Some(id.datum())], |_| {});
        }
        created
    };
    if created {
        return Ok(Reply::boolean(true));
    }
    let existing = Definition::load(id)?;
    // Not merely somebody with the owner's rights: a superuser's boot must not adopt a
    // subscription that another role has put in the place of its own.
    if existing.owner != owner {
        return Err(Error::NotOwner(id.to_string()));
    }
    if existing.category.as_bytes() != category.bytes() {
        return Err(Error::SubscriptionExists(id.to_string(), existing.category));
    }
    let _owner = as_owner_of_subscriptions()?;
    let changed = REPLACE.run(&[Some(id.datum()), handlers, options, search_path], |_| {}) == 1;
    Ok(Reply::boolean(changed))
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

/// Checks the argument `options`; its function names are qualified like those of handlers.
fn normalized_options(options: &str, role: pg_sys::Oid) -> Result<String, Error> {
    let repair = "Known options: init, the name of a function without arguments that makes the \
                  empty read model.";
    let refuse = |problem: String| Error::argument("options", problem, repair);
    let Ok(Value::Object(options)) = serde_json::from_str::<Value>(options) else {
        return Err(refuse("must be a JSON object".to_owned()));
    };
    let mut normalized = Map::new();
    for (name, value) in options {
        match (name.as_str(), value) {
            (INIT, Value::String(function)) => {
                let routine = handlers::find_init(&function)?;
                handlers::require_executable(routine, role)?;
                normalized.insert(name, Value::String(routine.qualified_name()));
            }
            (INIT, _) => return Err(refuse("must give init a function's name".to_owned())),
            (unknown, _) => return Err(refuse(format!("has an unknown key: {unknown}"))),
        }
    }
    Ok(Value::Object(normalized).to_string())
}
