//! `GET /admin/events?view=...`: the live regions of a page, rendered here, each
//! time one of them changes.
//!
//! A region is an element with an id; the script puts what comes in its place.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

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
use maud::{Markup, html};
use serde_json::json;
use tokio_stream::wrappers::WatchStream;
use tracing::debug;

use super::{form::Fields, identity::Identity, overview, site::Site, subscription};
use web_server::visible;

/// A comment line keeps proxies from closing a quiet connection: 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The least time between two looks at one subscription.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How many times as long as a look the pause after it is at least.
const REST: u32 = 200;

/// The regions of a page at a moment, by the ids of their elements.
pub type Regions = Vec<(&'static str, Markup)>;

/// One region alone. The others have their places, with nothing in them.
pub fn only(region: (&'static str, Markup), others: &[&'static str]) -> Regions {
    let others = others.iter().map(|id| (*id, html! {}));
    std::iter::once(region).chain(others).collect()
}

/// Follows a page until the browser leaves, its session ends, or the server stops.
pub async fn stream(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let end = {
        let (shutdown, left) = (site.shutdown.clone(), identity.left.clone());
        async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = left.cancelled() => {}
            }
        }
    };
    match query.text("view") {
        Some("overview") => {
            let samples = WatchStream::new(site.samples.subscribe());
            send(samples.map(move |_| overview::regions(&site)), end)
        }
        Some("subscription") => {
            let id = query.text("id").unwrap_or_default().to_owned();
            send(follow(site, identity, id), end)
        }
        _ => (StatusCode::NOT_FOUND, "There is no such view.\n").into_response(),
    }
}

/// One subscription, looked at anew every two seconds, or less often where a look
/// takes long: half a percent of a core at most.
fn follow(site: Arc<Site>, identity: Identity, id: String) -> impl Stream<Item = Regions> {
    stream::unfold(Duration::ZERO, move |pause| {
        let (site, identity, id) = (site.clone(), identity.clone(), id.clone());
        async move {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            let regions = match subscription::look(&site, &identity, &id).await {
                Ok(regions) => regions,
                Err(error) => {
                    debug!("live: {error}");
                    let away = html! { p.notice.bad { "The database does not answer." } };
                    vec![("trouble", away)]
                }
            };
            Some((regions, LOOK_INTERVAL.max(began.elapsed() * REST)))
        }
    })
}

/// Sends the regions that are not as they were sent last.
fn send(
    moments: impl Stream<Item = Regions> + Send + 'static,
    end: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let mut sent: HashMap<&'static str, String> = HashMap::new();
    let events = moments
        .flat_map(move |regions| {
            let mut news = Vec::new();
            for (id, markup) in regions {
                let html = visible(markup).into_string();
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
        .take_until(end);
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}
