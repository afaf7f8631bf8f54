//! Everything that keeps the subscriptions of one store going: boot, the scheduler, the waiter, what is
//! done for readers on standbys and for retention, and the orderly end.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, error, info_span, warn};

use crate::{
    ask,
    boot::Boot,
    config::Config,
    error::{Error, Result},
    forwarder::Forwarder,
    health::Health,
    horizons::Horizons,
    metrics,
    retention::Retention,
    scheduler::Scheduler,
    supervisor,
    ticking_role::TickingRole,
    waiter::Waiter,
};
use message_store_client::{
    Error as DatabaseError, Shards,
    connection::Target,
    database::{Database, Superusers},
};

/// Connections that list, create and start subscriptions, apart from those of
/// the ticks so that a long tick does not keep them waiting.
pub const CONTROL_CONNECTIONS: usize = 2;

/// Connections that read which traces the handled messages belong to, where
/// somebody wants to know.
#[cfg(feature = "opentelemetry")]
const TRACE_CONNECTIONS: usize = 1;

/// How long running ticks, and whoever looks at the database, may take to end: 6 s.
pub const END_PATIENCE: Duration = Duration::from_secs(6);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who is told what is delivered. Cheap to clone; all clones tell the same.
#[derive(Clone)]
pub struct Observers {
    /// Told what is missing.
    pub health: Health,
    /// Counts the ticks.
    pub ticks: metrics::Ticks,
    /// Told after every tick that may have changed a read model.
    pub progress: watch::Sender<u64>,
}

/// Where to deliver.
pub struct Place {
    /// The store.
    pub target: Target,
    /// Its number, where it is one of the shards behind a router.
    pub shard: Option<usize>,
    /// Where streams live.
    pub shards: Shards,
}

/// What delivers in a store.
pub struct Delivery {
    config: Arc<Config>,
    place: Place,
    control: Database,
    ticking: Database,
    observers: Observers,
}

impl Delivery {
    /// Prepares its connections, and makes none.
    ///
    /// # Errors
    /// [`Error::Database`] where a pool refuses its settings.
    pub fn open(config: &Arc<Config>, place: Place, observers: &Observers) -> Result<Self> {
        let (target, superusers) = (&place.target, superusers(config));
        Ok(Self {
            control: Database::open_for_control(target, CONTROL_CONNECTIONS, superusers)?,
            ticking: Database::open_for_ticks(target, config.pool_size, superusers)?,
            config: config.clone(),
            place,
            observers: observers.clone(),
        })
    }

    /// The connections that list, create and start subscriptions.
    pub fn control(&self) -> &Database {
        &self.control
    }

    /// Delivers until `shutdown`; then finishes the running ticks and returns. Waits for the database as
    /// long as it takes.
    ///
    /// # Errors
    /// [`Error::Config`] where the role is a superuser that must not tick, or the address to wait at
    /// leads to a pooler; [`Error::Io`] where a part ends by itself.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let span = self
            .place
            .shard
            .map_or_else(Span::none, |shard| info_span!("shard", number = shard));
        let (health, shard) = (self.observers.health.clone(), self.place.shard);
        let delivered = self.deliver(shutdown).instrument(span).await;
        health.leave(shard);
        delivered
    }

    async fn deliver(self, shutdown: CancellationToken) -> Result<()> {
        let mut tasks = JoinSet::new();
        let mut spawn = |task: Task| {
            tasks.spawn(task.in_current_span());
        };
        #[cfg(feature = "opentelemetry")]
        let traces = {
            let reader = Database::open(&self.place.target, TRACE_CONNECTIONS)?;
            crate::traces::start(&self.config, reader)?.map(|(traces, recorder)| {
                spawn(Box::pin(recorder.run()));
                traces
            })
        };
        let health = self.observers.health.join(self.place.shard);
        let (role, waiting) = supervisor::alive_during(&health, self.prepare(&shutdown)).await?;
        let (wake, woken) = watch::channel(0);
        let declared = Arc::new(Notify::new());
        let boot = Boot {
            control: self.control.clone(),
            pace: self.config.delivery,
            declared: declared.clone(),
            shutdown: shutdown.clone(),
        };
        let retention = Retention {
            database: self.control.clone(),
            shutdown: shutdown.clone(),
        };
        let horizons = Horizons {
            database: self.control.clone(),
            wake: woken.clone(),
            shutdown: shutdown.clone(),
        };
        let scheduler = Scheduler {
            database: self.ticking,
            connections: self.config.pool_size,
            control: self.control,
            pace: self.config.delivery,
            wake: woken,
            declared,
            progress: self.observers.progress,
            health: health.clone(),
            metrics: self.observers.ticks.of_shard(self.place.shard),
            #[cfg(feature = "opentelemetry")]
            traces,
            shutdown: shutdown.clone(),
        };
        let waiter = Waiter {
            database: waiting,
            pace: self.config.delivery,
            wake,
            health,
            role,
            shutdown: shutdown.clone(),
        };
        spawn(Box::pin(boot.run(self.config.subscriptions.clone())));
        spawn(Box::pin(scheduler.run()));
        spawn(Box::pin(waiter.run()));
        spawn(Box::pin(retention.run()));
        spawn(Box::pin(horizons.run()));
        for subscriber_id in &self.config.forwarders {
            let superusers = superusers(&self.config);
            let forwarder = Forwarder {
                database: Database::open_for_control(&self.place.target, 1, superusers)?,
                subscriber_id: subscriber_id.clone(),
                shards: self.place.shards.clone(),
                shutdown: shutdown.clone(),
            };
            spawn(Box::pin(forwarder.run()));
        }
        end(tasks, &shutdown).await
    }

    /// Looks at the role and the way to wait, and makes the store; waits for the database as long as it
    /// takes. Returns the role, and where to wait for messages.
    ///
    /// # Errors
    /// [`Error::Config`] where one of them cannot be used.
    async fn prepare(&self, shutdown: &CancellationToken) -> Result<(TickingRole, Database)> {
        let role = self.look_at_role(shutdown).await?;
        let wait_target = &self.config.wait_database;
        let wait_target = wait_target.target(None, "[database] wait_url")?;
        let waiting = wait_target.as_ref().unwrap_or(&self.place.target);
        let waiting = Database::open_for_control(waiting, 1, superusers(&self.config))?;
        // The role was just looked at in a session of this address.
        if wait_target.is_some() || !self.control.has_own_sessions() {
            self.try_to_wait(&waiting, shutdown).await?;
        }
        self.make_store(shutdown).await;
        Ok((role, waiting))
    }

    /// The role is looked at before anything of anybody's runs in its sessions.
    ///
    /// # Errors
    /// [`Error::Config`] where it is a superuser, unless the configuration allows one.
    async fn look_at_role(&self, shutdown: &CancellationToken) -> Result<TickingRole> {
        let mut role = TickingRole::default();
        let (question, pace) = (|| self.control.powers(), &self.config.delivery);
        if let Some(powers) = ask::until_answered(question, may_pass, pace, shutdown).await {
            role.look(powers?);
        }
        Ok(role)
    }

    /// Nothing would come in time where the waiting connection cannot be had.
    ///
    /// # Errors
    /// [`Error::Config`] where its address leads to a pooler.
    async fn try_to_wait(&self, waiting: &Database, shutdown: &CancellationToken) -> Result<()> {
        let (question, pace) = (|| waiting.session(), &self.config.delivery);
        match ask::until_answered(question, may_pass, pace, shutdown).await {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Makes the store's tables. A role that may not make them goes on: somebody else has, or the
    /// subscriptions will say.
    async fn make_store(&self, shutdown: &CancellationToken) {
        let (question, pace) = (|| self.control.create_store(), &self.config.delivery);
        let may_pass = DatabaseError::is_connection_loss;
        let made = ask::until_answered(question, may_pass, pace, shutdown).await;
        if let Some(Err(error)) = made
            && error.sql_state() != Some(&SqlState::INSUFFICIENT_PRIVILEGE)
        {
            warn!("{error}");
        }
    }
}

/// Whether superusers tick here.
pub fn superusers(config: &Config) -> Superusers {
    match config.allow_superuser {
        true => Superusers::Allowed,
        false => Superusers::Refused,
    }
}

fn may_pass(error: &DatabaseError) -> bool {
    !matches!(error, DatabaseError::Config { .. })
}

/// Waits for shutdown, then for the tasks.
///
/// # Errors
/// [`Error::Io`] where one ends before.
async fn end(mut tasks: JoinSet<()>, shutdown: &CancellationToken) -> Result<()> {
    // A task ends before shutdown only by a bug; end all rather than limp on.
    let ended_early = tokio::select! {
        () = shutdown.cancelled() => None,
        Some(ended) = tasks.join_next() => Some(ended),
    };
    // Near the end both can be true; then it is no bug.
    let ended_early = ended_early.filter(|_| !shutdown.is_cancelled());
    shutdown.cancel();
    let end_all = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if timeout(END_PATIENCE, end_all).await.is_err() {
        warn!(
            "ending without an answer from the database: what was running there commits as a whole, or \
             not at all"
        );
        tasks.abort_all();
    }
    match ended_early {
        Some(ended) => {
            report(ended);
            Err(Error::ended_by_itself())
        }
        None => Ok(()),
    }
}

/// Logs how a task failed.
pub fn report(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended {
        error!("a task of the orchestrator failed: {error}");
    }
}
