//! Who did what, to one subscription or to all.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    form::Fields,
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link,
    site::Site,
};

/// The address of the page.
pub const LIST: &str = "/admin/history";

/// Lines a page.
const PAGE: usize = 100;

/// The page: what was done to all subscriptions, also to those that were dropped.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let (id, before) = (query.text("id"), query.text("before"));
    let most = i64::try_from(PAGE).unwrap_or(0) + 1;
    let database = site.database(&identity);
    let mut found = match database.recent_history(id, before, most).await {
        Ok(found) => found,
        Err(error) => return layout::trouble(&identity, Section::History, &error),
    };
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found
        .last()
        .filter(|_| more)
        .map(|line| text_of(&line["at"]));
    let content = html! {
        (lines(&found, id.is_none()))
        @if let Some(last) = last {
            @let place = [("before", last.as_str())];
            @let of_one = [("before", last.as_str()), ("id", id.unwrap_or_default())];
            p { a rel="next" href=(link::with(LIST, if id.is_some() { &of_one } else { &place })) { "Older" } }
        }
    };
    let mut page = Page::new(Section::History, "Who did what", content);
    if let Some(id) = id {
        page.crumbs = vec![
            ("History".to_owned(), LIST.to_owned()),
            (id.to_owned(), link::subscription(id)),
        ];
    }
    page.show(&identity)
}

/// A line for each entry, with its subscription where they are of several.
pub fn lines(history: &[Value], is_of_all: bool) -> Markup {
    let field = |line: &Value, name: &str| text_of(&line[name]);
    html! {
        @if history.is_empty() {
            p.faint { "Nobody has done anything yet." }
        } @else {
            (layout::cards("Who did what", html! {
                thead { tr {
                    th scope="col" { "When" }
                    @if is_of_all { th scope="col" { "Subscription" } }
                    th scope="col" { "What" } th scope="col" { "Who" }
                    th.number scope="col" { "Position" } th scope="col" { "Why" }
                } }
                tbody {
                    @for line in history {
                        tr {
                            td data-label="When" { (format::when(&field(line, "at"))) }
                            @if is_of_all {
                                @let id = field(line, "subscriber_id");
                                td.wide data-label="Subscription" { a href=(link::subscription(&id)) { (id) } }
                            }
                            td data-label="What" { (field(line, "action")) }
                            td.wide data-label="Who" {
                                @let actor = field(line, "actor");
                                @if !actor.is_empty() { (actor) ", as " }
                                (field(line, "role"))
                            }
                            td.number data-label="Position" { (field(line, "position")) }
                            td.wide data-label="Why" { (field(line, "reason")) }
                        }
                    }
                }
            }))
        }
    }
}

/// A JSON value without the quotes of a string; nothing for null.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
