//! `GET /events`: the page's numbers, each time they change, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::StreamExt;
use serde_json::json;
use tokio_stream::wrappers::WatchStream;

use super::{lists, page, site::Site};
use crate::rows::HomePage;
use crate::video::Video;
use web_server::visible;

/// A comment line keeps proxies from closing a quiet connection: 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Sends the numbers at once, then whenever one changes, until the client leaves
/// or the server stops. A change costs one look for all watchers.
pub async fn stream(State(site): State<Site>) -> Response {
    // Watched before the look, so that no change falls in between.
    let watched = site.home_page.subscribe();
    if let Err(error) = site.look().await {
        return page::unavailable(&error);
    }
    let pages = WatchStream::new(watched);
    let shutdown = site.shutdown.clone().cancelled_owned();
    let events = pages
        .map(move |page| Ok::<_, Infallible>(event(&page, &site.videos)))
        .take_until(shutdown);
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

/// The numbers for programs; the lists as the page shows them too, so that
/// they are drawn in one place.
fn event(page: &HomePage, videos: &[Video]) -> Event {
    let data = json!({
        "videosWatched": page.videos_watched,
        "mostWatched": page.most_watched,
        "recent": page.recent,
        "html": visible(lists::render(page, videos)).into_string(),
    });
    Event::default().event("home").data(data.to_string())
}
