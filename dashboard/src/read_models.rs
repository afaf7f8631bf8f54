//! Read models: what pages read, and which subscriptions feed it.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    form::Fields,
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link, overview,
    site::Site,
};
use message_store_client::database::{Excerpt, ReadModelPage};
use message_store_client::samples::Sample;

/// The address of the page.
pub const LIST: &str = "/admin/read-models";
/// The address of one of them.
pub const ONE: &str = "/admin/read-model";
/// Characters of a page's JSON that are shown.
const SHOWN: usize = 100_000;

/// The table of the pages.
const PAGES: &str = "message_store.read_model_pages";

/// All of them.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let sample = site.samples.look().sample;
    let after = query.text("after").unwrap_or_default();
    match site.database(&identity).read_model_pages(after).await {
        Ok((pages, has_more)) => {
            let content = list(&pages, has_more, sample.as_deref());
            Page::new(Section::ReadModels, "Read models", content).show(&identity)
        }
        Err(error) => layout::trouble(&identity, Section::ReadModels, &error),
    }
}

/// One page's JSON.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let name = query.text("name").unwrap_or_default();
    let sample = site.samples.look().sample;
    let database = site.database(&identity);
    let most = i64::try_from(SHOWN).unwrap_or(i64::MAX);
    match database.read_model_page(name, most).await {
        Ok(Some(json)) => {
            let all = html! {
                "All of it: " code { "SELECT page_data FROM " (PAGES) " WHERE page_name = …" }
            };
            let content = html! {
                @match &json {
                    Excerpt::Text(json) => {
                        pre tabindex="0" { (json) }
                        @if json.ends_with('…') || json.chars().count() >= SHOWN {
                            p.notice.warn { "Only the beginning is shown. " (all) }
                        }
                    }
                    Excerpt::TooLarge => p {
                        "It is too large or too deep to show here, or has numbers that are too long. " (all)
                    },
                    Excerpt::Null => p.faint { "Its data is NULL." },
                }
                h2 { "Fed by" }
                (feeders(sample.as_deref(), PAGES, Some(name)))
            };
            let mut page = Page::new(Section::ReadModels, format!("Page {name}"), content);
            page.crumbs = vec![("Read models".to_owned(), LIST.to_owned())];
            page.show(&identity)
        }
        Ok(None) => layout::missing(&identity, Section::ReadModels, "There is no such page."),
        Err(error) => layout::trouble(&identity, Section::ReadModels, &error),
    }
}

fn list(pages: &[ReadModelPage], has_more: bool, sample: Option<&Sample>) -> Markup {
    html! {
        h2 { "Pages" }
        @if pages.is_empty() { p.faint { "There is none yet." } }
        @else {
            (layout::table("Pages", html! {
                thead {
                    tr {
                        th scope="col" { "Page" }
                        th scope="col" { "Bytes" }
                        th scope="col" { "Fed by" }
                    }
                }
                tbody {
                    @for page in pages {
                        tr {
                            th scope="row" { a href=(link::with(ONE, &[("name", &page.name)])) { (page.name) } }
                            td.number { @if let Some(bytes) = page.bytes { (format::count(bytes)) } @else { "NULL" } }
                            td { (feeders(sample, PAGES, Some(&page.name))) }
                        }
                    }
                }
            }))
            @if let Some(last) = pages.last().filter(|_| has_more) {
                p { a href=(link::with(LIST, &[("after", &last.name)])) { "More pages" } }
            }
        }
        h2 { "Tables that subscriptions declare" }
        (declared(sample))
    }
}

/// Every table that is declared, with its subscriptions.
fn declared(sample: Option<&Sample>) -> Markup {
    let mut tables: Vec<(String, String)> = Vec::new();
    for (subscriber_id, table, _) in sample.into_iter().flat_map(declarations) {
        let pair = (table, subscriber_id);
        if !tables.contains(&pair) {
            tables.push(pair);
        }
    }
    tables.sort();
    html! {
        @if tables.is_empty() { p.faint { "None does." } }
        @else {
            ul {
                @for (table, subscriber_id) in &tables {
                    li { code { (table) } " by " a href=(link::subscription(subscriber_id)) { (subscriber_id) } }
                }
            }
        }
    }
}

/// The subscriptions that declare the table, and this page of it where they say which.
fn feeders(sample: Option<&Sample>, table: &str, page: Option<&str>) -> Markup {
    let mut ids: Vec<String> = sample
        .into_iter()
        .flat_map(declarations)
        .filter(|(_, declared, part)| declared == table && may_hold(part.as_deref(), page))
        .map(|(subscriber_id, _, _)| subscriber_id)
        .collect();
    ids.sort();
    ids.dedup();
    html! {
        @if ids.is_empty() { span.faint { "no subscription that declares it as its read model" } }
        @for (number, id) in ids.iter().enumerate() {
            @if number > 0 { ", " }
            a href=(link::subscription(id)) { (id) }
        }
    }
}

/// Whether a condition on the table can be true of a page: it is SQL, and only one that names
/// another page in quotes is known to be false.
fn may_hold(condition: Option<&str>, page: Option<&str>) -> bool {
    match (condition, page) {
        (Some(condition), Some(page)) if condition.contains('\'') => {
            condition.contains(&format!("'{}'", page.replace('\'', "''")))
        }
        _ => true,
    }
}

/// Subscriber id, table, and the condition of the part, where one is declared.
fn declarations(sample: &Sample) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    for members in overview::subscriptions_of(sample) {
        let status = &members[0];
        let tables = status.options["read_model"].as_array();
        for table in tables.into_iter().flatten() {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let name = text(table).or_else(|| text(&table["table"]));
            if let Some(name) = name {
                found.push((status.subscriber_id.clone(), name, text(&table["where"])));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_names_another_page_does_not_feed_this_one() {
        let part = Some("page_name = 'home'");
        assert!(may_hold(part, Some("home")));
        assert!(!may_hold(part, Some("most-watched")));
        assert!(may_hold(None, Some("home")) && may_hold(Some("true"), Some("home")));
        assert!(may_hold(Some("page_name = 'it''s'"), Some("it's")));
    }
}
