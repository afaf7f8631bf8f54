//! Whether the process runs, and whether it does what it is there for.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
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

/// What `/readyz` and the metrics know of the connection and the subscriptions.
/// Cheap to clone; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    state: Arc<RwLock<Knowledge>>,
}

#[derive(Debug, Default)]
struct Knowledge {
    /// Subscriber ids of the configuration.
    wanted: Vec<String>,
    is_connected: bool,
    /// True where a tick was told so since it last was not.
    is_read_only: bool,
    connects: u64,
    /// Those of `wanted` that are not started; `None` where the list could not
    /// be had.
    ended: Option<Vec<String>>,
}

impl Health {
    /// Nothing is connected and nothing started yet.
    pub fn new(subscriptions: &[Subscription]) -> Self {
        let wanted = subscriptions.iter().map(|one| one.subscriber_id.clone());
        let knowledge = Knowledge {
            wanted: wanted.collect(),
            ..Knowledge::default()
        };
        Self {
            state: Arc::new(RwLock::new(knowledge)),
        }
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
        let is_news = self.look(|known| known.is_read_only == takes);
        if is_news {
            self.change(|known| known.is_read_only = !takes);
        }
        is_news
    }

    /// What is started in the database now.
    pub fn listed(&self, rows: &[Started]) {
        let started: HashSet<&str> = rows.iter().map(|row| row.subscriber_id.as_str()).collect();
        self.change(|known| {
            let ended = known.wanted.iter();
            let ended = ended.filter(|id| !started.contains(id.as_str()));
            known.ended = Some(ended.cloned().collect());
        });
    }

    /// The list could not be had.
    pub fn unlisted(&self) {
        self.change(|known| known.ended = None);
    }

    /// True while the connection that waits for messages is there.
    pub fn is_connected(&self) -> bool {
        self.look(|known| known.is_connected)
    }

    /// How often it was there again.
    pub fn reconnects(&self) -> u64 {
        self.look(|known| known.connects.saturating_sub(1))
    }

    /// A line for each thing that is missing; none where we are ready.
    pub fn missing(&self) -> Vec<String> {
        self.look(|known| {
            if !known.is_connected {
                return vec!["not connected to the database".to_owned()];
            }
            if known.is_read_only {
                return vec!["the database takes no writes: it is read-only".to_owned()];
            }
            let Some(ended) = &known.ended else {
                return vec!["the started subscriptions cannot be listed".to_owned()];
            };
            let lines = ended.iter();
            lines
                .map(|id| format!("the subscription {id} is not started"))
                .collect()
        })
    }

    fn change(&self, how: impl FnOnce(&mut Knowledge)) {
        how(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn look<T>(&self, at: impl FnOnce(&Knowledge) -> T) -> T {
        at(&self.state.read().unwrap_or_else(PoisonError::into_inner))
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
        assert_eq!(health.missing(), ["not connected to the database"]);
        health.connected();
        let unknown = ["the started subscriptions cannot be listed"];
        assert_eq!(health.missing(), unknown);
        health.listed(&[started("b"), started("another's")]);
        assert_eq!(health.missing(), ["the subscription a is not started"]);
        health.listed(&[started("b"), started("a")]);
        assert_eq!(health.missing(), [""; 0]);
        health.unlisted();
        assert_eq!(health.missing(), unknown);
        health.disconnected();
        assert_eq!(health.missing(), ["not connected to the database"]);
        assert_eq!(health.reconnects(), 0);
        health.connected();
        assert_eq!(health.reconnects(), 1);
        health.listed(&[started("b"), started("a")]);
        assert!(health.takes_writes(false) && !health.takes_writes(false));
        let read_only = ["the database takes no writes: it is read-only"];
        assert_eq!(health.missing(), read_only);
        assert!(health.takes_writes(true) && health.missing().is_empty());
    }
}
