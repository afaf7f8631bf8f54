//! The file as typed, and the checks that turn it into a [`Config`].

use std::{collections::HashSet, net::SocketAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Config, DEFAULT_LISTEN, DatabaseAddress, Delivery, LogFormat, dashboard::DashboardTable,
    forwarder::ForwarderTable, limits, metrics::MetricsTable, problems::Problems,
    subscription::SubscriptionTable, telemetry::TelemetryTable,
};
#[cfg(feature = "home-page")]
use home_page::Video;
use web_server::Limits;

/// The most connections a configuration may ask for: a guard against a typing
/// error, not a limit anybody needs.
const MOST_CONNECTIONS: usize = 1000;

/// The configuration of `orchestrator run`. Every key has a default.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "orchestrator")]
pub(super) struct File {
    /// Which database, and how many connections the ticks share.
    database: DatabaseTable,
    /// The home page and the health checks.
    web: WebTable,
    /// The operators' pages, and who may see and use them.
    dashboard: DashboardTable,
    /// How long to wait for messages, and how long before trying again.
    delivery: DeliveryTable,
    /// How log lines look.
    log: LogTable,
    /// Where Prometheus finds the numbers.
    metrics: MetricsTable,
    /// Where a span for each tick is sent, in builds with the feature opentelemetry.
    telemetry: TelemetryTable,
    /// Subscriptions that fill read models, created and started at boot.
    aggregators: Vec<SubscriptionTable>,
    /// Subscriptions whose handlers write messages, created and started at boot.
    services: Vec<SubscriptionTable>,
    /// Outboxes: what handlers write for streams of other entities, which may live on other shards.
    forwarders: Vec<ForwarderTable>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct DatabaseTable {
    /// The libpq address of the database. DATABASE_URL and --url override it.
    url: Option<String>,
    /// A file that holds the address, such as a mounted secret. It is given instead of `url`.
    url_file: Option<PathBuf>,
    /// The address of the connection that waits for messages, where `url` leads to a pooler.
    wait_url: Option<String>,
    /// A file that holds it, instead of `wait_url`.
    wait_url_file: Option<PathBuf>,
    /// A file that holds the password, such as a mounted secret. PGPASSWORD overrides it.
    password_file: Option<PathBuf>,
    /// Connections that the ticks share, and so the most ticks at a time. Default 4.
    #[schemars(range(min = 1, max = 1000))]
    pool_size: Option<usize>,
    /// Whether a superuser may tick. The ticking role needs message_store only. Default false.
    allow_superuser: bool,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct WebTable {
    /// Address and port of the home page. Default 127.0.0.1:8080.
    #[schemars(with = "Option<String>")]
    listen: Option<SocketAddr>,
    /// The most connections at a time. Default 512.
    #[schemars(range(min = 1, max = 100_000))]
    connections: Option<usize>,
    /// The most connections of one client address. A proxy is one client. Default 128.
    #[schemars(range(min = 1, max = 100_000))]
    connections_per_client: Option<usize>,
    /// How long a client of any listener may take to send a request, stay silent between two
    /// requests, or read nothing of a response. Default 20000.
    #[schemars(range(min = 1, max = 3_600_000))]
    client_timeout_ms: Option<u64>,
    /// The videos on the home page. Default: three of the demo's.
    #[cfg(feature = "home-page")]
    videos: Option<Vec<Video>>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct DeliveryTable {
    /// How long the server may let the waiting connection sleep. Default 20000.
    #[schemars(range(min = 1, max = 86_400_000))]
    wait_timeout_ms: Option<u64>,
    /// The first pause after a failure. Pauses double. Default 100.
    #[schemars(range(min = 1, max = 86_400_000))]
    retry_min_ms: Option<u64>,
    /// The longest pause after a failure. Default 5000.
    #[schemars(range(min = 1, max = 86_400_000))]
    retry_max_ms: Option<u64>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct LogTable {
    /// For people or for programs. Default human.
    format: Option<LogFormat>,
}

pub(super) type Checked<T> = Result<T, String>;

impl File {
    pub(super) fn check(self) -> Checked<Config> {
        let mut names = HashSet::new();
        let mut subscriptions = Vec::new();
        let mut problems = Problems::default();
        let handled = self.aggregators.into_iter().chain(self.services);
        let handled = handled.map(SubscriptionTable::check);
        let mut forwarders = Vec::new();
        let forwarded = self.forwarders.into_iter().map(|table| {
            let checked = table.check();
            forwarders.extend(checked.iter().map(|one| one.subscriber_id.clone()));
            checked
        });
        for checked in handled.chain(forwarded) {
            let Some(subscription) = problems.note(checked) else {
                continue;
            };
            if !names.insert(subscription.subscriber_id.clone()) {
                problems.add(format!(
                    "subscriber_id {:?} is used twice; each position needs a name of its own",
                    subscription.subscriber_id
                ));
            }
            subscriptions.push(subscription);
        }
        let pool_size = self.database.pool_size.unwrap_or(4);
        if !(1..=MOST_CONNECTIONS).contains(&pool_size) {
            problems.add(format!(
                "[database] pool_size is {pool_size}; it must be 1 to {MOST_CONNECTIONS}"
            ));
        }
        let allow_superuser = self.database.allow_superuser;
        let wait_database = problems.note(self.database.check_wait());
        let database = problems.note(self.database.check());
        let dashboard = problems.note(self.dashboard.check());
        let limits = problems.note(self.web.limits());
        let delivery = problems.note(self.delivery.check());
        let telemetry = problems.note(self.telemetry.check());
        let (
            Some(database),
            Some(wait_database),
            Some(mut dashboard),
            Some(limits),
            Some(delivery),
            Some(telemetry),
            true,
        ) = (
            database,
            wait_database,
            dashboard,
            limits,
            delivery,
            telemetry,
            problems.is_empty(),
        )
        else {
            return Err(problems.told());
        };
        dashboard.limits.client_timeout = limits.client_timeout;
        Ok(Config {
            database,
            wait_database,
            pool_size,
            allow_superuser,
            listen: self.web.listen.unwrap_or(DEFAULT_LISTEN),
            listen_is_chosen: self.web.listen.is_some(),
            limits,
            #[cfg(feature = "home-page")]
            videos: self.web.videos.unwrap_or_else(Video::of_the_demo),
            dashboard,
            delivery,
            log_format: self.log.format,
            metrics: self.metrics.check(),
            telemetry,
            subscriptions,
            forwarders,
        })
    }
}

impl WebTable {
    fn limits(&self) -> Checked<Limits> {
        let (connections, of_client) = (self.connections, self.connections_per_client);
        Ok(Limits {
            client_timeout: limits::check_timeout(self.client_timeout_ms)?,
            ..limits::check("web", connections, of_client)?
        })
    }
}

impl DatabaseTable {
    /// The address of the connection that waits.
    fn check_wait(&self) -> Checked<DatabaseAddress> {
        if self.wait_url.is_some() && self.wait_url_file.is_some() {
            return Err(
                "[database] has both wait_url and wait_url_file; leave one of them out".to_owned(),
            );
        }
        Ok(DatabaseAddress {
            url: self.wait_url.clone(),
            url_file: self.wait_url_file.clone(),
            password_file: self.password_file.clone(),
        })
    }

    fn check(self) -> Checked<DatabaseAddress> {
        if self.url.is_some() && self.url_file.is_some() {
            return Err("[database] has both url and url_file; leave one of them out".to_owned());
        }
        Ok(DatabaseAddress {
            url: self.url,
            url_file: self.url_file,
            password_file: self.password_file,
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
