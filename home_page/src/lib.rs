//! The demo: a home page, live by server-sent events, and where its visitors' viewings are sent.
//! The only part that knows of videos; an operator's build of the orchestrator leaves it out.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use axum::{
    Router,
    http::{HeaderName, header},
    routing::{get, post},
};

mod events;
mod lists;
mod page;
mod poster;
mod rows;
mod site;
mod video;
mod viewings;

pub use site::Site;
pub use video::Video;

/// What the demo needs in a store beside the extension: the read model of the page `most-watched`,
/// and the service that answers commands. It can run again.
pub const SQL: &str = include_str!("../home_page.sql");

/// Whether the handlers of a subscription (message type to function) are among those of [`SQL`].
pub fn brings(handlers: &serde_json::Value) -> bool {
    const FUNCTIONS: [&str; 2] = [
        "message_store.count_views_per_video",
        "message_store.register_viewing",
    ];
    let mut functions = handlers
        .as_object()
        .into_iter()
        .flat_map(|map| map.values());
    functions.any(|function| {
        function
            .as_str()
            .is_some_and(|name| FUNCTIONS.contains(&name))
    })
}

/// The page, its live numbers, and where viewings are sent.
pub fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/videos/{id}/viewings", post(viewings::record))
        .route("/events", get(events::stream))
        .route(
            "/home.css",
            get(|| asset("text/css", include_str!("home.css"))),
        )
        .route(
            "/home.js",
            get(|| asset("text/javascript", include_str!("home.js"))),
        )
        .with_state(site)
}

async fn asset(
    content_type: &'static str,
    text: &'static str,
) -> ([(HeaderName, &'static str); 2], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
