//! One message: its columns, its JSON, and the chain it belongs to.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{
    categories, failures,
    form::Fields,
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link, parked,
    site::Site,
};
use message_store_client::{
    Result,
    database::{
        CausationLink, Database, Excerpt, MOST_LOOKS, ParkedMessage, SEARCHED, WALKED, Whole,
    },
};

use printable::printable;
use web_server::hold_until_taken;

/// Generations that are drawn below a message, and messages that one caused.
const DRAWN: usize = 25;
const SIBLINGS: usize = 100;

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(position): Path<String>,
    query: Fields,
) -> Response {
    let Ok(position) = position.parse::<i64>() else {
        let text = "A message has a global position, which is a whole number.";
        return layout::missing(&identity, Section::Categories, text);
    };
    let database = site.database(&identity);
    let looks = query.number("looks").unwrap_or(1).clamp(1, MOST_LOOKS);
    match load(database, position, looks).await {
        Ok(Some((message, parked, chain))) => {
            let title = format!("Message {}", format::count(position));
            let content = html! {
                @for one in &parked { (standing(&identity, one)) }
                (columns(&message))
                (chain.draw())
            };
            let mut page = Page::new(Section::Categories, title, content);
            page.crumbs = vec![
                ("Categories".to_owned(), categories::LIST.to_owned()),
                (message.category.clone(), link::browse(&message.category)),
                (
                    message.stream_name.clone(),
                    link::browse(&message.stream_name),
                ),
            ];
            page.notice = site.notice(&query);
            page.show(&identity)
        }
        Ok(None) => {
            let text = "There is no message at this position. It was never committed, or somebody deleted it.";
            layout::missing(&identity, Section::Categories, text)
        }
        Err(error) => layout::trouble(&identity, Section::Categories, &error),
    }
}

/// A column as it is stored, where it is not too large for a page: so many at a time.
pub async fn raw(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path((position, column)): Path<(i64, String)>,
) -> Response {
    let is_data = column == "data";
    if !is_data && column != "metadata" {
        return layout::missing(
            &identity,
            Section::Categories,
            "A message has data and metadata.",
        );
    }
    let Ok(turn) = site.whole_columns.clone().acquire_owned().await else {
        return layout::missing(&identity, Section::Categories, "This message has none.");
    };
    match site.database(&identity).raw_column(position, is_data).await {
        Ok(Some(Excerpt::Text(text))) => {
            let json = printable(&text).into_owned();
            let answer = ([(header::CONTENT_TYPE, "application/json")], json).into_response();
            // The turn ends when the visitor has taken the answer.
            hold_until_taken(answer, turn)
        }
        Ok(Some(Excerpt::TooLarge)) => {
            let content = html! { p { "It is too large to be sent. " (whole(position)) } };
            let page = Page::new(Section::Categories, "Too large", content);
            (StatusCode::PAYLOAD_TOO_LARGE, page.show(&identity)).into_response()
        }
        Ok(Some(Excerpt::Null) | None) => {
            layout::missing(&identity, Section::Categories, "This message has none.")
        }
        Err(error) => layout::trouble(&identity, Section::Categories, &error),
    }
}

type Loaded = (Whole, Vec<ParkedMessage>, Chain);

async fn load(database: &Database, position: i64, looks: i64) -> Result<Option<Loaded>> {
    let Some(message) = database.message_at(position).await? else {
        return Ok(None);
    };
    let ancestry = database.ancestry(position).await?;
    let (descendants, looked_to, has_more) = database.descendants(position, looks).await?;
    let parked = database.parked_by(position).await?;
    Ok(Some((
        message,
        parked,
        Chain {
            ancestry,
            descendants,
            looked_to,
            has_more,
            looks,
        },
    )))
}

/// That a subscription has put it aside: why, since when, and what can be done.
fn standing(identity: &Identity, parked: &ParkedMessage) -> Markup {
    let is_bad = parked.status == "failed";
    let subscription = || {
        html! { a href=(link::subscription(&parked.subscriber_id)) { (parked.subscriber_id) } }
    };
    let since = || format::when(&parked.parked_at);
    html! {
        section.standing.bad[is_bad] aria-label={ "Parked by " (parked.subscriber_id) } {
            p {
                @match &*parked.status {
                    "failed" => { strong { "Parked" } " by " (subscription()) ", since " (since()) ". Later messages of its stream wait behind it." },
                    "waiting" => { strong { "Waiting" } " for " (subscription()) ", since " (since()) ": an earlier message of its stream is parked." },
                    "retry" => { strong { "Being retried" } " by " (subscription()) "; parked since " (since()) "." },
                    "replaying" => { strong { "Parked" } " by " (subscription()) ", since " (since()) ". A rebuild will come to it." },
                    _ => {
                        strong { "Discarded" } " for " (subscription()) "; parked since " (since()) "."
                        @if let Some(reason) = &parked.reason { " " (reason) }
                    },
                }
            }
            @if parked.error.is_some() || parked.sqlstate.is_some() {
                pre.bad[is_bad] tabindex="0" data-copy="the error" {
                    @if let Some(sqlstate) = &parked.sqlstate { "SQLSTATE " (sqlstate) "\n" }
                    (parked.error.as_deref().unwrap_or_default())
                }
                p { (layout::error_details(&parked.error_details)) }
                p.faint {
                    "Failed attempts: " (parked.attempts)
                    @if let Some(at) = &parked.last_failed_at { ", the last " (format::when(at)) }
                }
            }
            p {
                @if identity.may_act() { (parked::ways(parked, "message")) }
                a href=(link::with(failures::LIST, &[("id", &parked.subscriber_id)])) { "All that it has parked" }
                @if identity.may_act() && is_bad {
                    " · "
                    a href=(link::with(parked::CONFIRM, &[("id", &parked.subscriber_id), ("do", "retry"), ("stream", &parked.stream_name)])) {
                        "Retry all of its stream"
                    }
                }
            }
        }
    }
}

fn columns(message: &Whole) -> Markup {
    html! {
        dl.facts {
            dt { "Type" } dd { (message.message_type) }
            dt { "Stream" } dd {
                a href=(link::browse(&message.stream_name)) data-copy="the stream" { (message.stream_name) }
                ", position " (format::count(message.position)) " "
                a href=(link::browse_at(&message.stream_name, message.position)) { "among its neighbours" }
            }
            dt { "Global position" } dd { (format::count(message.global_position)) }
            dt { "Written (UTC)" } dd { (message.time) " · " (format::when(&message.time)) }
            dt { "Id" } dd { code data-copy="the id" { (message.id) } }
            @if let Some(correlation) = &message.correlation {
                dt { "Correlated with" } dd {
                    a href=(link::browse(correlation)) { (correlation) } " "
                    a href=(link::with_metadata("correlationStreamName", correlation, message.global_position)) {
                        "the whole workflow, from here"
                    }
                    " "
                    @if let Some(of_it) = &message.correlation_category {
                        a href=(link::correlated(&message.category, of_it)) {
                            "correlated messages of this category"
                        }
                    }
                }
            }
        }
        (json(message, "Data", "data", message.data.as_deref(), message.data_bytes))
        (json(message, "Metadata", "metadata", message.metadata.as_deref(), message.metadata_bytes))
    }
}

fn json(
    message: &Whole,
    title: &str,
    column: &str,
    text: Option<&str>,
    bytes: Option<i64>,
) -> Markup {
    /// Lines that are shown without being asked for.
    const FOLDED_BEYOND: usize = 60;
    let is_long = text.is_some_and(|text| text.lines().count() > FOLDED_BEYOND);
    html! {
        h2 { (title) }
        @match (text, bytes) {
            (None, None) => p.faint { "NULL" },
            (None, Some(bytes)) => p {
                "It has " (format::count(bytes)) " bytes as stored: too many to be shown here, or too deep, or with \
                 numbers that are too long. "
                a href={ (link::message(message.global_position)) "/" (column) } { "The whole of it" } ", up to 4 MiB. "
                (whole(message.global_position))
            },
            (Some(text), _) if is_long => details { summary { (text.lines().count()) " lines" } pre tabindex="0" { (text) } },
            (Some(text), _) => pre tabindex="0" data-copy={ "the " (column) } { (text) },
        }
        @if text.is_some_and(Whole::is_cut) {
            p {
                "Only the beginning is shown. "
                a href={ (link::message(message.global_position)) "/" (column) } { "Show all of it, as stored" } ". "
                (whole(message.global_position))
            }
        }
    }
}

/// How the whole of a message is had, whatever it holds.
fn whole(position: i64) -> Markup {
    html! {
        "To read the whole message: " code data-copy="the command" { "orchestrator read '$all' --position " (position) " --limit 1" }
    }
}

/// What led to a message, and what came of it.
struct Chain {
    /// Itself first, then its cause, and so on.
    ancestry: Vec<CausationLink>,
    /// In the order of the log.
    descendants: Vec<CausationLink>,
    looked_to: i64,
    /// Whether the log goes on behind that.
    has_more: bool,
    /// How many times as many as at first were looked at.
    looks: i64,
}

impl Chain {
    fn draw(&self) -> Markup {
        let first = self.ancestry.last();
        let missing = first.and_then(|first| first.cause);
        let is_cut = missing.is_some() && self.ancestry.len() > WALKED;
        html! {
            h2 { "What caused it, and what it caused" }
            @if self.ancestry.len() == 1 && self.descendants.is_empty() && missing.is_none() {
                p { "Its metadata names no cause, and no message that we looked at names it as theirs." }
            } @else {
                @if let Some(cause) = missing.filter(|_| !is_cut) {
                    p.faint { "The first one here was caused by message " (format::count(cause)) ", which is not there before it." }
                }
                @if let Some(first) = first.filter(|_| is_cut) {
                    p {
                        "There are more before the first " (WALKED) " that are shown: "
                        a href=(link::message(first.global_position)) { "go on from " (format::count(first.global_position)) } "."
                    }
                }
                ul.tree { (self.branch(self.ancestry.len().saturating_sub(1))) }
            }
            p {
                "We looked for what it caused in the " (format::count(SEARCHED * self.looks))
                " messages that follow it, here as far as position " (format::count(self.looked_to)) ". "
                @match (self.has_more, self.ancestry.first()) {
                    (false, _) | (_, None) => "The log ends there.",
                    (true, Some(_)) if self.looks >= MOST_LOOKS => {
                        "We look no further from here; a message at the end of the tree looks on from its own page."
                    }
                    (true, Some(here)) => {
                        "The log goes on: "
                        @let looks = (self.looks * 5).min(MOST_LOOKS).to_string();
                        a href=(link::with(&link::message(here.global_position), &[("looks", &looks)])) { "look further" } "."
                    }
                }
            }
        }
    }

    /// From an ancestor down to the message itself, and from there all that came of it.
    fn branch(&self, depth: usize) -> Markup {
        let Some(link) = self.ancestry.get(depth) else {
            return html! {};
        };
        if depth > 0 {
            return html! { li { (node(link, false)) ul { (self.branch(depth - 1)) } } };
        }
        let mut children: HashMap<i64, Vec<&CausationLink>> = HashMap::new();
        for descendant in &self.descendants {
            if let Some(cause) = descendant.cause {
                children.entry(cause).or_default().push(descendant);
            }
        }
        html! { li { (node(link, true)) (offspring(link.global_position, &children, DRAWN)) } }
    }
}

/// What came of a message, so many generations of it; what lies deeper is a page of its own.
fn offspring(
    cause: i64,
    children: &HashMap<i64, Vec<&CausationLink>>,
    generations: usize,
) -> Markup {
    html! {
        @if let Some(links) = children.get(&cause) {
            ul {
                @if generations == 0 {
                    li { a href=(link::message(cause)) { "What came of " (format::count(cause)) } }
                } @else {
                    @for link in links.iter().take(SIBLINGS) {
                        li {
                            (node(link, false))
                            (offspring(link.global_position, children, generations - 1))
                        }
                    }
                    @if let Some(last) = links.get(SIBLINGS - 1).filter(|_| links.len() > SIBLINGS) {
                        li {
                            "and " (format::count_of(links.len() - SIBLINGS)) " more, among "
                            a href=(link::with("/admin/browse", &[("above", &last.global_position.to_string())])) { "the messages that follow" }
                        }
                    }
                }
            }
        }
    }
}

fn node(link: &CausationLink, is_here: bool) -> Markup {
    html! {
        a.node href=(link::message(link.global_position)) aria-current=[is_here.then_some("true")] {
            strong { (link.message_type) } " " (link.stream_name) " "
            span.faint { (format::count(link.global_position)) }
        }
    }
}
