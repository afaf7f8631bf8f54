//! The configuration file: read once, checked once, then only used.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde::Deserialize;

use crate::error::{Error, Result};

mod file;
mod metrics;
mod on_failure;
mod subscription;
#[cfg(feature = "home-page")]
mod video;

pub use metrics::Metrics;
pub use subscription::Subscription;
#[cfg(feature = "home-page")]
pub use video::Video;

/// The address the home page has unless told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// The file that explains every key is also the demo.
const EXAMPLE: &str = include_str!("../example.toml");

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
    #[cfg(feature = "home-page")]
    pub videos: Vec<Video>,
    /// How often, and how patiently, the subscriptions try.
    pub delivery: Delivery,
    /// How logs are written, where the file says so.
    pub log_format: Option<LogFormat>,
    /// Where metrics are served, where anybody asked for them.
    pub metrics: Option<Metrics>,
    /// What is started at boot: the aggregators, then the services.
    pub subscriptions: Vec<Subscription>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The configuration of `up`: the chapter's system.
    ///
    /// # Errors
    /// [`Error::Config`]; a test keeps it from happening.
    pub fn demo() -> Result<Self> {
        let mut demo = Self::parse(EXAMPLE).map_err(|problem| Error::Config {
            origin: "of the demo".to_owned(),
            problem,
        })?;
        demo.listen_is_chosen = false;
        Ok(demo)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_gives_every_key_its_default() {
        let demo = Config::demo().unwrap();
        let defaults = Config::parse("").unwrap();
        assert!(!demo.subscriptions.is_empty());
        assert_eq!(demo.listen, defaults.listen);
        assert_eq!(demo.listen_is_chosen, defaults.listen_is_chosen);
        assert_eq!(demo.pool_size, defaults.pool_size);
        assert_eq!(demo.delivery, defaults.delivery);
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
