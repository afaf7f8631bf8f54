//! Whether the process runs, and whether it does what it is there for.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::config::Subscription;
use message_store_client::database::Started;

/// Nobody waits for messages.
const NOT_CONNECTED: &str = "not connected to the database";
/// A loop that says nothing for so long does not live: 10 s.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// What `/readyz` and the metrics know of the stores that are delivered in: one, or each shard.
/// Cheap to clone; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Subscriber ids of the configuration.
    wanted: Arc<[String]>,
    stores: Arc<RwLock<BTreeMap<Option<usize>, Knowledge>>>,
}

/// What tells of one store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreHealth {
    all: Health,
    shard: Option<usize>,
}

#[derive(Debug, Default)]
struct Knowledge {
    is_connected: bool,
    /// True where a tick was told so since it last was not.
    is_read_only: bool,
    connects: u64,
    /// Those of the configuration that are not started; `None` where the list could not
    /// be had.
    ended: Option<Vec<String>>,
    /// When its loop last came round.
    beat: Option<Instant>,
}

impl Health {
    /// Nothing is connected and nothing started yet.
    pub fn new(subscriptions: &[Subscription]) -> Self {
        // What an application or a forwarder fetches is not among those that are ticked.
        let wanted = subscriptions
            .iter()
            .filter(|one| one.handlers.as_object().is_some_and(|map| !map.is_empty()))
            .map(|one| one.subscriber_id.clone());
        Self {
            wanted: wanted.collect(),
            stores: Arc::default(),
        }
    }

    /// A store joins, with its number where it is a shard.
    pub fn join(&self, shard: Option<usize>) -> StoreHealth {
        self.change(|stores| stores.insert(shard, Knowledge::default()));
        StoreHealth {
            all: self.clone(),
            shard,
        }
    }

    /// A shard is nobody's any more.
    pub fn leave(&self, shard: Option<usize>) {
        self.change(|stores| stores.remove(&shard));
    }

    /// True while the connections that wait for messages are there.
    pub fn is_connected(&self) -> bool {
        self.look(|stores| !stores.is_empty() && stores.values().all(|known| known.is_connected))
    }

    /// How often one was there again.
    pub fn reconnects(&self) -> u64 {
        self.look(|stores| {
            let again = stores
                .values()
                .map(|known| known.connects.saturating_sub(1));
            again.sum()
        })
    }

    /// A line for each thing that is missing; none where we are ready.
    pub fn missing(&self) -> Vec<String> {
        self.look(|stores| {
            if stores.is_empty() {
                return vec![NOT_CONNECTED.to_owned()];
            }
            let lines = stores.iter().flat_map(|(shard, known)| {
                let whose = shard.map_or_else(String::new, |number| format!("shard {number}: "));
                let missing = known.missing().into_iter();
                missing.map(move |line| format!("{whose}{line}"))
            });
            lines.collect()
        })
    }

    /// True unless a loop that has come round once is silent now.
    pub fn is_alive(&self) -> bool {
        self.look(|stores| {
            let mut beats = stores.values().filter_map(|known| known.beat);
            beats.all(|beat| beat.elapsed() < LONGEST_SILENCE)
        })
    }

    fn change<T>(&self, how: impl FnOnce(&mut BTreeMap<Option<usize>, Knowledge>) -> T) -> T {
        how(&mut self.stores.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn look<T>(&self, at: impl FnOnce(&BTreeMap<Option<usize>, Knowledge>) -> T) -> T {
        at(&self.stores.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StoreHealth {
    /// Of all stores.
    pub fn all(&self) -> &Health {
        &self.all
    }

    /// The connection that waits for messages is there.
    pub fn connected(&self) {
        self.change(|known| {
            known.is_connected = true;
            known.connects += 1;
        });
    }

    /// It is gone.
    pub fn disconnected(&self) {
        self.change(|known| known.is_connected = false);
    }

    /// Whether the database takes writes. True where that is news.
    pub fn takes_writes(&self, takes: bool) -> bool {
        let is_news = self.all.look(|stores| {
            let known = stores.get(&self.shard);
            known.is_some_and(|known| known.is_read_only == takes)
        });
        if is_news {
            self.change(|known| known.is_read_only = !takes);
        }
        is_news
    }

    /// What is started in the database now.
    pub fn listed(&self, rows: &[Started]) {
        let started: HashSet<&str> = rows.iter().map(|row| row.subscriber_id.as_str()).collect();
        let ended = self.all.wanted.iter();
        let ended = ended.filter(|id| !started.contains(id.as_str()));
        let ended = Some(ended.cloned().collect());
        self.change(|known| known.ended = ended);
    }

    /// The list could not be had.
    pub fn unlisted(&self) {
        self.change(|known| known.ended = None);
    }

    /// Its loop has come round.
    pub fn beat(&self) {
        self.change(|known| known.beat = Some(Instant::now()));
    }

    fn change(&self, how: impl FnOnce(&mut Knowledge)) {
        self.all
            .change(|stores| stores.get_mut(&self.shard).map(how));
    }
}

impl Knowledge {
    fn missing(&self) -> Vec<String> {
        if !self.is_connected {
            return vec![NOT_CONNECTED.to_owned()];
        }
        if self.is_read_only {
            return vec!["the database takes no writes: it is read-only".to_owned()];
        }
        let Some(ended) = &self.ended else {
            return vec!["the started subscriptions cannot be listed".to_owned()];
        };
        let lines = ended.iter();
        lines
            .map(|id| format!("the subscription {id} is not started"))
            .collect()
    }
}

/// `/healthz` and `/readyz`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(health)
}

/// That it answers is the answer: a lost database is waited for, and no restart
/// of ours brings it back.
async fn alive() -> Response {
    plain(StatusCode::OK, "ok\n".to_owned())
}

/// 200 where the database is connected and every subscription of the
/// configuration is started; else 503 and a line for each that is missing.
async fn ready(State(health): State<Health>) -> Response {
    let missing = health.missing();
    if missing.is_empty() {
        return plain(StatusCode::OK, "ready\n".to_owned());
    }
    let mut text = missing.join("\n");
    text.push('\n');
    plain(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn plain(status: StatusCode, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn started(subscriber_id: &str) -> Started {
        Started {
            subscriber_id: subscriber_id.to_owned(),
            source: String::new(),
            group_size: 1,
            batch_size: 1,
            row: String::new(),
        }
    }

    #[test]
    fn ready_is_connected_and_every_subscription_of_the_configuration_started() {
        let two = ["a", "b"].map(|id| {
            format!("[[services]]\nsubscriber_id='{id}'\ncategory='c'\nhandlers={{X='f'}}\n")
        });
        let config = Config::parse(&two.concat()).unwrap();
        let health = Health::new(&config.subscriptions);
        let not_connected = ["not connected to the database"];
        assert_eq!(health.missing(), not_connected);
        let store = health.join(None);
        assert_eq!(health.missing(), not_connected);
        store.connected();
        let unknown = ["the started subscriptions cannot be listed"];
        assert_eq!(health.missing(), unknown);
        store.listed(&[started("b"), started("another's")]);
        assert_eq!(health.missing(), ["the subscription a is not started"]);
        store.listed(&[started("b"), started("a")]);
        assert_eq!(health.missing(), [""; 0]);
        store.unlisted();
        assert_eq!(health.missing(), unknown);
        store.disconnected();
        assert_eq!(health.missing(), not_connected);
        assert_eq!(health.reconnects(), 0);
        store.connected();
        assert_eq!(health.reconnects(), 1);
        store.listed(&[started("b"), started("a")]);
        assert!(store.takes_writes(false) && !store.takes_writes(false));
        let read_only = ["the database takes no writes: it is read-only"];
        assert_eq!(health.missing(), read_only);
        assert!(store.takes_writes(true) && health.missing().is_empty());
    }

    #[test]
    fn what_is_fetched_is_not_waited_for() {
        let fetched = "[[services]]\nsubscriber_id='a'\ncategory='c'\nhandlers={}\n\
                       [[forwarders]]\nsubscriber_id='b'\ncategory='outbox'\n";
        let health = Health::new(&Config::parse(fetched).unwrap().subscriptions);
        let store = health.join(None);
        store.connected();
        store.listed(&[]);
        assert_eq!(health.missing(), [""; 0]);
    }

    #[test]
    fn shards_are_ready_together_and_each_is_named() {
        let health = Health::new(&[]);
        let shards = [0, 1].map(|number| health.join(Some(number)));
        shards[0].connected();
        shards[0].listed(&[]);
        assert_eq!(health.missing(), ["shard 1: not connected to the database"]);
        assert!(!health.is_connected());
        shards[1].connected();
        shards[1].listed(&[]);
        assert!(health.is_connected() && health.missing().is_empty());
        shards[1].disconnected();
        health.leave(Some(1));
        assert!(health.is_connected() && health.missing().is_empty());
        // Whoever tells of one that has left tells nobody.
        shards[1].connected();
        assert_eq!(health.reconnects(), 0);
    }

    #[test]
    fn one_loop_that_stands_still_is_enough_to_be_dead() {
        let health = Health::new(&[]);
        let shards = [0, 1].map(|number| health.join(Some(number)));
        assert!(health.is_alive());
        shards[0].beat();
        shards[1].change(|known| known.beat = Instant::now().checked_sub(LONGEST_SILENCE));
        assert!(!health.is_alive());
        shards[1].beat();
        assert!(health.is_alive());
    }
}
