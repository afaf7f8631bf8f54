//! What `run` and `up` have in common: boot, the scheduler, the waiter, the web
//! server, and their orderly end.

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    boot::Boot,
    config::{Config, Delivery},
    error::{Error, Result},
    health::{self, Health},
    horizons::Horizons,
    listeners::Listeners,
    metrics::{self, Metrics},
    retention::Retention,
    retry::Retry,
    scheduler::Scheduler,
    supervisor,
    ticking_role::TickingRole,
    waiter::Waiter,
    web,
};
use dashboard::ALL_CONNECTIONS;
use message_store_client::{
    Error as DatabaseError,
    connection::Target,
    database::{Database, Powers, Superusers},
    samples::{Sampler, Samples},
};
use web_server::{Limits, Server};

/// Connections of the web server, apart from the subscriptions' so that a
/// long tick does not keep a page waiting.
const WEB_CONNECTIONS: usize = 4;

/// Connections that list, create and start subscriptions, apart from those of
/// the ticks for the same reason.
const CONTROL_CONNECTIONS: usize = 2;

/// Connections that read which traces the handled messages belong to, where
/// somebody wants to know.
#[cfg(feature = "opentelemetry")]
const TRACE_CONNECTIONS: usize = 1;

/// How long open web connections may take to end: 3 s.
const WEB_PATIENCE: Duration = Duration::from_secs(3);

/// How long running ticks may take to end: 6 s.
const END_PATIENCE: Duration = Duration::from_secs(6);

/// How long the database may take to answer a question of the beginning.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

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
    let superusers = match config.allow_superuser {
        true => Superusers::Allowed,
        false => Superusers::Refused,
    };
    let database = Database::open_for_ticks(target, config.pool_size, superusers)?;
    let control = Database::open_for_control(target, CONTROL_CONNECTIONS, superusers)?;
    let web_database = Database::open_for_pages(target, WEB_CONNECTIONS)?;
    let (wake, woken) = watch::channel(0);
    let (progress, progressed) = watch::channel(0);
    let mut tasks = JoinSet::new();

    #[cfg(feature = "opentelemetry")]
    let traces = {
        let reader = Database::open(target, TRACE_CONNECTIONS)?;
        crate::traces::start(config, reader)?.map(|(traces, recorder)| {
            tasks.spawn(recorder.run());
            traces
        })
    };
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
        _ => is_watched.then(|| control.clone()),
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
    if let Some(database) = watching {
        let sampler = Sampler {
            database,
            samples,
            shutdown: shutdown.clone(),
        };
        tasks.spawn(sampler.run());
    }

    if config.subscriptions.is_empty() {
        info!("no [[aggregators]] and no [[services]]: delivering what the database has started");
    }
    supervisor::say_ready();
    let prepared = prepare(config, target, &control, superusers, &shutdown);
    let (role, waiting) = supervisor::alive_during(&health, prepared).await?;
    let declared = Arc::new(Notify::new());
    let boot = Boot {
        control: control.clone(),
        pace: config.delivery,
        declared: declared.clone(),
        shutdown: shutdown.clone(),
    };
    tasks.spawn(boot.run(config.subscriptions.clone()));
    let retention = Retention {
        database: control.clone(),
        shutdown: shutdown.clone(),
    };
    let horizons = Horizons {
        database: control.clone(),
        wake: woken.clone(),
        shutdown: shutdown.clone(),
    };
    let scheduler = Scheduler {
        database,
        connections: config.pool_size,
        control,
        pace: config.delivery,
        wake: woken,
        declared,
        progress,
        health: health.clone(),
        metrics: metrics.ticks,
        #[cfg(feature = "opentelemetry")]
        traces,
        shutdown: shutdown.clone(),
    };
    tasks.spawn(scheduler.run());
    let waiter = Waiter {
        database: waiting,
        pace: config.delivery,
        wake,
        health,
        role,
        shutdown: shutdown.clone(),
    };
    tasks.spawn(waiter.run());
    tasks.spawn(retention.run());
    tasks.spawn(horizons.run());

    // A task ends before shutdown only by a bug; end all rather than limp on.
    let ended_early = tokio::select! {
        () = shutdown.cancelled() => None,
        Some(ended) = tasks.join_next() => Some(ended),
        Some(ended) = servers.join_next() => Some(ended),
    };
    // Near the end both can be true; then it is no bug.
    let ended_early = ended_early.filter(|_| !shutdown.is_cancelled());
    shutdown.cancel();
    supervisor::say_stopping();
    let end_all = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(END_PATIENCE, end_all).await.is_err() {
        warn!(
            "ending without an answer from the database: what was running there commits as a whole, or \
             not at all"
        );
        tasks.abort_all();
    }
    let all_ended = async { while servers.join_next().await.is_some() {} };
    // Those that are still open then end with us.
    let _ = tokio::time::timeout(WEB_PATIENCE, all_ended).await;
    match ended_early {
        Some(ended) => {
            report(ended);
            Err(Error::Io {
                action: "go on: a part of the orchestrator ended by itself".to_owned(),
                cause: std::io::Error::other("see the log above"),
            })
        }
        None => {
            info!("stopped");
            Ok(())
        }
    }
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

/// Looks at the role and the way to wait, and makes the store; waits for the database as long as it
/// takes. Returns the role, and where to wait for messages.
///
/// # Errors
/// [`Error::Config`] where one of them cannot be used.
async fn prepare(
    config: &Config,
    target: &Target,
    control: &Database,
    superusers: Superusers,
    shutdown: &CancellationToken,
) -> Result<(TickingRole, Database)> {
    let role = look_at_role(control, &config.delivery, shutdown).await?;
    let wait_target = config.wait_database.target(None, "[database] wait_url")?;
    let waiting = wait_target.as_ref().unwrap_or(target);
    let waiting = Database::open_for_control(waiting, 1, superusers)?;
    // The role was just looked at in a session of this address.
    if wait_target.is_some() || !control.has_own_sessions() {
        try_to_wait(&waiting, &config.delivery, shutdown).await?;
    }
    make_store(control, &config.delivery, shutdown).await;
    Ok((role, waiting))
}

/// The role is looked at before anything of anybody's runs in its sessions.
///
/// # Errors
/// [`Error::Config`] where it is a superuser, unless the configuration allows one.
async fn look_at_role(
    database: &Database,
    pace: &Delivery,
    shutdown: &CancellationToken,
) -> Result<TickingRole> {
    let may_pass = |error: &DatabaseError| !matches!(error, DatabaseError::Config { .. });
    let mut role = TickingRole::default();
    if let Some(powers) = ask(|| database.powers(), may_pass, pace, shutdown).await {
        role.look(powers?);
    }
    Ok(role)
}

/// Nothing would come in time where the waiting connection cannot be had.
///
/// # Errors
/// [`Error::Config`] where its address leads to a pooler.
async fn try_to_wait(
    database: &Database,
    pace: &Delivery,
    shutdown: &CancellationToken,
) -> Result<()> {
    let may_pass = |error: &DatabaseError| !matches!(error, DatabaseError::Config { .. });
    match ask(|| database.session(), may_pass, pace, shutdown).await {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Makes the store's tables. A role that may not make them goes on: somebody else has, or the
/// subscriptions will say.
async fn make_store(database: &Database, pace: &Delivery, shutdown: &CancellationToken) {
    let made = ask(
        || database.create_store(),
        DatabaseError::is_connection_loss,
        pace,
        shutdown,
    );
    if let Some(Err(error)) = made.await
        && error.sql_state() != Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    {
        warn!("{error}");
    }
}

/// Handlers run in the dashboard's sessions too, where somebody tries one or promotes a copy.
async fn look_at_visitors(pools: [Database; 2], pace: Delivery, shutdown: CancellationToken) {
    let mut told = HashSet::new();
    for pool in &pools {
        let looked = ask(|| pool.powers(), |_| true, &pace, &shutdown).await;
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

/// Asks until there is an answer, or an error that may not pass; none at shutdown.
async fn ask<T, Answer: Future<Output = message_store_client::Result<T>>>(
    question: impl Fn() -> Answer,
    may_pass: impl Fn(&DatabaseError) -> bool,
    pace: &Delivery,
    shutdown: &CancellationToken,
) -> Option<message_store_client::Result<T>> {
    let mut retry = Retry::new(pace);
    loop {
        let answer = tokio::select! {
            answer = timeout(ANSWER_PATIENCE, question()) => answer.unwrap_or_else(|_| {
                Err(DatabaseError::no_answer("the database", ANSWER_PATIENCE))
            }),
            () = shutdown.cancelled() => return None,
        };
        let error = match answer {
            Err(error) if may_pass(&error) => error,
            settled => return Some(settled),
        };
        let pause = retry.next_pause();
        warn!(
            pause_ms = pause.as_millis() as u64,
            "waiting for the database: {error}"
        );
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return None,
        }
    }
}

fn report(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended {
        error!("a task of the orchestrator failed: {error}");
    }
}
