//! The web server: the home page, viewings, events, health.

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::{
    config::Video,
    database::{Database, HomePage},
};

mod events;
mod home;
mod viewings;

/// The least time between two looks at the home page's row for all watchers.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The largest request body taken: 16 KiB.
const LARGEST_BODY: usize = 16 * 1024;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    database: Database,
    videos: Vec<Video>,
    home_page: watch::Sender<HomePage>,
    shutdown: CancellationToken,
}

impl Site {
    /// A site over a database; serves nothing yet.
    pub fn new(database: Database, videos: Vec<Video>, shutdown: CancellationToken) -> Self {
        Self {
            database,
            videos,
            home_page: watch::Sender::new(HomePage::default()),
            shutdown,
        }
    }

    /// Looks at the home page's row when deliveries progress, for all watchers
    /// at once, and only while there are any.
    pub async fn follow(self, mut progressed: watch::Receiver<u64>) {
        loop {
            let changed = tokio::select! {
                changed = progressed.changed() => changed,
                () = self.shutdown.cancelled() => return,
            };
            if changed.is_err() {
                return self.shutdown.cancelled().await;
            }
            if self.home_page.receiver_count() > 0 {
                match self.database.home_page().await {
                    Ok(page) => self.publish(page),
                    Err(error) => debug!("{error}"),
                }
                sleep(LOOK_INTERVAL).await;
            }
        }
    }

    fn publish(&self, page: HomePage) {
        self.home_page.send_if_modified(|known| {
            let is_news = *known != page;
            *known = page;
            is_news
        });
    }
}

/// Serves until shutdown, then lets running requests end.
pub async fn serve(listener: TcpListener, site: Site, shutdown: CancellationToken) {
    let served = axum::serve(listener, router(site))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await;
    if let Err(error) = served {
        error!("web server: {error}");
    }
}

fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(home::show))
        .route("/videos/{id}/viewings", post(viewings::record))
        .route("/events", get(events::stream))
        .route("/healthz", get(home::health))
        .route(
            "/home.css",
            get(|| asset("text/css", include_str!("web/home.css"))),
        )
        .route(
            "/home.js",
            get(|| asset("text/javascript", include_str!("web/home.js"))),
        )
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(site)
        .layer(axum::middleware::map_response(protect))
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

/// Nothing from elsewhere runs in our pages, and nobody frames them.
async fn protect(mut response: axum::response::Response) -> axum::response::Response {
    let rules = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, rule) in rules {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(rule));
    }
    response
}
