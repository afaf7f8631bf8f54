//! What `run` and `up` have in common: boot, the scheduler, the waiter, the web
//! server, and their orderly end.

use std::{io::Write, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    boot::Boot,
    config::Config,
    connection::Target,
    database::Database,
    error::{Error, Result},
    retry::Retry,
    scheduler::Scheduler,
    waiter::Waiter,
    web,
};

/// Connections of the web server, apart from the subscriptions' so that a
/// long tick does not keep a page waiting.
const WEB_CONNECTIONS: usize = 4;

/// Connections that list, create and start subscriptions, apart from those of
/// the ticks for the same reason.
const CONTROL_CONNECTIONS: usize = 2;

/// How long open web connections may take to end: 3 s.
const WEB_PATIENCE: Duration = Duration::from_secs(3);

/// Binds the web server's address before anything is started, so that a clash
/// is known at once.
///
/// # Errors
/// [`Error::Io`] naming the address.
pub async fn bind(config: &Config) -> Result<TcpListener> {
    let wanted = config.listen;
    match TcpListener::bind(wanted).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && !config.listen_is_chosen => {
            warn!("{wanted} is taken; using another port (choose one with --listen)");
            let mut any_port = wanted;
            any_port.set_port(0);
            let action = format!("listen on {any_port}");
            TcpListener::bind(any_port).await.map_err(Error::io(action))
        }
        bound => bound.map_err(Error::io(format!(
            "listen on {wanted} for {WEB_PAGE}; choose another address with --listen"
        ))),
    }
}

/// What the web server is there for in this build.
const WEB_PAGE: &str = if cfg!(feature = "home-page") {
    "the home page"
} else {
    "health"
};

/// Says where the home page is (or health, in a build without the demo): one
/// line on standard output, for people and for programs that started us on any
/// free port.
///
/// # Errors
/// [`Error::Io`] where the system does not tell the address.
pub fn announce(listener: &TcpListener) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(Error::io("read the web server's address"))?;
    let announced = if cfg!(feature = "home-page") {
        format!("Home page: http://{address}/")
    } else {
        format!("Health: http://{address}/healthz")
    };
    // A closed standard output is no reason to end.
    let _ = writeln!(std::io::stdout(), "{announced}");
    Ok(())
}

/// Delivers and serves until `shutdown`; then finishes the running ticks and
/// returns. Waits for the database as long as it takes, at boot too.
///
/// # Errors
/// [`Error::Config`] where a pool refuses its settings. Failures later on are
/// logged and tried again.
pub async fn run(
    config: &Config,
    target: &Target,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<()> {
    let database = Database::open_for_ticks(target, config.pool_size)?;
    let control = Database::open(target, CONTROL_CONNECTIONS)?;
    let web_database = Database::open(target, WEB_CONNECTIONS)?;
    let (wake, woken) = watch::channel(0);
    let (progress, progressed) = watch::channel(0);
    let mut tasks = JoinSet::new();

    let router = web::router(web_database, config, progressed, &shutdown, &mut tasks);
    let mut server = tokio::spawn(web::serve(listener, router, shutdown.clone()));

    if config.subscriptions.is_empty() {
        info!("no [[aggregators]] and no [[services]]: delivering what the database has started");
    }
    wait_for_store(&control, config, &shutdown).await;
    let declared = Arc::new(Notify::new());
    let boot = Boot {
        control: control.clone(),
        pace: config.delivery,
        declared: declared.clone(),
        shutdown: shutdown.clone(),
    };
    tasks.spawn(boot.run(config.subscriptions.clone()));
    let scheduler = Scheduler {
        database: database.clone(),
        connections: config.pool_size,
        control,
        pace: config.delivery,
        wake: woken,
        declared,
        progress,
        shutdown: shutdown.clone(),
    };
    tasks.spawn(scheduler.run());
    let waiter = Waiter {
        database,
        pace: config.delivery,
        wake,
        shutdown: shutdown.clone(),
    };
    tasks.spawn(waiter.run());

    // A task ends before shutdown only by a bug; end all rather than limp on.
    let ended_early = tokio::select! {
        () = shutdown.cancelled() => None,
        Some(ended) = tasks.join_next() => Some(ended),
        ended = &mut server => Some(ended),
    };
    // Near the end both can be true; then it is no bug.
    let ended_early = ended_early.filter(|_| !shutdown.is_cancelled());
    shutdown.cancel();
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
    if !server.is_finished()
        && tokio::time::timeout(WEB_PATIENCE, &mut server)
            .await
            .is_err()
    {
        server.abort();
    }
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

/// Makes the store's tables as soon as the database answers. A role that may
/// not make them goes on: somebody else has, or the subscriptions will say.
async fn wait_for_store(database: &Database, config: &Config, shutdown: &CancellationToken) {
    let mut retry = Retry::new(&config.delivery);
    loop {
        let created = tokio::select! {
            created = database.create_store() => created,
            () = shutdown.cancelled() => return,
        };
        let Err(error) = created else { return };
        if !error.is_connection_loss() {
            if error.sql_state() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
                warn!("{error}");
            }
            return;
        }
        let pause = retry.next_pause();
        warn!(
            pause_ms = pause.as_millis() as u64,
            "waiting for the database: {error}"
        );
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

fn report(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended {
        error!("a task of the orchestrator failed: {error}");
    }
}
