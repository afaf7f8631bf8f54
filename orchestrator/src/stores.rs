//! Where there is something to deliver: the store of the address, or every shard of the router that the
//! address leads to, as the router's map has them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    ask,
    complaint::Complaint,
    config::Config,
    delivery::{self, CONTROL_CONNECTIONS, Delivery, Observers, Place},
    error::{Error, Result},
    supervisor,
};
use message_store_client::{
    Error as DatabaseError, Shards,
    connection::Target,
    database::{Database, Shard},
    samples::{Sampler, Samples},
    shards,
};

/// How often the router is asked where the shards are: what was moved or split is noticed within a second.
const INTERVAL: Duration = Duration::from_secs(1);
/// Connections to each shard by which forwarders write.
const FORWARDING_CONNECTIONS: usize = 4;
/// How long a shard is left alone where what it needs cannot be had.
const REST: Duration = Duration::from_secs(10);
/// How long the router may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Delivers wherever an address leads.
pub struct Stores {
    /// What is delivered, and how.
    pub config: Arc<Config>,
    /// A store, or a router.
    pub target: Target,
    /// Who is told.
    pub observers: Observers,
    /// Where samples of a store go, unless somebody else takes them.
    pub samples: Option<Samples>,
    /// Ends it.
    pub shutdown: CancellationToken,
}

impl Stores {
    /// Delivers until shutdown. Waits for the database as long as it takes.
    ///
    /// # Errors
    /// Those of [`Delivery::run`]; [`Error::Config`] where a router's shards cannot be had as the
    /// configuration says.
    pub async fn run(self) -> Result<()> {
        let superusers = delivery::superusers(&self.config);
        let database = Database::open_for_control(&self.target, CONTROL_CONNECTIONS, superusers)?;
        match self.look(&database).await {
            Some(shard) if shard.is_router() => self.follow(&database, shard).await,
            shard => {
                drop(database);
                self.deliver(shard.as_ref()).await
            }
        }
    }

    /// Delivers in the store of the address, which may be one of several shards.
    async fn deliver(self, shard: Option<&Shard>) -> Result<()> {
        let forwards = !self.config.forwarders.is_empty();
        let shards = match shard {
            Some(shard) if forwards && !shard.addresses.is_empty() => {
                Shards::of_map(shard, &self.target, FORWARDING_CONNECTIONS)?
            }
            _ => Shards::of_one(&self.target, FORWARDING_CONNECTIONS)?,
        };
        let place = Place {
            target: self.target,
            shard: None,
            shards,
        };
        let delivery = Delivery::open(&self.config, place, &self.observers)?;
        sample(delivery.control(), self.samples, &self.shutdown);
        delivery.run(self.shutdown).await
    }

    /// What the address leads to; `None` where it is one store, or at shutdown. What else is wrong there
    /// the delivery will say.
    async fn look(&self, database: &Database) -> Option<Shard> {
        let health = self.observers.health.join(None);
        // A router that was not told of its shards yet says so by an error.
        let may_pass = |error: &DatabaseError| !matches!(error, DatabaseError::Config { .. });
        let pace = &self.config.delivery;
        let looking = ask::until_answered(|| database.shard(), may_pass, pace, &self.shutdown);
        let looked = supervisor::alive_during(&health, looking).await;
        self.observers.health.leave(None);
        looked?.ok().flatten()
    }

    /// Delivers in every shard; in those that come and go, too.
    async fn follow(self, router: &Database, map: Shard) -> Result<()> {
        if self.config.wait_database.is_given() {
            return Err(Error::Config {
                origin: "[database] wait_url".to_owned(),
                problem: format!(
                    "{} is a router, and its shards are waited at by the addresses of its map: leave it out",
                    router.label()
                ),
            });
        }
        info!(
            "{} is a router: delivering in each of its {} shards, by map {}",
            router.label(),
            map.count,
            map.map
        );
        sample(router, self.samples.clone(), &self.shutdown);
        let mut deliveries = Deliveries {
            shards: Shards::of_map(&map, &self.target, FORWARDING_CONNECTIONS)?,
            running: BTreeMap::new(),
            resting: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        let kept = self.keep(router, map, &mut deliveries).await;
        self.shutdown.cancel();
        deliveries.end_all().await;
        kept
    }

    async fn keep(
        &self,
        router: &Database,
        mut map: Shard,
        deliveries: &mut Deliveries,
    ) -> Result<()> {
        let mut complaint = Complaint::that("cannot learn where the shards are");
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut targets = shards::addresses_of(&map, &self.target)?;
        deliveries.follow(self, &map, &targets, true)?;
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                Some(ended) = deliveries.tasks.join_next() => deliveries.take_back(ended)?,
                _ = looks.tick() => {
                    let looked = tokio::select! {
                        looked = self.look_again(router, &deliveries.shards, &map) => looked,
                        () = self.shutdown.cancelled() => return Ok(()),
                    };
                    match looked {
                        Ok(None) => complaint.settle(),
                        Ok(Some((seen, found))) => {
                            complaint.settle();
                            info!("the router has {} shards now, by map {}", seen.count, seen.map);
                            (map, targets) = (seen, found);
                        }
                        Err(error) => complaint.tell(&error),
                    }
                }
            }
            deliveries.follow(self, &map, &targets, false)?;
        }
    }

    /// The map and where its shards are, where that has changed. One that is older than what is known is that
    /// of a router that was not told yet.
    async fn look_again(
        &self,
        router: &Database,
        shards: &Shards,
        known: &Shard,
    ) -> message_store_client::Result<Option<(Shard, Vec<Target>)>> {
        let looked = router.within(PATIENCE, router.shard()).await?;
        let Some(map) = looked.filter(|map| map != known && map.map >= known.map) else {
            return Ok(None);
        };
        shards.learn(&map).await?;
        let targets = shards::addresses_of(&map, &self.target)?;
        Ok(Some((map, targets)))
    }
}

/// Takes samples until shutdown, unless somebody else does.
fn sample(database: &Database, samples: Option<Samples>, shutdown: &CancellationToken) {
    let Some(samples) = samples else { return };
    let sampler = Sampler {
        database: database.clone(),
        samples,
        shutdown: shutdown.clone(),
    };
    tokio::spawn(sampler.run());
}

/// The deliveries of a router's shards.
struct Deliveries {
    shards: Shards,
    running: BTreeMap<usize, Running>,
    /// Those that could not go on, and until when they are left alone.
    resting: BTreeMap<usize, Instant>,
    tasks: JoinSet<(usize, Result<()>)>,
}

/// One of them.
struct Running {
    address: String,
    shutdown: CancellationToken,
    /// Whether it was there when we began: then what cannot be used is told to whoever has started us.
    is_first: bool,
}

impl Deliveries {
    /// Begins where nobody delivers, and ends where there is no shard any more, or another.
    fn follow(
        &mut self,
        stores: &Stores,
        map: &Shard,
        targets: &[Target],
        is_first: bool,
    ) -> Result<()> {
        for (number, running) in &self.running {
            if map.addresses.get(*number) != Some(&running.address) {
                running.shutdown.cancel();
            }
        }
        self.resting.retain(|_, until| *until > Instant::now());
        for (number, (address, target)) in map.addresses.iter().zip(targets).enumerate() {
            if self.resting.contains_key(&number) {
                continue;
            }
            // The one before it has to end first.
            let Entry::Vacant(place) = self.running.entry(number) else {
                continue;
            };
            let at = Place {
                target: target.clone(),
                shard: Some(number),
                shards: self.shards.clone(),
            };
            let delivery = Delivery::open(&stores.config, at, &stores.observers)?;
            let shutdown = stores.shutdown.child_token();
            place.insert(Running {
                address: address.clone(),
                shutdown: shutdown.clone(),
                is_first,
            });
            self.tasks
                .spawn(async move { (number, delivery.run(shutdown).await) });
        }
        Ok(())
    }

    /// One has ended: because it had to, or because it cannot go on.
    fn take_back(
        &mut self,
        ended: std::result::Result<(usize, Result<()>), JoinError>,
    ) -> Result<()> {
        let (number, delivered) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                delivery::report(Err(error));
                return Err(Error::ended_by_itself());
            }
        };
        let ended = self.running.remove(&number);
        match delivered {
            Err(error) if !ended.is_some_and(|ended| ended.is_first) => {
                warn!("nothing is delivered in shard {number}, will try again: {error}");
                self.resting.insert(number, Instant::now() + REST);
                Ok(())
            }
            delivered => delivered,
        }
    }

    async fn end_all(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = self.take_back(ended) {
                warn!("{error}");
            }
        }
    }
}
