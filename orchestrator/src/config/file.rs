//! The file as typed, and the checks that turn it into a [`Config`].

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::{
    Config, DEFAULT_LISTEN, Delivery, LogFormat, metrics::MetricsTable,
    subscription::SubscriptionTable,
};
#[cfg(feature = "home-page")]
use super::{Video, video};

/// The most connections a configuration may ask for: a guard against a typing
/// error, not a limit anybody needs.
const MOST_CONNECTIONS: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(super) struct File {
    database: DatabaseTable,
    web: WebTable,
    delivery: DeliveryTable,
    log: LogTable,
    metrics: MetricsTable,
    aggregators: Vec<SubscriptionTable>,
    services: Vec<SubscriptionTable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct DatabaseTable {
    url: Option<String>,
    pool_size: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct WebTable {
    listen: Option<SocketAddr>,
    #[cfg(feature = "home-page")]
    videos: Option<Vec<Video>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct DeliveryTable {
    wait_timeout_ms: Option<u64>,
    retry_min_ms: Option<u64>,
    retry_max_ms: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LogTable {
    format: Option<LogFormat>,
}

type Checked<T> = Result<T, String>;

impl File {
    pub(super) fn check(self) -> Checked<Config> {
        let mut names = HashSet::new();
        let mut subscriptions = Vec::new();
        for table in self.aggregators.into_iter().chain(self.services) {
            let subscription = table.check()?;
            if !names.insert(subscription.subscriber_id.clone()) {
                return Err(format!(
                    "subscriber_id {:?} is used twice; each position needs a name of its own",
                    subscription.subscriber_id
                ));
            }
            subscriptions.push(subscription);
        }
        let pool_size = self.database.pool_size.unwrap_or(4);
        if !(1..=MOST_CONNECTIONS).contains(&pool_size) {
            return Err(format!(
                "[database] pool_size is {pool_size}; it must be 1 to {MOST_CONNECTIONS}"
            ));
        }
        Ok(Config {
            url: self.database.url,
            pool_size,
            listen: self.web.listen.unwrap_or(DEFAULT_LISTEN),
            listen_is_chosen: self.web.listen.is_some(),
            #[cfg(feature = "home-page")]
            videos: self.web.videos.unwrap_or_else(video::demo),
            delivery: self.delivery.check()?,
            log_format: self.log.format,
            metrics: self.metrics.check(),
            subscriptions,
        })
    }
}

impl DeliveryTable {
    fn check(self) -> Checked<Delivery> {
        let default = Delivery::default();
        let time = |name: &str, given: Option<u64>, default: Duration| match given {
            Some(0) => Err(format!("[delivery] {name} is 0; it must be at least 1 ms")),
            Some(ms) if ms > 86_400_000 => Err(format!(
                "[delivery] {name} is {ms}; it must be at most a day"
            )),
            Some(ms) => Ok(Duration::from_millis(ms)),
            None => Ok(default),
        };
        let delivery = Delivery {
            wait_timeout: time(
                "wait_timeout_ms",
                self.wait_timeout_ms,
                default.wait_timeout,
            )?,
            retry_min: time("retry_min_ms", self.retry_min_ms, default.retry_min)?,
            retry_max: time("retry_max_ms", self.retry_max_ms, default.retry_max)?,
        };
        if delivery.retry_min > delivery.retry_max {
            return Err("[delivery] retry_min_ms is above retry_max_ms".to_owned());
        }
        Ok(delivery)
    }
}
