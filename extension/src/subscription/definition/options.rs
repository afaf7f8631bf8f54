//! The options of a subscription, read from JSON.

use crate::error::Error;
use crate::stream_name;
use crate::subscription::definition::policy::Policy;
use serde_json::{Map, Value};
use std::time::Duration;

const REPAIR: &str = "Known options: init, baseline, read_model, types, correlation, group_size, start_from, \
     batch_size, order (strict, per_handler), on_failure (stop, park), retries, retry_delay, \
     retry_max_delay, park (stream, message), transient_limit, search_path, settings.";

/// A table that a subscription fills, or the rows of it that are the subscription's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadModelTable {
    /// Its name as it was given.
    pub table: String,
    /// An SQL condition on its rows; `None` for all.
    pub filter: Option<String>,
}

/// Where a new subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// With the first message of the log.
    Beginning,
    /// With what is not settled yet.
    Now,
    /// With the message at this global position.
    Position(i64),
    /// With the first message whose time is not before this one, as PostgreSQL reads it.
    Time(String),
}

/// What `options` says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The function that makes the empty read model.
    pub init: Option<String>,
    /// The global position up to which the read model that `init` makes holds all messages.
    pub baseline: i64,
    /// The tables that handlers write to.
    pub read_model: Vec<ReadModelTable>,
    /// The types it reads; `None` for all.
    pub types: Option<Vec<String>>,
    /// The category of the streams that its messages are correlated with.
    pub correlation: Option<String>,
    /// Members of the consumer group at first.
    pub group_size: i64,
    /// Where it begins.
    pub start_from: StartFrom,
    /// Messages a tick reads where its caller does not say.
    pub batch_size: i64,
    /// Whether order across handlers is kept.
    pub is_strict: bool,
    /// What it does about failures.
    pub policy: Policy,
    /// The path that names in its handlers are found on; `None` for that of the session that
    /// declares it.
    pub search_path: Option<String>,
    /// PostgreSQL's settings that its handlers run with, name and value.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            init: None,
            baseline: 0,
            read_model: Vec::new(),
            types: None,
            correlation: None,
            group_size: 1,
            start_from: StartFrom::Beginning,
            batch_size: 1000,
            is_strict: true,
            policy: Policy::default(),
            search_path: None,
            settings: Vec::new(),
        }
    }
}

/// An error about the argument `options`.
pub fn refuse(problem: String) -> Error {
    Error::argument("options", problem, REPAIR)
}

/// An error about the option `name`, whose value must be `wanted`.
pub fn wrong(name: &str, wanted: &str) -> Error {
    refuse(format!("must give {name} {wanted}"))
}

impl Options {
    /// Reads options; unknown keys and values that cannot be meant are refused with 22023.
    pub fn from_object(object: &Map<String, Value>) -> Result<Self, Error> {
        let mut options = Self::default();
        for (name, value) in object {
            options.set(name, value)?;
        }
        Ok(options)
    }

    /// Reads options that were checked when they were stored.
    pub fn stored(text: &str) -> Result<Self, Error> {
        Self::from_object(&parse_object("options", text)?)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        let text = || value.as_str().ok_or_else(|| wrong(name, "a string"));
        let at_least = |least: i64| match value.as_i64() {
            Some(number) if number >= least => Ok(number),
            _ => Err(wrong(name, &format!("a number of {least} or more"))),
        };
        let choice = |first: &str, second: &str| match value.as_str() {
            Some(word) if word == first => Ok(true),
            Some(word) if word == second => Ok(false),
            _ => Err(wrong(name, &format!("\"{first}\" or \"{second}\""))),
        };
        match name {
            "init" => {
                self.init = Some(
                    text()
                        .map_err(|_| wrong(name, "a function's name"))?
                        .to_owned(),
                )
            }
            "baseline" => self.baseline = at_least(0)?,
            "read_model" => self.read_model = read_model(value)?,
            "types" => self.types = Some(types(value)?),
            "correlation" => {
                let category = text()?;
                if category.is_empty() || !stream_name::is_category(category.as_bytes()) {
                    return Err(wrong(name, "a category"));
                }
                self.correlation = Some(category.to_owned());
            }
            "group_size" => self.group_size = group_size(value.as_i64()).map_err(refuse)?,
            "start_from" => self.start_from = start_from(value)?,
            "batch_size" => self.batch_size = at_least(1)?,
            "order" => self.is_strict = choice("strict", "per_handler")?,
            "on_failure" => self.policy.parks = choice("park", "stop")?,
            "park" => self.policy.holds_stream = choice("stream", "message")?,
            "retries" => self.policy.retries = at_least(0)?,
            "retry_delay" => self.policy.retry_delay = duration(name, value)?,
            "retry_max_delay" => self.policy.retry_max_delay = duration(name, value)?,
            "transient_limit" => self.policy.transient_limit = duration(name, value)?,
            "search_path" => self.search_path = Some(text()?.to_owned()),
            "settings" => self.settings = settings(value)?,
            unknown => return Err(refuse(format!("has an unknown key: {unknown}"))),
        }
        Ok(())
    }
}

/// How many members a group may have: 1 to 32,767, Message DB's smallint.
pub fn group_size(size: Option<i64>) -> Result<i64, String> {
    match size {
        Some(size) if (1..=i64::from(i16::MAX)).contains(&size) => Ok(size),
        _ => Err(format!(
            "group_size must be a number from 1 to {}",
            i16::MAX
        )),
    }
}

fn start_from(value: &Value) -> Result<StartFrom, Error> {
    match value {
        Value::String(word) if word == "beginning" => Ok(StartFrom::Beginning),
        Value::String(word) if word == "now" => Ok(StartFrom::Now),
        Value::String(time) => Ok(StartFrom::Time(time.clone())),
        number => match number.as_i64() {
            Some(position) if position >= 1 => Ok(StartFrom::Position(position)),
            _ => Err(wrong(
                "start_from",
                "\"beginning\", \"now\", a global position from 1, or a time",
            )),
        },
    }
}

fn types(value: &Value) -> Result<Vec<String>, Error> {
    let wanted = || wrong("types", "an array of message types");
    let types: Option<Vec<String>> = value.as_array().and_then(|types| {
        let text = |name: &Value| {
            name.as_str()
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
        };
        types.iter().map(text).collect()
    });
    types.filter(|types| !types.is_empty()).ok_or_else(wanted)
}

fn settings(value: &Value) -> Result<Vec<(String, String)>, Error> {
    let wanted = || {
        wrong(
            "settings",
            "an object of PostgreSQL's settings, such as {\"timezone\": \"UTC\"}",
        )
    };
    // The search_path is an option of its own.
    let may_be_set = |name: &str| !name.eq_ignore_ascii_case("search_path") && !name.contains('\0');
    let setting = |(name, value): (&String, &Value)| {
        let value = value.as_str().filter(|value| !value.contains('\0'))?;
        may_be_set(name).then(|| (name.clone(), value.to_owned()))
    };
    let settings: Option<Vec<_>> = value
        .as_object()
        .and_then(|object| object.iter().map(setting).collect());
    settings.ok_or_else(wanted)
}

fn read_model(value: &Value) -> Result<Vec<ReadModelTable>, Error> {
    let wanted = || {
        wrong(
            "read_model",
            "an array of table names, or of {\"table\": name, \"where\": condition}",
        )
    };
    let table = |entry: &Value| match entry {
        Value::String(table) => Some(ReadModelTable {
            table: table.clone(),
            filter: None,
        }),
        Value::Object(entry) => {
            let known = entry.keys().all(|key| key == "table" || key == "where");
            let filter = match entry.get("where") {
                None => None,
                Some(Value::String(filter)) => Some(filter.clone()),
                Some(_) => return None,
            };
            known
                .then(|| entry.get("table")?.as_str())
                .flatten()
                .map(|table| ReadModelTable {
                    table: table.to_owned(),
                    filter,
                })
        }
        _ => None,
    };
    let tables: Option<Vec<_>> = value
        .as_array()
        .and_then(|entries| entries.iter().map(table).collect());
    tables
        .filter(|tables| !tables.is_empty())
        .ok_or_else(wanted)
}

/// Stored durations are whole milliseconds, as `given_options` writes them.
fn duration(name: &str, value: &Value) -> Result<Duration, Error> {
    let stored = value.as_str().and_then(|text| text.strip_suffix(" ms"));
    match stored.and_then(|ms| ms.parse().ok()) {
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err(wrong(name, "an interval such as \"100 ms\"")),
    }
}

/// The JSON object in `text`, the argument `argument`.
pub fn parse_object(argument: &'static str, text: &str) -> Result<Map<String, Value>, Error> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Error::argument(
            argument,
            "must be a JSON object",
            if argument == "options" {
                REPAIR
            } else {
                "Pass an object."
            },
        )),
    }
}
