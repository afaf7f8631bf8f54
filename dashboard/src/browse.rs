//! A stream, a category or the whole log, page by page.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{
    categories,
    form::Fields,
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link,
    site::Site,
    standby,
};
use message_store_client::database::{ALL, Edge, Filter, Found, Listed, Source};

/// The address of the page.
pub const LIST: &str = "/admin/browse";

/// What the page is to show.
struct View {
    name: String,
    source: Source,
    filter: Filter,
    edge: Edge,
}

impl View {
    fn read(query: &Fields, name: &str, source: Source) -> Result<Self, String> {
        let position = |key: &str| match query.text(key) {
            None => Ok(None),
            Some(text) => match text.replace(',', "").parse::<i64>() {
                Ok(position) if position >= 0 => Ok(Some(position)),
                _ => Err(format!(
                    "{text:?} is no position; positions are whole numbers from 0"
                )),
            },
        };
        let edge = match (position("below")?, position("above")?, position("at")?) {
            (Some(below), _, _) => Edge::Below(below),
            (None, Some(above), _) => Edge::Above(above),
            // The wanted one comes first.
            (None, None, Some(at)) => Edge::Below(at.saturating_add(1)),
            (None, None, None) if query.text("oldest").is_some() => Edge::Oldest,
            (None, None, None) => Edge::Newest,
        };
        let types = query
            .text("type")
            .into_iter()
            .flat_map(|text| text.split(','));
        let types = types.map(|one| one.trim().to_owned());
        Ok(Self {
            name: name.to_owned(),
            source,
            filter: Filter {
                types: types.filter(|one| !one.is_empty()).collect(),
                correlation: query.text("correlation").map(str::to_owned),
                metadata: query.text("key").map(|key| {
                    (
                        key.to_owned(),
                        query.text("value").unwrap_or_default().to_owned(),
                    )
                }),
            },
            edge,
        })
    }

    fn position(&self, message: &Listed) -> i64 {
        self.source
            .position(message.position, message.global_position)
    }

    /// The same list from another place.
    fn link(&self, key: &str, value: &str) -> String {
        let types = self.filter.types.join(",");
        let mut query = vec![("source", self.name.as_str())];
        if !types.is_empty() {
            query.push(("type", types.as_str()));
        }
        if let Some(correlation) = &self.filter.correlation {
            query.push(("correlation", correlation));
        }
        if let Some((key, value)) = &self.filter.metadata {
            query.extend([("key", key.as_str()), ("value", value.as_str())]);
        }
        if !key.is_empty() {
            query.push((key, value));
        }
        link::with(LIST, &query)
    }

    fn goes_up(&self) -> bool {
        matches!(self.edge, Edge::Oldest | Edge::Above(_))
    }
}

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let database = site.database(&identity);
    let name = query.text("source").unwrap_or(ALL);
    let source = match database.source(name).await {
        Ok(source) => source,
        Err(error) => return layout::trouble(&identity, Section::Categories, &error),
    };
    let view = match View::read(&query, name, source) {
        Ok(view) => view,
        Err(problem) => {
            let content = html! { p.notice.bad role="alert" { (problem) } };
            let page = Page::new(Section::Categories, "Which position?", content);
            return (StatusCode::BAD_REQUEST, page.show(&identity)).into_response();
        }
    };
    let found = async {
        let found = database
            .browse(&view.source, &view.filter, view.edge)
            .await?;
        let category = match &view.source {
            Source::Stream(name) => Some(database.category(name).await?),
            Source::Category(_) | Source::All => None,
        };
        Ok((found, category))
    };
    match found.await {
        Ok((found, category)) => {
            let title = match &view.source {
                Source::Stream(name) => format!("Stream {name}"),
                Source::Category(name) => format!("Category {name}"),
                Source::All => match &view.filter.metadata {
                    Some((key, value)) => format!("Messages with {key} = {value}"),
                    None => "Every message".to_owned(),
                },
            };
            let content = html! {
                (standby::note(database).await)
                (content(&view, &found))
            };
            let mut page = Page::new(Section::Categories, title, content);
            page.crumbs = vec![("Categories".to_owned(), categories::LIST.to_owned())];
            if let Some(category) = category {
                let pages = link::browse(&category);
                page.crumbs.push((category, pages));
            }
            page.show(&identity)
        }
        Err(error) => layout::trouble(&identity, Section::Categories, &error),
    }
}

fn content(view: &View, found: &Found) -> Markup {
    html! {
        (form(view))
        (ways("Pages", view, found))
        @if found.messages.is_empty() {
            p.faint { "No message here." }
        } @else {
            (list(view, found))
        }
        (looked(view, found))
        @if !found.messages.is_empty() { (ways("Pages, once more", view, found)) }
        p.faint {
            "Newest first. What is newest may still be joined by messages of transactions in flight; readers and \
             subscriptions wait for those."
        }
    }
}

fn form(view: &View) -> Markup {
    html! {
        form method="get" action=(LIST) {
            input type="hidden" name="source" value=(view.name);
            label for="type" { "Types, separated by commas" }
            input #type type="text" name="type" value=(view.filter.types.join(", ")) maxlength="2048";
            label for="correlation" { "Correlated with category" }
            input #correlation type="text" name="correlation" value=[view.filter.correlation.as_deref()] maxlength="2048";
            @let (key, value) = view.filter.metadata.clone().unwrap_or_default();
            label for="key" { "Metadata key" }
            input #key type="text" name="key" value=(key) maxlength="2048" placeholder="traceId";
            label for="value" { "has the value" }
            input #value type="text" name="value" value=(value) maxlength="2048";
            label for="at" { "From position" }
            input #at type="text" name="at" inputmode="numeric" size="20";
            " "
            button type="submit" { "Show" }
        }
    }
}

/// Where one can go from here: a page has it twice, by two names.
fn ways(name: &str, view: &View, found: &Found) -> Markup {
    let newest = found.messages.first().map(|message| view.position(message));
    let oldest = found.messages.last().map(|message| view.position(message));
    let older = if view.goes_up() {
        oldest
    } else {
        found.looked_to
    };
    let newer = if view.goes_up() {
        found.looked_to
    } else {
        newest
    };
    html! {
        nav.ways aria-label=(name) {
            a href=(view.link("", "")) { "Newest" }
            @if let Some(position) = newer.filter(|_| view.edge != Edge::Newest) {
                a rel="prev" href=(view.link("above", &position.to_string())) { "Newer" }
            }
            @if let Some(position) = older.filter(|_| view.edge != Edge::Oldest) {
                a rel="next" href=(view.link("below", &position.to_string())) { "Older" }
            }
            a href=(view.link("oldest", "1")) { "Oldest" }
        }
    }
}

fn list(view: &View, found: &Found) -> Markup {
    let shows_stream = !matches!(view.source, Source::Stream(_));
    html! {
        (layout::cards("Messages", html! {
            thead {
                tr {
                    th scope="col" { "Position" }
                    @if shows_stream { th scope="col" { "Stream" } }
                    th scope="col" { "Type" }
                    th scope="col" { "Written (UTC)" }
                    th scope="col" { "Data" }
                }
            }
            tbody {
                @for message in &found.messages {
                    tr {
                        td.number data-label="Position" {
                            a href=(link::message(message.global_position)) {
                                (format::count(view.position(message)))
                            }
                        }
                        @if shows_stream {
                            td.wide data-label="Stream" { a href=(link::browse(&message.stream_name)) { (message.stream_name) } }
                        }
                        td data-label="Type" { (message.message_type) }
                        td data-label="Written (UTC)" { (message.time) " " span.faint { (format::when(&message.time)) } }
                        td.wide data-label="Data" {
                            @match &message.preview {
                                Some(preview) => code { (preview) },
                                None => span.faint { "none, or too large for this list" },
                            }
                        }
                    }
                }
            }
        }))
    }
}

/// How far a filter has looked, and the way on.
fn looked(view: &View, found: &Found) -> Markup {
    let key = if view.goes_up() { "above" } else { "below" };
    html! {
        @if !view.filter.is_none() {
            p role="status" {
                "Looked at " (format::count(found.looked_at)) " messages"
                @match found.looked_to {
                    Some(position) => {
                        ", as far as position " (format::count(position)) ". "
                        a href=(view.link(key, &position.to_string())) { "Continue" }
                    },
                    None => { ": all there are this way." },
                }
            }
        }
    }
}
