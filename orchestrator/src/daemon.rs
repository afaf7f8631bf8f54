//! What `run` and `up` have in common: what is delivered, the web servers, and
//! their orderly end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    ask,
    config::{Config, Delivery as Pace},
    delivery::{CONTROL_CONNECTIONS, END_PATIENCE, Observers, report},
    error::{Error, Result},
    health::{self, Health},
    listeners::Listeners,
    metrics::{self, Metrics},
    stores::Stores,
    supervisor, web,
};
use dashboard::ALL_CONNECTIONS;
use message_store_client::{
    connection::Target,
    database::{Database, Powers},
    samples::{Sampler, Samples},
};
use web_server::{Limits, Server};

/// Connections of the web server, apart from the subscriptions' so that a
/// long tick does not keep a page waiting.
const WEB_CONNECTIONS: usize = 4;

/// How long open web connections may take to end: 3 s.
const WEB_PATIENCE: Duration = Duration::from_secs(3);

/// Delivers and serves until `shutdown`; then finishes the running ticks and
/// returns. Waits for the database as long as it takes, at boot too.
///
/// # Errors
/// [`Error::Config`] where a pool refuses its settings, or the role is a superuser that must not
/// tick. Failures later on are logged and tried again.
///
/// `operators`: the database as operators and the samples see it, where that is another role's.
pub async fn run(
    config: &Config,
    target: &Target,
    operators: Option<&Target>,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> Result<()> {
    #[cfg(feature = "opentelemetry")]
    crate::traces::check(config)?;
    let web_database = Database::open_for_pages(target, WEB_CONNECTIONS)?;
    let (progress, progressed) = watch::channel(0);
    let mut tasks = JoinSet::new();
    let health = Health::new(&config.subscriptions);
    let samples = Samples::default();
    let metrics = Metrics::new(&samples, &health);
    let mut servers = JoinSet::new();
    let pages = web::router(
        web_database,
        config,
        health.clone(),
        progressed,
        &shutdown,
        &mut tasks,
    );
    let pages = metrics::watch(pages, metrics.requests.clone());
    let [web_limits, dashboard_limits, metrics_limits] = limits(config);
    let told = health::router(health.clone());
    let server = Server::new("web server", listeners.web, web_limits, pages, told);
    servers.spawn(server.serve(shutdown.clone()));
    let is_watched = listeners.metrics.is_some();
    if let Some(listener) = listeners.metrics {
        let told = metrics::router(metrics.clone()).merge(health::router(health.clone()));
        let server = Server::new("metrics", listener, metrics_limits, told.clone(), told);
        servers.spawn(server.serve(shutdown.clone()));
    }
    let mut watching = match operators {
        Some(operators) if is_watched => Some(Database::open(operators, CONTROL_CONNECTIONS)?),
        _ => None,
    };
    if let Some(dashboard) = listeners.dashboard {
        let visitors = dashboard.visitors(operators.unwrap_or(target))?;
        // Who sees every subscription samples for all.
        watching = Some(visitors.sampler.clone());
        let pools = [visitors.operators.clone(), visitors.viewers.clone()];
        tasks.spawn(look_at_visitors(pools, config.delivery, shutdown.clone()));
        let requests = metrics.requests.clone();
        servers.spawn(dashboard.serve(
            dashboard_limits,
            visitors,
            samples.clone(),
            requests,
            shutdown.clone(),
        ));
    }
    let is_sampled = watching.is_some();
    if let Some(database) = watching {
        let sampler = Sampler {
            database,
            samples: samples.clone(),
            shutdown: shutdown.clone(),
        };
        tasks.spawn(sampler.run());
    }

    if config.subscriptions.is_empty() {
        info!("no [[aggregators]] and no [[services]]: delivering what the database has started");
    }
    supervisor::say_ready();
    let stores = Stores {
        config: Arc::new(config.clone()),
        target: target.clone(),
        observers: Observers {
            health,
            ticks: metrics.ticks,
            progress,
        },
        samples: (is_watched && !is_sampled).then_some(samples),
        shutdown: shutdown.clone(),
    };
    let mut delivering = tokio::spawn(stores.run());

    // A task ends before shutdown only by a bug; end all rather than limp on.
    let (delivered, ended_early) = tokio::select! {
        () = shutdown.cancelled() => (None, None),
        delivered = &mut delivering => (Some(delivered), None),
        Some(ended) = tasks.join_next() => (None, Some(ended)),
        Some(ended) = servers.join_next() => (None, Some(ended)),
    };
    // Near the end both can be true; then it is no bug.
    let ended_early = ended_early.filter(|_| !shutdown.is_cancelled());
    shutdown.cancel();
    supervisor::say_stopping();
    let all_delivered = async {
        match delivered {
            Some(delivered) => delivered,
            None => delivering.await,
        }
    };
    let end_tasks = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    let (delivered, _) = tokio::join!(all_delivered, timeout(END_PATIENCE, end_tasks));
    let all_ended = async { while servers.join_next().await.is_some() {} };
    // Those that are still open then end with us.
    let _ = timeout(WEB_PATIENCE, all_ended).await;
    if let Some(ended) = ended_early {
        report(ended);
        return Err(Error::ended_by_itself());
    }
    match delivered {
        Ok(delivered) => delivered?,
        Err(error) => {
            report(Err(error));
            return Err(Error::ended_by_itself());
        }
    }
    info!("stopped");
    Ok(())
}

/// The limits of the web server, the dashboard and the metrics, as the process can keep them.
fn limits(config: &Config) -> [Limits; 3] {
    let mut limits = [
        config.limits,
        config.dashboard.limits,
        Limits::of_metrics(config.limits.client_timeout),
    ];
    // The waiter has one of its own.
    let own = config.pool_size + CONTROL_CONNECTIONS + WEB_CONNECTIONS + ALL_CONNECTIONS + 1;
    web_server::fit(&mut limits, own);
    limits
}

/// Handlers run in the dashboard's sessions too, where somebody tries one or promotes a copy.
async fn look_at_visitors(pools: [Database; 2], pace: Pace, shutdown: CancellationToken) {
    let mut told = HashSet::new();
    for pool in &pools {
        let looked = ask::until_answered(|| pool.powers(), |_| true, &pace, &shutdown).await;
        for Powers { role, all, .. } in looked.into_iter().flatten().flatten() {
            if !all.is_empty() && told.insert(role.clone()) {
                warn!(
                    "the role {role} serves the dashboard and has {}: handlers run in its \
                     sessions too. Give [dashboard] url a role that has message_store_admin and \
                     nothing else.",
                    all.join(", ")
                );
            }
        }
    }
    shutdown.cancelled().await;
}
