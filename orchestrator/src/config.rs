//! The configuration file: read once, checked once, then only used.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use serde::Deserialize;

use crate::error::{Error, Result};

mod file;

/// The address the home page has unless told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// The most messages one tick reads unless told otherwise.
pub const DEFAULT_BATCH_SIZE: i64 = 1000;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The libpq address of the database, where the file gives one.
    pub url: Option<String>,
    /// Connections the subscriptions share. Default 4.
    pub pool_size: usize,
    /// Where the web server listens. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// True where the file or a flag chose `listen`.
    pub listen_is_chosen: bool,
    /// The videos on the home page: id and title.
    pub videos: Vec<Video>,
    /// How often, and how patiently, the subscriptions try.
    pub delivery: Delivery,
    /// How logs are written, where the file says so.
    pub log_format: Option<LogFormat>,
    /// What is started at boot: the aggregators, then the services.
    pub subscriptions: Vec<Subscription>,
}

/// Pace of the delivery loops.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// How long one wait for messages may take. Default 20 s.
    pub wait_timeout: Duration,
    /// The first pause after a failure. Default 100 ms.
    pub retry_min: Duration,
    /// The longest pause after a failure. Default 5 s.
    pub retry_max: Duration,
}

/// One entry of `[[aggregators]]` or `[[services]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The name its position is kept under.
    pub subscriber_id: String,
    /// The category it reads.
    pub category: String,
    /// Message type, or `$any`, to the SQL function that handles it.
    pub handlers: BTreeMap<String, String>,
    /// The SQL function that prepares the read model, run at every start.
    pub init: Option<String>,
    /// The most messages one tick reads.
    pub batch_size: i64,
}

/// A video of the demo home page.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Its id in `POST /videos/<id>/viewings`.
    pub id: String,
    /// Its title on the page.
    pub title: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The configuration of `up`: the chapter's home page aggregator, no services.
    pub fn demo() -> Self {
        Self {
            url: None,
            pool_size: 4,
            listen: DEFAULT_LISTEN,
            listen_is_chosen: false,
            videos: demo_videos(),
            delivery: Delivery::default(),
            log_format: None,
            subscriptions: vec![Subscription {
                subscriber_id: "aggregators:home-page".to_owned(),
                category: "viewings".to_owned(),
                handlers: BTreeMap::from([(
                    "VideoViewed".to_owned(),
                    "message_store.increment_videos_watched".to_owned(),
                )]),
                init: Some("message_store.ensure_home_page".to_owned()),
                batch_size: DEFAULT_BATCH_SIZE,
            }],
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file, the line or key, and the repair.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |problem: String| Error::Config {
            origin: path.display().to_string(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        Self::parse(&text).map_err(fail)
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// What is wrong with it, and the repair.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let file: file::File = toml::from_str(text).map_err(|error| error.to_string())?;
        file.check()
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

impl Subscription {
    /// The `options` argument of `create_subscription`.
    pub fn options(&self) -> serde_json::Value {
        match &self.init {
            Some(init) => serde_json::json!({ "init": init }),
            None => serde_json::json!({}),
        }
    }
}

fn demo_videos() -> Vec<Video> {
    [
        ("streams", "Streams: one story, told in order"),
        ("projections", "Projecting data into useful shapes"),
        ("idempotence", "Say it twice, count it once"),
    ]
    .map(|(id, title)| Video {
        id: id.to_owned(),
        title: title.to_owned(),
    })
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../example.toml");

    #[test]
    fn the_example_is_the_demo() {
        let example = Config::parse(EXAMPLE).unwrap_or_else(|problem| panic!("{problem}"));
        let demo = Config::demo();
        assert_eq!(example.subscriptions, demo.subscriptions);
        assert_eq!(example.listen, demo.listen);
        assert_eq!(example.pool_size, demo.pool_size);
        assert_eq!(example.delivery.wait_timeout, demo.delivery.wait_timeout);
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
    fn a_stream_is_not_a_category() {
        let text = "[[services]]\nsubscriber_id='a'\ncategory='c-1'\nhandlers={X='f'}\n";
        assert!(problem(text).contains("category \"c-1\""));
    }

    #[test]
    fn a_subscription_without_handlers_is_refused() {
        let text = "[[services]]\nsubscriber_id='a'\ncategory='c'\nhandlers={}\n";
        assert!(problem(text).contains("handlers"));
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
