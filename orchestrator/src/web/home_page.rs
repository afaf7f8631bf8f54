//! The demo application: the home page, viewings, events. The only part that
//! knows of videos; an operator's build leaves it out (`--no-default-features`).

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderName, header},
    routing::{get, post},
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    config::Video,
    database::{Database, HomePage},
};

mod events;
mod lists;
mod page;
mod poster;
mod viewings;

/// The least time between two looks at the home page's row for all watchers.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Site {
    database: Database,
    videos: Vec<Video>,
    home_page: watch::Sender<HomePage>,
    shutdown: CancellationToken,
}

impl Site {
    /// A site over a database; serves nothing yet.
    pub(super) fn new(database: Database, videos: Vec<Video>, shutdown: CancellationToken) -> Self {
        Self {
            database,
            videos,
            home_page: watch::Sender::new(HomePage::default()),
            shutdown,
        }
    }

    /// Looks at the home page's row when deliveries progress, for all watchers
    /// at once, and only while there are any.
    pub(super) async fn follow(self, mut progressed: watch::Receiver<u64>) {
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

/// The page, its live numbers, and where viewings are sent.
pub(super) fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/videos/{id}/viewings", post(viewings::record))
        .route("/events", get(events::stream))
        .route(
            "/home.css",
            get(|| asset("text/css", include_str!("home_page/home.css"))),
        )
        .route(
            "/home.js",
            get(|| asset("text/javascript", include_str!("home_page/home.js"))),
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
