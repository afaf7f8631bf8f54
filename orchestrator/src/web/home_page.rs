//! The demo application: the home page, viewings, events. The only part that
//! knows of videos; an operator's build leaves it out (`--no-default-features`).

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderName, header},
    routing::{get, post},
};
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{config::Video, error::Result};
use message_store_client::database::{Database, HomePage};

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
    /// Held during a look, so that watchers are told of looks in their order.
    turn: Arc<Mutex<()>>,
    shutdown: CancellationToken,
}

impl Site {
    /// A site over a database; serves nothing yet.
    pub(super) fn new(database: Database, videos: Vec<Video>, shutdown: CancellationToken) -> Self {
        Self {
            database,
            videos,
            home_page: watch::Sender::new(HomePage::default()),
            turn: Arc::default(),
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
                if let Err(error) = self.look().await {
                    debug!("{error}");
                }
                sleep(LOOK_INTERVAL).await;
            }
        }
    }

    /// Looks at the page and tells all watchers where it changed.
    async fn look(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        let page = self.database.home_page().await?;
        self.home_page.send_if_modified(|known| {
            let is_news = *known != page;
            *known = page;
            is_news
        });
        Ok(())
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
