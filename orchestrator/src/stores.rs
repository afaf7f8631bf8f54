//! Where there is something to deliver: the store of the address, or every shard of the router that the
//! address leads to, as the router's map has them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinSet},
    time::{MissedTickBehavior, interval},
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
        let shards = match shard {
            Some(shard) if !shard.addresses.is_empty() => {
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
        let may_pass = DatabaseError::is_connection_loss;
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
        loop {
            deliveries.follow(self, &map, &targets)?;
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                Some(ended) = deliveries.tasks.join_next() => deliveries.take_back(ended)?,
                _ = looks.tick() => match self.look_again(router).await {
                    Ok(Some((seen, found))) => {
                        complaint.settle();
                        if seen != map {
                            info!("the router has {} shards now, by map {}", seen.count, seen.map);
                            deliveries.shards.learn(&seen).await?;
                            (map, targets) = (seen, found);
                        }
                    }
                    Ok(None) => {}
                    Err(error) => complaint.tell(&error),
                },
            }
        }
    }

    async fn look_again(
        &self,
        router: &Database,
    ) -> message_store_client::Result<Option<(Shard, Vec<Target>)>> {
        let Some(map) = router.within(PATIENCE, router.shard()).await? else {
            return Ok(None);
        };
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
    tasks: JoinSet<(usize, Result<()>)>,
}

/// One of them.
struct Running {
    address: String,
    shutdown: CancellationToken,
}

impl Deliveries {
    /// Begins where nobody delivers, and ends where there is no shard any more, or another.
    fn follow(&mut self, stores: &Stores, map: &Shard, targets: &[Target]) -> Result<()> {
        for (number, running) in &self.running {
            if map.addresses.get(*number) != Some(&running.address) {
                running.shutdown.cancel();
            }
        }
        for (number, (address, target)) in map.addresses.iter().zip(targets).enumerate() {
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
        match ended {
            Ok((number, delivered)) => {
                self.running.remove(&number);
                delivered
            }
            Err(error) => {
                delivery::report(Err(error));
                Err(Error::ended_by_itself())
            }
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
