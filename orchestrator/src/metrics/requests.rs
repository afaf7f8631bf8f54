//! How long the web servers take to answer.

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use tokio::time::Instant;

/// From a page by primary key to one that searches, in seconds.
const BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// The pattern of a path that no page has: visitors choose paths, so these share one label.
const NO_ROUTE: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: String,
    status: u16,
}

/// Requests by method, route and status. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    durations: Family<Answer, Histogram, fn() -> Histogram>,
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let durations: Family<Answer, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register(
            "http_request_duration_seconds",
            "From a request to the head of its answer, by the route's pattern",
            durations.clone(),
        );
        Self { durations }
    }
}

/// Counts what a router answers, under the patterns of its routes.
pub fn watch(router: Router, requests: Requests) -> Router {
    router.layer(from_fn_with_state(requests, observe))
}

async fn observe(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let answer = Answer {
        method,
        route,
        status: response.status().as_u16(),
    };
    let took = began.elapsed().as_secs_f64();
    requests.durations.get_or_create(&answer).observe(took);
    response
}

/// A client may make up methods.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
