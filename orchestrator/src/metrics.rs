//! What Prometheus is told: ticks and requests as they are counted here, and
//! the subscriptions as the last sample saw them.
//!
//! Names follow Prometheus' conventions and begin with `message_store_`;
//! docs/monitoring.md lists them. Labels are bounded: the only ones that people
//! choose are subscriber ids, which go when their subscription is dropped.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::prometheus_text, metrics::info::Info, registry::Registry};
use tracing::error;

use crate::health::Health;
use message_store_client::samples::Samples;

mod blockers;
mod connection;
mod gauges;
mod requests;
mod sampled;
mod ticks;

pub use requests::{Requests, watch};
pub use ticks::Ticks;

/// All metrics of this process. Cheap to clone; all clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// What the scheduler tells.
    pub ticks: Ticks,
    /// What the web servers tell.
    pub requests: Requests,
}

impl Metrics {
    /// Zeros, over the samples and the health that others keep.
    pub fn new(samples: &Samples, health: &Health) -> Self {
        let mut registry = Registry::with_prefix("message_store");
        let version = env!("CARGO_PKG_VERSION");
        let build = Info::new([("version", version)]);
        registry.register("build", "The orchestrator that is asked", build);
        let ticks = Ticks::register(&mut registry, samples.clone());
        let requests = Requests::register(&mut registry);
        registry.register_collector(Box::new(connection::Connection::new(health.clone())));
        registry.register_collector(Box::new(sampled::Sampled::new(samples.clone())));
        Self {
            registry: Arc::new(registry),
            ticks,
            requests,
        }
    }

    /// The page `/metrics` as it is now.
    ///
    /// # Errors
    /// Only where a metric cannot be written as text, which is a bug.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// `/metrics`.
pub fn router(metrics: Metrics) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(metrics)
}

async fn show(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => {
            let kind = (header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE);
            ([kind], text).into_response()
        }
        Err(problem) => {
            error!("metrics: {problem}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
