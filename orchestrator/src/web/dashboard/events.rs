//! `GET /admin/events?view=...`: the live regions of a page, rendered here, each
//! time one of them changes.
//!
//! A region is an element with an id; the script puts what comes in its place.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use maud::Markup;
use serde_json::json;
use tokio_stream::wrappers::WatchStream;

use super::{Site, form::Fields, identity::Identity, overview};

/// A comment line keeps proxies from closing a quiet connection: 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The regions of a page at a moment, by the ids of their elements.
pub type Regions = Vec<(&'static str, Markup)>;

/// Follows a page until the browser leaves or the server stops.
pub async fn stream(
    State(site): State<Arc<Site>>,
    Extension(_identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let shutdown = site.shutdown.clone().cancelled_owned();
    match query.text("view") {
        Some("overview") => {
            let samples = WatchStream::new(site.samples.subscribe());
            send(samples.map(move |_| overview::regions(&site)), shutdown)
        }
        _ => (StatusCode::NOT_FOUND, "There is no such view.\n").into_response(),
    }
}

/// Sends the regions that are not as they were sent last.
fn send(
    moments: impl Stream<Item = Regions> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let mut sent: HashMap<&'static str, String> = HashMap::new();
    let events = moments
        .flat_map(move |regions| {
            let mut news = Vec::new();
            for (id, markup) in regions {
                let html = markup.into_string();
                if sent.get(id) != Some(&html) {
                    let data = json!({ "id": id, "html": html }).to_string();
                    news.push(Ok::<_, Infallible>(
                        Event::default().event("region").data(data),
                    ));
                    sent.insert(id, html);
                }
            }
            stream::iter(news)
        })
        .take_until(shutdown);
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}
