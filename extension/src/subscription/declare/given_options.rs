//! The options that a subscription is given: checked, and written as they are stored.

use crate::error::Error;
use crate::pg::parameter;
use crate::pg::spi::Statement;
use crate::pg::subtransaction::attempt;
use crate::subscription::definition::handlers;
use crate::subscription::definition::options::{Options, refuse, wrong};
use crate::subscription::definition::run_as::run_as;
use crate::subscription::read_model;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::TEXTOID;
use serde_json::{Map, Value, json};

static INTERVAL_MS: Statement = Statement::new(
    c"SELECT (pg_catalog.date_part('epoch', $1::pg_catalog.interval) \
              OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8",
    &[TEXTOID],
);

/// An interval as PostgreSQL reads it, to whole milliseconds, from 0 to a year.
fn milliseconds(name: &str, value: &Value) -> Result<i64, Error> {
    let wanted = || wrong(name, "an interval such as \"100 ms\", of 0 to a year");
    let text = value.as_str().ok_or_else(wanted)?;
    let read = attempt(|| -> Result<_, Error> {
        let mut ms = None;
        INTERVAL_MS.run(&[parameter::text(text)], |row| ms = row.bigint(0));
        Ok(ms)
    });
    const A_YEAR_MS: i64 = 366 * 86_400_000;
    match read {
        Ok(Some(ms)) if (0..=A_YEAR_MS).contains(&ms) => Ok(ms),
        _ => Err(wanted()),
    }
}

/// The option `search_path`, where it is given: a list of schemas, as PostgreSQL takes it.
pub fn search_path(
    object: &Map<String, Value>,
    role: pg_sys::Oid,
) -> Result<Option<String>, Error> {
    let Some(path) = object.get("search_path") else {
        return Ok(None);
    };
    let path = path.as_str().filter(|path| !path.contains('\0'));
    let usable = path.filter(|path| attempt(|| run_as(role, path, &[], || Ok(()))).is_ok());
    match usable {
        Some(path) => Ok(Some(path.to_owned())),
        None => Err(wrong(
            "search_path",
            "schemas, separated by commas, such as \"app, public\"",
        )),
    }
}

/// Checks `options` and returns them as they are stored: names of functions and tables qualified,
/// so that no search_path can change what they mean later, and intervals in milliseconds.
///
/// `role`, `search_path`: the subscription's owner, with whose rights SQL in the options is tried,
/// and the path that names in it are found on.
pub fn normalized(
    mut object: Map<String, Value>,
    role: pg_sys::Oid,
    search_path: &str,
) -> Result<Map<String, Value>, Error> {
    for name in ["retry_delay", "retry_max_delay", "transient_limit"] {
        if let Some(value) = object.get_mut(name) {
            *value = json!(format!("{} ms", milliseconds(name, value)?));
        }
    }
    let mut options = Options::from_object(&object)?;
    if !options.settings.is_empty() {
        let tried = attempt(|| run_as(role, search_path, &options.settings, || Ok(())));
        tried.map_err(|failure| {
            refuse(format!(
                "must give settings usable ones: {}",
                failure.message
            ))
        })?;
    }
    if let Some(name) = &options.init {
        let routine = handlers::find_init(name, role)?;
        handlers::require_executable(routine, role)?;
        object.insert("init".to_owned(), json!(routine.qualified_name()));
    }
    if !options.read_model.is_empty() {
        read_model::qualify(&mut options.read_model, role, search_path)?;
        let tables: Vec<Value> = options
            .read_model
            .iter()
            .map(|entry| match &entry.filter {
                None => json!(entry.table),
                Some(filter) => json!({"table": entry.table, "where": filter}),
            })
            .collect();
        object.insert("read_model".to_owned(), Value::Array(tables));
    }
    Ok(object)
}
