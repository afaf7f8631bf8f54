//! One entry of `[[aggregators]]` or `[[services]]`: as typed, and as the
//! arguments of `create_subscription`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::on_failure::OnFailure;
use message_store_client::database::Declared;

/// A subscription as the database is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The name its position is kept under.
    pub subscriber_id: String,
    /// What it reads: a category, a stream, or `$all`.
    pub source: String,
    /// Message type, or `$any`, to the SQL function that handles it.
    pub handlers: Value,
    /// Whatever else was given, by the names of `create_subscription`.
    pub options: Value,
}

impl Subscription {
    /// As the database is asked about it.
    pub fn declared(&self) -> Declared<'_> {
        Declared {
            subscriber_id: &self.subscriber_id,
            source: &self.source,
            handlers: &self.handlers,
            options: &self.options,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionTable {
    /// The name that its position is kept under. It must be unique.
    pub(super) subscriber_id: String,
    /// Messages of every stream of this category are read.
    category: Option<String>,
    /// Messages of this stream are read.
    stream: Option<String>,
    /// Every message is read.
    #[serde(default)]
    all: bool,
    /// Message type to SQL function. "$any" takes the other types. {} means that an application
    /// fetches the messages.
    handlers: BTreeMap<String, String>,
    /// An SQL function that is called at every start. Calling it again must do no harm.
    init: Option<String>,
    /// The tables that its handlers fill, or the part of them that is theirs.
    read_model: Option<Vec<ReadModel>>,
    /// The most messages one tick reads and commits. Default 1000.
    #[schemars(range(min = 1))]
    batch_size: Option<i64>,
    /// Members that share the work, by stream. Default 1.
    #[schemars(range(min = 1))]
    group_size: Option<i64>,
    /// Only these types are read. Default: all.
    types: Option<Vec<String>>,
    /// Only messages that came about through this category are read.
    correlation: Option<String>,
    /// "beginning", "now", a time in quotes, or a global position. Default "beginning".
    start_from: Option<StartFrom>,
    /// "strict", or "per_handler", which gives array handlers longer runs. Default "strict".
    order: Option<Order>,
    /// The schemas in which names in its handlers are found, such as "app, public". Default: those
    /// that the database or the role sets.
    search_path: Option<String>,
    /// What happens when a handler fails.
    #[serde(default)]
    on_failure: OnFailure,
}

#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "read_model takes \"schema.table\" or {table = \"schema.table\", where = \"...\"}"
)]
enum ReadModel {
    Whole(String),
    Part { table: String, r#where: String },
}

#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "start_from takes \"beginning\", \"now\", a time in quotes, or a global position"
)]
enum StartFrom {
    Position(i64),
    Word(String),
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    Strict,
    PerHandler,
}

impl SubscriptionTable {
    pub(super) fn check(self) -> Result<Subscription, String> {
        let id = self.subscriber_id.clone();
        self.checked()
            .map_err(|problem| format!("subscriber {id:?}: {problem}"))
    }

    fn checked(self) -> Result<Subscription, String> {
        if self.subscriber_id.is_empty() {
            return Err("the subscriber_id is empty; its position is kept under it".to_owned());
        }
        let source = self.source()?;
        let nameless =
            |(kind, function): (&String, &String)| kind.is_empty() || function.is_empty();
        if self.handlers.iter().any(nameless) {
            return Err("a handler has an empty name".to_owned());
        }
        let options = self.options()?;
        Ok(Subscription {
            subscriber_id: self.subscriber_id,
            source,
            handlers: json!(self.handlers),
            options,
        })
    }

    /// What is a stream is the extension's to say; a file is checked where no database is at hand.
    fn source(&self) -> Result<String, String> {
        match (&self.category, &self.stream, self.all) {
            (Some(category), None, false) => check_category(category),
            (None, Some(stream), false) if stream.contains('-') => Ok(stream.clone()),
            (None, Some(stream), false) => Err(format!(
                "stream {stream:?} has no '-': a stream is category-id; name a category with \
                 category = ..."
            )),
            (None, None, true) => Ok("$all".to_owned()),
            _ => Err("give exactly one of category, stream and all = true".to_owned()),
        }
    }

    fn options(&self) -> Result<Value, String> {
        for (name, size) in [
            ("batch_size", self.batch_size),
            ("group_size", self.group_size),
        ] {
            if let Some(size @ ..1) = size {
                return Err(format!("{name} is {size}; it must be at least 1"));
            }
        }
        let mut options = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                options.insert(name.to_owned(), value);
            }
        };
        put("init", self.init.as_ref().map(|init| json!(init)));
        put(
            "read_model",
            self.read_model
                .as_ref()
                .map(|tables| tables.iter().map(ReadModel::to_json).collect()),
        );
        put("types", self.types.as_ref().map(|types| json!(types)));
        put(
            "correlation",
            self.correlation.as_ref().map(|category| json!(category)),
        );
        put("group_size", self.group_size.map(|size| json!(size)));
        put("batch_size", self.batch_size.map(|size| json!(size)));
        put(
            "start_from",
            self.start_from.as_ref().map(|from| match from {
                StartFrom::Position(position) => json!(position),
                StartFrom::Word(word) => json!(word),
            }),
        );
        put(
            "order",
            self.order.map(|order| match order {
                Order::Strict => json!("strict"),
                Order::PerHandler => json!("per_handler"),
            }),
        );
        put(
            "search_path",
            self.search_path.as_ref().map(|path| json!(path)),
        );
        self.on_failure.put_into(put);
        Ok(Value::Object(options))
    }
}

/// What is no category, as far as that can be seen without a database.
pub(super) fn check_category(category: &str) -> Result<String, String> {
    if category.is_empty() || category.contains('-') {
        return Err(format!(
            "category {category:?} must not be empty or hold a '-' (what follows a \
             '-' is a stream's id; name a stream with stream = ...)"
        ));
    }
    Ok(category.to_owned())
}

impl ReadModel {
    fn to_json(&self) -> Value {
        match self {
            Self::Whole(table) => json!(table),
            Self::Part { table, r#where } => json!({ "table": table, "where": r#where }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use serde_json::json;

    const ONE: &str = "[[services]]\nsubscriber_id='a'\nhandlers={X='f'}\n";

    fn problem(text: &str) -> String {
        Config::parse(text).err().unwrap_or_default()
    }

    #[test]
    fn every_key_becomes_the_option_of_its_name() {
        let text = format!(
            "{ONE}stream='account-1'\ninit='i'\nbatch_size=5\ngroup_size=2\ntypes=['X']\n\
             correlation='c'\nsearch_path='app, public'\nstart_from=7\norder='per_handler'\n\
             read_model=['public.t', {{table='public.u', where='n = 1'}}]\n\
             on_failure={{then='park', retries=3, retry_delay_ms=50, retry_max_delay_ms=9000, \
             park='message', transient_limit_s=60}}\n"
        );
        let config = Config::parse(&text).unwrap();
        let subscription = &config.subscriptions[0];
        assert_eq!(subscription.source, "account-1");
        assert_eq!(subscription.handlers, json!({"X": "f"}));
        let expected = json!({
            "init": "i", "batch_size": 5, "group_size": 2, "types": ["X"], "correlation": "c",
            "search_path": "app, public", "start_from": 7, "order": "per_handler",
            "read_model": ["public.t", {"table": "public.u", "where": "n = 1"}],
            "on_failure": "park", "retries": 3, "retry_delay": "50 ms",
            "retry_max_delay": "9000 ms", "park": "message", "transient_limit": "60 s",
        });
        assert_eq!(subscription.options, expected);
    }

    #[test]
    fn what_is_not_given_is_left_to_the_database() {
        let config = Config::parse(&format!("{ONE}all=true\n")).unwrap();
        assert_eq!(config.subscriptions[0].source, "$all");
        assert_eq!(config.subscriptions[0].options, json!({}));
    }

    #[test]
    fn exactly_one_source_is_read() {
        for sources in [
            "",
            "category='c'\nall=true\n",
            "category='c'\nstream='c-1'\n",
        ] {
            let problem = problem(&format!("{ONE}{sources}"));
            assert!(problem.contains("exactly one of category"), "{problem}");
        }
        assert!(problem(&format!("{ONE}category='c-1'\n")).contains("category \"c-1\""));
        assert!(problem(&format!("{ONE}stream='c'\n")).contains("stream \"c\""));
    }

    #[test]
    fn a_subscription_without_handlers_is_an_applications() {
        let text = "[[services]]\nsubscriber_id='a'\ncategory='c'\nhandlers={}\n";
        assert_eq!(
            Config::parse(text).unwrap().subscriptions[0].handlers,
            json!({})
        );
    }

    #[test]
    fn misspelt_keys_and_words_are_named() {
        for (line, named) in [
            ("batch_sizes = 1", "batch_sizes"),
            ("on_failure = {than = 'stop'}", "than"),
            ("on_failure = {then = 'halt'}", "halt"),
            ("on_failure = {retries = -1}", "-1"),
            ("order = 'loose'", "loose"),
            ("read_model = [{tabel = 't'}]", "read_model takes"),
            ("start_from = 1.5", "start_from takes"),
            ("group_size = 0", "group_size is 0"),
        ] {
            let problem = problem(&format!("{ONE}category='c'\n{line}\n"));
            assert!(problem.contains(named), "{line}: {problem}");
        }
    }
}
