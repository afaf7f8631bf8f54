//! The configuration file: read once, checked once, then only used.

use std::{net::SocketAddr, path::Path, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use web_server::Limits;

mod address;
mod dashboard;
mod file;
mod forwarder;
mod limits;
mod metrics;
mod mistake;
mod on_failure;
mod overrides;
mod problems;
mod subscription;
mod telemetry;

pub use address::DatabaseAddress;
pub use dashboard::Dashboard;
#[cfg(feature = "home-page")]
use home_page::Video;
pub use metrics::Metrics;
pub use overrides::Override;
pub use subscription::Subscription;
pub use telemetry::Telemetry;

/// The address the home page has unless told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// The file that explains every key is also the demo.
const EXAMPLE: &str = include_str!("../example.toml");

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the file says how to find the database.
    pub database: DatabaseAddress,
    /// Where the connection that waits finds it, where that is another address.
    pub wait_database: DatabaseAddress,
    /// Connections the subscriptions share. Default 4.
    pub pool_size: usize,
    /// Whether a superuser may tick. Default false.
    pub allow_superuser: bool,
    /// Where the web server listens. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// True where the file or a flag chose `listen`.
    pub listen_is_chosen: bool,
    /// How many may be connected to it, and how long a client may take.
    pub limits: Limits,
    /// The videos on the home page: id and title.
    #[cfg(feature = "home-page")]
    pub videos: Vec<Video>,
    /// The operators' pages.
    pub dashboard: Dashboard,
    /// How often, and how patiently, the subscriptions try.
    pub delivery: Delivery,
    /// How logs are written, where the file says so.
    pub log_format: Option<LogFormat>,
    /// Where metrics are served, where anybody asked for them.
    pub metrics: Option<Metrics>,
    /// Where a span for each tick is sent.
    pub telemetry: Telemetry,
    /// What is started at boot: the aggregators, the services, the forwarders.
    pub subscriptions: Vec<Subscription>,
    /// The subscriber ids of the forwarders.
    pub forwarders: Vec<String>,
}

/// Pace of the delivery loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How long one wait for messages may take. Default 20 s.
    pub wait_timeout: Duration,
    /// The first pause after a failure. Default 100 ms.
    pub retry_min: Duration,
    /// The longest pause after a failure. Default 5 s.
    pub retry_max: Duration,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads and checks a file, with what the environment and `--set` put above it.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file, the line or key, and the repair.
    pub fn read(path: &Path, flags: &[Override]) -> Result<Self> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Error::Config {
            origin: origin.clone(),
            problem: format!(
                "{error}; name a file that can be read: orchestrator/example.toml is one to begin with"
            ),
        })?;
        Self::with_overrides(&origin, &text, flags)
    }

    /// The same for the demo, where no file is named.
    ///
    /// # Errors
    /// [`Error::Config`] naming the variable or flag, and the repair.
    pub fn demo_with(flags: &[Override]) -> Result<Self> {
        let mut demo = Self::with_overrides("of the demo", EXAMPLE, flags)?;
        let above = Self::above_the_file(flags)?;
        let is_chosen = |table| above.iter().any(|one| one.is_of(table, "listen"));
        demo.listen_is_chosen = is_chosen("web");
        demo.dashboard.listen_is_chosen = is_chosen("dashboard");
        Ok(demo)
    }

    /// The environment's, and above them the flags'.
    fn above_the_file(flags: &[Override]) -> Result<Vec<Override>> {
        let mut above = overrides::of_environment().map_err(|problem| Error::Config {
            origin: "of the environment".to_owned(),
            problem,
        })?;
        above.extend_from_slice(flags);
        Ok(above)
    }

    fn with_overrides(origin: &str, text: &str, flags: &[Override]) -> Result<Self> {
        let problem_of = |origin: &str, problem: String| Error::Config {
            origin: origin.to_owned(),
            problem,
        };
        let written = Self::parse(text).map_err(|problem| problem_of(origin, problem))?;
        let above = Self::above_the_file(flags)?;
        if above.is_empty() {
            return Ok(written);
        }
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| problem_of(origin, mistake::told(error)))?;
        // One by one, so that a mistake is known by the name it came under: the last one with which
        // it began, since what belongs together may only be right when all of it is there.
        let mut result = Ok(written);
        for one in above {
            let checked = one
                .put_into(&mut table)
                .and_then(|()| file::File::deserialize(table.clone()).map_err(mistake::told))
                .and_then(file::File::check);
            result = match (checked, result) {
                (Ok(overridden), _) => Ok(overridden),
                (Err(problem), Ok(_)) => Err(problem_of(one.origin(), problem)),
                (Err(_), Err(before)) => Err(before),
            };
        }
        result
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// What is wrong with it, and the repair.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let file: file::File = toml::from_str(text).map_err(mistake::told)?;
        file.check()
    }

    /// The JSON Schema of the file, for editors.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(file::File).to_value()
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            wait_timeout: Duration::from_secs(20),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_gives_every_key_its_default() {
        let demo = Config::demo_with(&[]).unwrap();
        let defaults = Config::parse("").unwrap();
        assert!(!demo.subscriptions.is_empty());
        assert_eq!(demo.listen, defaults.listen);
        assert_eq!(demo.listen_is_chosen, defaults.listen_is_chosen);
        assert_eq!(demo.pool_size, defaults.pool_size);
        assert_eq!(demo.delivery, defaults.delivery);
    }

    #[cfg(feature = "home-page")]
    #[test]
    fn the_schema_beside_the_example_is_the_one_of_this_program() {
        let schema = serde_json::to_string_pretty(&Config::schema()).unwrap();
        let kept = include_str!("../orchestrator.schema.json");
        assert!(
            kept.trim_end() == schema,
            "orchestrator config schema > orchestrator/orchestrator.schema.json"
        );
    }

    #[test]
    fn every_key_is_in_the_docs_and_in_the_example() {
        let docs = include_str!("../../docs/configuration.md");
        let schema = Config::schema();
        let properties = |schema: &serde_json::Value| -> Vec<(String, serde_json::Value)> {
            let keys = schema["properties"].as_object().into_iter().flatten();
            keys.map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let (mut in_docs, mut in_example) = (Vec::new(), Vec::new());
        for (table, of) in properties(&schema) {
            let Some(name) = of["$ref"].as_str().and_then(|name| name.rsplit('/').next()) else {
                continue;
            };
            for (key, _) in properties(&schema["$defs"][name]) {
                in_docs.push(format!("`{table}.{key}`"));
                in_example.push(format!("{key} = "));
            }
        }
        for key in ["SubscriptionTable", "OnFailure"] {
            for (key, _) in properties(&schema["$defs"][key]) {
                if key != "on_failure" {
                    in_example.push(format!("{key} = "));
                }
            }
        }
        assert!(in_docs.len() > 9, "{in_docs:?}");
        in_docs.retain(|key| !docs.contains(key.as_str()));
        assert_eq!(in_docs, [""; 0], "docs/configuration.md lacks keys");
        in_example.retain(|key| !EXAMPLE.contains(key.as_str()));
        assert_eq!(in_example, [""; 0], "example.toml lacks keys");
    }

    #[test]
    fn the_file_of_the_package_is_one_that_only_lacks_its_database() {
        let packaged = include_str!("../../debian/orchestrator.toml");
        let config = Config::parse(packaged).unwrap();
        assert!(config.database.target(None, "").unwrap().is_none());
        let every_key = packaged.replace("# ", "");
        let keys: Vec<_> = every_key
            .lines()
            .filter(|line| line.contains(" = "))
            .collect();
        assert!(keys.len() > 5, "{keys:?}");
        for key in keys {
            let table = packaged
                .find(key)
                .and_then(|at| packaged[..at].rfind("\n["));
            let table = table.and_then(|at| packaged[at..].lines().nth(1)).unwrap();
            let alone = Config::parse(&format!("{table}\n{key}"));
            let problem = alone.err().unwrap_or_default();
            assert!(!problem.contains("unknown"), "{table} {key}: {problem}");
        }
    }

    fn problem(text: &str) -> String {
        Config::parse(text).err().unwrap_or_default()
    }

    #[test]
    fn a_misspelt_key_is_refused_by_name() {
        assert!(problem("[database]\nurll = 'x'").contains("urll"));
        assert!(problem("[[aggregator]]\n").contains("aggregator"));
    }

    #[test]
    fn two_subscribers_of_one_name_are_refused() {
        let one = "[[aggregators]]\nsubscriber_id='a'\ncategory='c'\nhandlers={X='f'}\n";
        let text = format!("{one}{}", one.replace("aggregators", "services"));
        assert!(
            problem(&text).contains("subscriber_id \"a\" is used twice"),
            "{}",
            problem(&text)
        );
    }

    #[test]
    fn sizes_and_times_of_nothing_are_refused() {
        assert!(problem("[database]\npool_size = 0").contains("pool_size"));
        assert!(problem("[delivery]\nwait_timeout_ms = 0").contains("wait_timeout_ms"));
        let text = "[[services]]\nsubscriber_id='a'\ncategory='c'\nhandlers={X='f'}\nbatch_size=0";
        assert!(problem(text).contains("batch_size"));
    }

    #[test]
    fn an_empty_file_has_defaults_and_no_subscriptions() {
        let config = Config::parse("").unwrap_or_else(|problem| panic!("{problem}"));
        assert!(config.subscriptions.is_empty());
        assert_eq!(config.listen, DEFAULT_LISTEN);
        assert!(!config.listen_is_chosen);
    }
}
