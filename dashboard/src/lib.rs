//! The operators' pages under `/admin`: rendered here, live by server-sent events.
//!
//! A page is a handler that gets the [`Site`] and the [`Identity`] of who asks,
//! and answers with a [`layout::Page`]; [`access::guard`] has decided before who
//! that is. What changes something takes a [`form::Action`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    middleware::{from_fn_with_state, map_response},
    response::{IntoResponse, Redirect},
    routing::{get, post},
};
use message_store_client::samples::Samples;
use tokio_util::sync::CancellationToken;
use web_server::protect;

mod access;
mod actions;
mod browse;
mod categories;
mod chart;
mod events;
mod failures;
mod form;
mod format;
mod history;
mod identity;
mod layout;
mod link;
mod login;
mod message;
mod notices;
mod operation;
mod overview;
mod parked;
mod preview;
mod proxy;
mod read_models;
mod sessions;
mod shards;
mod site;
mod standby;
mod subscription;
mod subscriptions;
mod tokens;
mod verify;

pub use access::Access;
pub use proxy::Proxy;
pub use site::{ALL_CONNECTIONS, Visitors};
pub use tokens::{Token, Tokens};

use site::Site;

/// The pages, for those whom `access` lets in. Streams of events end at `shutdown`.
pub fn router(
    visitors: Visitors,
    samples: Samples,
    access: Access,
    shutdown: CancellationToken,
) -> Router {
    pages(Arc::new(Site::new(visitors, samples, access, shutdown)))
}

async fn asset(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

fn pages(site: Arc<Site>) -> Router {
    // The pages: whoever comes here has an identity.
    let pages = Router::new()
        .route("/admin", get(overview::show))
        .route("/admin/events", get(events::stream))
        .route(categories::LIST, get(categories::show))
        .route(categories::SEARCH, get(categories::search))
        .route(categories::STREAMS_PAGE, get(categories::streams))
        .route(browse::LIST, get(browse::show))
        .route("/admin/messages/{position}", get(message::show))
        .route("/admin/messages/{position}/{column}", get(message::raw))
        .route(read_models::LIST, get(read_models::show))
        .route(read_models::ONE, get(read_models::one))
        .route("/admin/subscriptions", get(subscriptions::show))
        .route("/admin/subscription", get(subscription::show))
        .route(actions::CONFIRM, get(actions::confirm))
        .route(actions::ACT, post(actions::act))
        .route(failures::LIST, get(failures::show))
        .route(parked::CONFIRM, get(parked::confirm))
        .route(parked::ACT, post(parked::act))
        .route(history::LIST, get(history::show))
        .route(verify::SHOW, post(verify::show))
        .route(preview::SHOW, post(preview::show));
    let style = || asset("text/css", include_str!("dashboard.css"));
    let script = || asset("text/javascript", include_str!("dashboard.js"));
    Router::new()
        .route("/", get(|| async { Redirect::to("/admin") }))
        .route(login::PATH, get(login::show).post(login::enter))
        .route(login::LEAVE, post(login::leave))
        .route("/admin/dashboard.css", get(style))
        .route("/admin/dashboard.js", get(script))
        .merge(pages.layer(from_fn_with_state(site.clone(), access::require_identity)))
        .fallback(layout::not_found)
        .layer(from_fn_with_state(site.clone(), access::guard))
        .with_state(site)
        .layer(map_response(protect))
}
