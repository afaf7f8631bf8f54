//! The operators' pages under `/admin`: a listener of its own, connections of
//! its own, rendered here, live by server-sent events.
//!
//! A page is a handler that gets the [`Site`] and the [`Identity`] of who asks,
//! and answers with a [`layout::Page`]; [`access::guard`] has decided before who
//! that is. What changes something takes a [`form::Action`].

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    middleware::{from_fn_with_state, map_response},
    response::{IntoResponse, Redirect},
    routing::{get, post},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::protect;
use crate::samples::Samples;
use message_store_client::database::Database;

mod access;
mod actions;
mod browse;
mod categories;
mod chart;
mod deed;
mod door;
mod events;
mod form;
mod identity;
mod layout;
mod link;
mod login;
mod message;
mod notices;
mod overview;
mod parked;
mod preview;
mod read_models;
mod sessions;
mod subscription;
mod subscriptions;
mod words;

pub use door::{ALL_CONNECTIONS, Door, Visitors};
pub use identity::{Identity, Role};

/// What the pages share.
pub struct Site {
    operators: Database,
    viewers: Database,
    samples: Samples,
    access: access::Access,
    sessions: sessions::Sessions,
    notices: notices::Notices,
    /// Answers of a whole column of a message at a time.
    whole_columns: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Site {
    /// The connections for who asks.
    fn database(&self, identity: &Identity) -> &Database {
        match identity.role {
            Role::Operator => &self.operators,
            Role::Viewer => &self.viewers,
        }
    }
}

async fn asset(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

fn router(site: Arc<Site>) -> Router {
    // The pages: whoever comes here has an identity.
    let pages = Router::new()
        .route("/admin", get(overview::show))
        .route("/admin/events", get(events::stream))
        .route(categories::LIST, get(categories::show))
        .route(categories::SEARCH, get(categories::search))
        .route(browse::LIST, get(browse::show))
        .route("/admin/messages/{position}", get(message::show))
        .route("/admin/messages/{position}/{column}", get(message::raw))
        .route(read_models::LIST, get(read_models::show))
        .route(read_models::ONE, get(read_models::one))
        .route("/admin/subscriptions", get(subscriptions::show))
        .route("/admin/subscription", get(subscription::show))
        .route(actions::CONFIRM, get(actions::confirm))
        .route(actions::ACT, post(actions::act))
        .route(parked::LIST, get(parked::show))
        .route(parked::CONFIRM, get(parked::confirm))
        .route(parked::ACT, post(parked::act))
        .route(preview::SHOW, post(preview::show));
    let style = || asset("text/css", include_str!("dashboard/dashboard.css"));
    let script = || asset("text/javascript", include_str!("dashboard/dashboard.js"));
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
