//! `orchestrator up`: everything on this machine.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use nix::sys::signal::Signal;
use private_cluster::{Cluster, Postmaster, StopMode};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::ADDRESS_FILE;
use crate::{
    cli::UpArgs,
    config::{Config, LogFormat},
    daemon,
    error::{Error, Result},
    listeners::Listeners,
    logging, shutdown,
};
use message_store_client::{connection::Target, database::Session};

mod roles;

/// The database made in the private cluster.
const DATABASE: &str = "message_store";

/// How often the private server is looked after: every 2 s.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

pub(super) async fn up(args: UpArgs) -> Result<()> {
    let mut config = match &args.config {
        Some(file) => Config::read(file, &args.set)?,
        None => Config::demo_with(&args.set)?,
    };
    if let Some(listen) = args.listen {
        config.listen = listen;
        config.listen_is_chosen = true;
    }
    config.dashboard.enabled |= args.dashboard;
    logging::start(
        args.log
            .log_format
            .or(config.log_format)
            .unwrap_or(LogFormat::Human),
    );

    // Known once the cluster is: a second signal must not leave it running.
    let pgdata: Arc<OnceLock<PathBuf>> = Arc::default();
    let known = pgdata.clone();
    let token = shutdown::on_signals(move || {
        if let Some(left) = known.get().and_then(|pgdata| Postmaster::find(pgdata)) {
            left.signal(Signal::SIGQUIT);
        }
    })?;

    let _lock = lock(&args.data_dir)?;
    let listeners = Listeners::bind(&config).await?;
    let start = Cluster::builder()
        .data_dir(&args.data_dir)
        .pg_config(args.pg_config)
        .start();
    let cluster = tokio::select! {
        cluster = start => cluster?,
        () = token.cancelled() => return Ok(()),
    };
    // Set once, here.
    let _ = pgdata.set(cluster.pgdata().to_owned());

    let served = serve(&args.data_dir, &cluster, &config, listeners, token).await;
    let stopped = cluster.stop(StopMode::Fast).await;
    // Left behind it would only send a client to a server that is not there.
    let _ = fs::remove_file(args.data_dir.join(ADDRESS_FILE));
    served.and(stopped.map_err(Error::from))
}

async fn serve(
    data_dir: &Path,
    cluster: &Cluster,
    config: &Config,
    listeners: Listeners,
    token: CancellationToken,
) -> Result<()> {
    let Roles { ticking, operators } = prepare(cluster, config).await?;
    let address_file = data_dir.join(ADDRESS_FILE);
    fs::write(&address_file, format!("{}\n", cluster.url(DATABASE)))
        .map_err(Error::io(format!("write {}", address_file.display())))?;
    info!("psql \"{}\"", cluster.url(DATABASE));
    listeners.announce()?;
    tokio::select! {
        ended = daemon::run(config, &ticking, Some(&operators), listeners, token.clone()) => ended,
        never = keep_running(cluster, &token) => never,
    }
}

/// The database as the roles of `up` reach it. The superuser makes the store and ticks nothing.
struct Roles {
    ticking: Target,
    operators: Target,
}

async fn prepare(cluster: &Cluster, config: &Config) -> Result<Roles> {
    let server = Target::plain(cluster.connection_config())?;
    Session::connect(&server)
        .await?
        .ensure_database(DATABASE)
        .await?;
    let mut connection = cluster.connection_config();
    connection.dbname(DATABASE);
    let session = Session::connect(&Target::plain(connection.clone())?).await?;
    session.ensure_store().await?;
    #[cfg(feature = "home-page")]
    if config
        .subscriptions
        .iter()
        .any(|one| home_page::brings(&one.handlers))
    {
        session
            .run("install the home page's SQL", home_page::SQL)
            .await?;
    }
    #[cfg(not(feature = "home-page"))]
    let _ = config;
    roles::ensure(&session).await?;
    let as_role = |role: &str| Target::plain(connection.clone().user(role).to_owned());
    Ok(Roles {
        ticking: as_role(roles::TICKING)?,
        operators: as_role(roles::OPERATING)?,
    })
}

/// Starts the private server again when it died; the loops reconnect by
/// themselves. Looks twice, so that a restart by somebody else is left alone.
async fn keep_running(cluster: &Cluster, token: &CancellationToken) -> Result<()> {
    let mut was_missing = false;
    loop {
        sleep(WATCH_INTERVAL).await;
        let is_missing = cluster.postmaster().is_none();
        if is_missing && was_missing && !token.is_cancelled() {
            warn!("the private PostgreSQL is gone; starting it again");
            if let Err(failure) = cluster.start().await {
                error!("{failure}");
            }
        }
        was_missing = is_missing;
    }
}

/// One `up` per data directory. The lock goes with the process, however it
/// ends; the process id in the file is for the message only.
fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("up.lock");
    let action = || format!("lock {}", path.display());
    fs::create_dir_all(data_dir).map_err(Error::io(format!(
        "make the folder {} (--data-dir chooses another)",
        data_dir.display()
    )))?;
    // The folder keeps itself out of a repository, whatever the name it has.
    let ignore = data_dir.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(Error::io(format!("write {}", ignore.display())))?;
    }
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::io(action()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only makes the message better.
            let _ = file.read_to_string(&mut pid);
            return Err(Error::Cluster {
                problem: format!(
                    "another `orchestrator up` (process {}) runs in {}; stop it, or choose \
                     another --data-dir",
                    pid.trim(),
                    data_dir.display()
                ),
            });
        }
        Err(TryLockError::Error(cause)) => return Err(Error::io(action())(cause)),
    }
    file.set_len(0).map_err(Error::io(action()))?;
    writeln!(file, "{}", std::process::id()).map_err(Error::io(action()))?;
    Ok(file)
}
