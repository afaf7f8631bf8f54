//! What there is in the log: the biggest and the newest categories and streams, and a search for
//! whatever one has the name of.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use uuid::Uuid;

use super::{
    form::Fields,
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link,
    site::Site,
    standby,
};
use message_store_client::{
    database::{
        ALL, Database, Edge, Estimate, Filter, Grouping, Recent, STREAMS, Source,
        SubscriptionStatus,
    },
    error::Result,
};

/// The address of the page.
pub const LIST: &str = "/admin/categories";
/// The newest that are listed.
const NEWEST: usize = 20;
/// The address of a list of streams that begin alike.
pub const STREAMS_PAGE: &str = "/admin/streams";
/// Where the search goes.
pub const SEARCH: &str = "/admin/search";

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
) -> Response {
    match content(site.database(&identity)).await {
        Ok(content) => Page::new(Section::Categories, "Categories", content).show(&identity),
        Err(error) => layout::trouble(&identity, Section::Categories, &error),
    }
}

async fn content(database: &Database) -> Result<Markup> {
    let (categories, streams, new_categories, new_streams) = tokio::try_join!(
        database.biggest(Grouping::Category),
        database.biggest(Grouping::Stream),
        database.newest(Grouping::Category),
        database.newest(Grouping::Stream),
    )?;
    Ok(html! {
        (standby::note(database).await)
        p { a href=(link::browse(ALL)) { "Every message, newest first" } }
        div.columns {
            (biggest("Biggest categories", &categories, &new_categories))
            (biggest("Biggest streams", &streams, &new_streams))
            (newest("Newest categories", &new_categories))
            (newest("Newest streams", &new_streams))
        }
        p.faint {
            "Sizes are estimates from a sample of the log. Newest, and rates, are of its last 1,000 messages, \
             which may still be joined by messages of transactions in flight; – where none of them is there."
        }
    })
}

/// `recent`: what the last messages of the log belong to.
fn biggest(title: &str, estimates: &[Estimate], recent: &[Recent]) -> Markup {
    let rate = |name: &str| {
        let found = recent.iter().find(|one| one.name == name);
        found.and_then(|one| one.rate).map_or_else(
            || "–".to_owned(),
            |rate| format!("{}/s", format::rate(rate)),
        )
    };
    let most = estimates
        .first()
        .map_or(1.0, |first| first.messages)
        .max(1.0);
    html! {
        section {
            h2 { (title) }
            @if estimates.is_empty() { p.faint { "There are no messages." } }
            @else {
                (layout::table(title, html! {
                    thead { tr { th scope="col" { "Name" } th.number scope="col" { "Messages, about" } th.number scope="col" { "Rate, about" } } }
                    tbody {
                        @for estimate in estimates {
                            tr {
                                th scope="row" { a href=(link::browse(&estimate.name)) { (estimate.name) } }
                                td.number {
                                    (format::count(rounded(estimate.messages)))
                                    (bar(estimate.messages / most))
                                }
                                td.number { (rate(&estimate.name)) }
                            }
                        }
                    }
                }))
            }
        }
    }
}

fn newest(title: &str, recent: &[Recent]) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if recent.is_empty() { p.faint { "There are no messages." } }
            @else {
                (layout::table(title, html! {
                    thead {
                        tr {
                            th scope="col" { "Name" }
                            th scope="col" { "Last message" }
                            th scope="col" { "Rate, about" }
                        }
                    }
                    tbody {
                        @for one in recent.iter().take(NEWEST) {
                            tr {
                                th scope="row" { a href=(link::browse(&one.name)) { (one.name) } }
                                td {
                                    a href=(link::message(one.newest)) { (format::count(one.newest)) }
                                    " " span.faint { (format::when(&one.time)) }
                                }
                                td.number { (format::rate(one.rate.unwrap_or(0.0))) "/s" }
                            }
                        }
                    }
                }))
            }
        }
    }
}

/// A share as a picture; the number beside it says the same.
fn bar(share: f64) -> Markup {
    let width = (share * 100.0).clamp(0.5, 100.0);
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(format!("{width:.1}")) height="4" fill="#010203" {}
        }
    }
}

/// To two digits that matter: more would pretend to know.
#[allow(clippy::cast_possible_truncation, reason = "an estimate is for people")]
fn rounded(messages: f64) -> i64 {
    if messages < 100.0 {
        return messages.round() as i64;
    }
    let unit = 10_f64.powf(messages.log10().floor() - 1.0);
    ((messages / unit).round() * unit) as i64
}

/// Keys of metadata whose values people look for.
const KEYS: [&str; 2] = ["traceId", "correlationStreamName"];

/// What somebody typed into the search box.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Id(Uuid),
    GlobalPosition(i64),
    All,
    Name(&'a str),
}

impl<'a> Wanted<'a> {
    fn read(text: &'a str) -> Self {
        let text = text.trim();
        let digits = text.replace(',', "");
        match (Uuid::parse_str(text), digits.parse()) {
            (Ok(id), _) => Self::Id(id),
            (_, Ok(position)) => Self::GlobalPosition(position),
            _ if text == ALL => Self::All,
            _ => Self::Name(text),
        }
    }
}

/// Goes to what was looked for.
pub async fn search(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let text = query.text("q").unwrap_or_default().trim();
    if let Some(link) = subscription_called(&site, text) {
        return Redirect::to(&link).into_response();
    }
    match find(site.database(&identity), text).await {
        Ok(Some(link)) => Redirect::to(&link).into_response(),
        Ok(None) => {
            let content = html! {
                p { "No message, stream, category or subscription is called " code { (text) } "." }
                p {
                    "Found further: " code { "key=value" } " in metadata, such as " code { "traceId=…" }
                    ", and streams by how they begin."
                }
                @if !text.is_empty() {
                    @for key in KEYS {
                        p { a href=(link::with_metadata(key, text, 0)) { "Older messages with " (key) " = " (text) } }
                    }
                }
            };
            let page = Page::new(Section::Categories, "Nothing found", content);
            (axum::http::StatusCode::NOT_FOUND, page.show(&identity)).into_response()
        }
        Err(error) => layout::trouble(&identity, Section::Categories, &error),
    }
}

/// The page of the subscription of this id, as far as the latest sample knows.
fn subscription_called(site: &Site, id: &str) -> Option<String> {
    let sample = site.samples.look().sample?;
    let is_it = |one: &&SubscriptionStatus| one.subscriber_id == id;
    sample.subscriptions.iter().find(is_it)?;
    Some(link::subscription(id))
}

/// Streams that begin alike.
pub async fn streams(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let prefix = query.text("prefix").unwrap_or_default();
    let from = query.text("from").unwrap_or(prefix);
    let database = site.database(&identity);
    let (streams, next) = match database.streams_with_prefix(prefix, from).await {
        Ok(found) => found,
        Err(error) => return layout::trouble(&identity, Section::Categories, &error),
    };
    let content = html! {
        @if streams.is_empty() { p.faint { "None here." } }
        ul { @for stream in &streams { li { a href=(link::browse(stream)) { (stream) } } } }
        @if let Some(next) = &next {
            p role="status" {
                "Looked at " (STREAMS) " streams, as far as " code { (next) } ". "
                a href=(link::with(STREAMS_PAGE, &[("prefix", prefix), ("from", next)])) { "Continue" }
            }
        }
    };
    let mut page = Page::new(
        Section::Categories,
        format!("Streams that begin with {prefix}"),
        content,
    );
    page.crumbs = vec![("Categories".to_owned(), LIST.to_owned())];
    page.show(&identity)
}

/// A category may be called as a position or an id is written: then it is found where they are not.
async fn find(database: &Database, text: &str) -> Result<Option<String>> {
    let wanted = Wanted::read(text);
    let found = find_by_form(database, &wanted).await?;
    match wanted {
        Wanted::Id(_) | Wanted::GlobalPosition(_) if found.is_none() => {
            find_by_form(database, &Wanted::Name(text.trim())).await
        }
        _ => Ok(found),
    }
}

/// What a name that nothing has may mean: a key and a value of metadata, or how streams begin.
async fn find_by_part(database: &Database, name: &str) -> Result<Option<String>> {
    let (streams, _) = database.streams_with_prefix(name, name).await?;
    if !streams.is_empty() {
        return Ok(Some(link::with(STREAMS_PAGE, &[("prefix", name)])));
    }
    let (key, value) = match name.split_once('=') {
        Some((key, value)) => (key.trim(), value.trim()),
        None => return find_by_value(database, name).await,
    };
    Ok((!key.is_empty()).then(|| newest_with(key, value)))
}

fn newest_with(key: &str, value: &str) -> String {
    link::with(
        "/admin/browse",
        &[("source", ALL), ("key", key), ("value", value)],
    )
}

/// Messages that have the text in their metadata, among the newest or where an index tells.
async fn find_by_value(database: &Database, value: &str) -> Result<Option<String>> {
    for key in KEYS {
        let filter = Filter {
            metadata: Some((key.to_owned(), value.to_owned())),
            ..Filter::default()
        };
        let found = database.browse(&Source::All, &filter, Edge::Newest).await?;
        if !found.messages.is_empty() {
            return Ok(Some(newest_with(key, value)));
        }
    }
    Ok(None)
}

async fn find_by_form(database: &Database, wanted: &Wanted<'_>) -> Result<Option<String>> {
    Ok(match *wanted {
        Wanted::All => Some(link::browse(ALL)),
        Wanted::Id(id) => database.position_of_id(id).await?.map(link::message),
        Wanted::GlobalPosition(position) => {
            let found = database.message_at(position).await?;
            found.map(|_| link::message(position))
        }
        Wanted::Name("") => None,
        Wanted::Name(name) => {
            let is_there = match database.source(name).await? {
                Source::Stream(_) => database.position_in(name, 0).await?.is_some(),
                Source::Category(_) | Source::All => database.has_category(name).await?,
            };
            match is_there {
                true => Some(link::browse(name)),
                false => find_by_part(database, name).await?,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_known_by_its_form() {
        let id = "9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11";
        assert_eq!(Wanted::read(id), Wanted::Id(Uuid::parse_str(id).unwrap()));
        assert_eq!(Wanted::read(" 1,234 "), Wanted::GlobalPosition(1234));
        assert_eq!(Wanted::read("$all"), Wanted::All);
        assert_eq!(Wanted::read("viewings-1"), Wanted::Name("viewings-1"));
        assert_eq!(Wanted::read("9b2ba0c4-x"), Wanted::Name("9b2ba0c4-x"));
    }

    #[test]
    fn an_estimate_has_two_digits() {
        assert_eq!(
            [rounded(0.0), rounded(99.4), rounded(123_456.0)],
            [0, 99, 120_000]
        );
    }
}
