//! What every page has: the way around, where one is, what just happened.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use tracing::warn;

use super::{categories, identity::Identity, login, notices::Notice};
use message_store_client::{Error, database::ErrorDetails};

use web_server::visible;

/// The parts of the dashboard, as the navigation lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Everything at a glance.
    Overview,
    /// Every subscription, and one of them.
    Subscriptions,
    /// What failed: subscriptions and parked messages.
    Failures,
    /// Categories, streams, and their messages.
    Categories,
    /// What pages read.
    ReadModels,
    /// Who did what.
    History,
}

const SECTIONS: [(Section, &str, &str); 6] = [
    (Section::Overview, "Overview", "/admin"),
    (
        Section::Subscriptions,
        "Subscriptions",
        "/admin/subscriptions",
    ),
    (Section::Failures, "Failures", "/admin/parked"),
    (Section::Categories, "Categories", "/admin/categories"),
    (Section::ReadModels, "Read models", "/admin/read-models"),
    (Section::History, "History", "/admin/history"),
];

/// What is said of a text that the database's encoding has no letters for.
const UNKNOWN_TEXT: &str = "This text holds a character that the database cannot hold.";

/// A page.
pub struct Page {
    /// What it is about: heading and title.
    pub title: String,
    /// Which part it belongs to.
    pub section: Section,
    /// The way to it, each with its link; the page itself is left out.
    pub crumbs: Vec<(String, String)>,
    /// Where its live regions come from, see `events`: a link.
    pub live: Option<String>,
    /// The result of the action that led here.
    pub notice: Option<Notice>,
    /// The rest.
    pub content: Markup,
}

impl Page {
    /// A page that is not live.
    pub fn new(section: Section, title: impl Into<String>, content: Markup) -> Self {
        Self {
            title: title.into(),
            section,
            crumbs: Vec::new(),
            live: None,
            notice: None,
            content,
        }
    }

    /// As a person gets it.
    pub fn show(self, identity: &Identity) -> Response {
        ([(header::CACHE_CONTROL, "no-store")], self.render(identity)).into_response()
    }

    fn render(self, identity: &Identity) -> Markup {
        let body = html! {
            a.skip href="#content" { "Skip to the content" }
            header {
                nav aria-label="Dashboard" {
                    ul {
                        @for (section, name, path) in SECTIONS {
                            li {
                                @if section == self.section {
                                    a href=(path) aria-current=[(self.crumbs.is_empty()).then_some("page")] class="here" { (name) }
                                } @else {
                                    a href=(path) { (name) }
                                }
                            }
                        }
                    }
                }
                form.search method="get" action=(categories::SEARCH) role="search" aria-label="Everything" {
                    label.unseen for="search" { "Find a message, stream, category or subscription" }
                    input #search type="search" name="q" maxlength="2048" required placeholder="id, stream, key=value …";
                    button type="submit" { "Find" }
                }
                div.who {
                    @if !identity.database.is_empty() { span title="Database" { (identity.database) } }
                    span { (identity.name) @if !identity.may_act() { " · may look" } }
                    @if identity.has_session {
                        form method="post" action=(login::LEAVE) {
                            button.plain type="submit" { "Sign out" }
                        }
                    }
                }
            }
            main #content tabindex="-1" data-events=[self.live.as_deref()] {
                @if !self.crumbs.is_empty() {
                    nav aria-label="Breadcrumb" {
                        ol.crumbs {
                            @for (name, path) in &self.crumbs {
                                li { a href=(path) { (name) } }
                            }
                            li aria-current="page" { (self.title) }
                        }
                    }
                }
                @if let Some(notice) = &self.notice {
                    p.notice.good[notice.is_good].bad[!notice.is_good] role="status" { (notice.text) }
                }
                h1 { (self.title) }
                (self.content)
            }
        };
        document(&self.title, body)
    }
}

/// A table that scrolls by itself where it is wider than the page, by the keyboard too. `content`
/// is its head and body.
pub fn table(label: &str, content: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table { (content) }
        }
    }
}

/// What an error said besides its message, a line for each part.
pub fn error_details(details: &ErrorDetails) -> Markup {
    html! {
        @for (name, part) in details.parts() {
            br; span.faint { (name) ": " } (part)
        }
    }
}

/// The same, whose rows are cards where the window is narrow: a cell says what it is by `data-label`.
pub fn cards(label: &str, content: Markup) -> Markup {
    html! {
        div.scroll.cards tabindex="0" role="region" aria-label=(label) {
            table { (content) }
        }
    }
}

/// A page without a way around, for who is not in yet.
pub fn bare(title: &str, content: Markup) -> Markup {
    document(title, html! { main #content.bare { (content) } })
}

/// Whoever asks gets no more than this.
pub async fn not_found() -> Response {
    let content = html! {
        h1 { "There is no such page" }
        p { a href="/admin" { "To the overview" } }
    };
    (StatusCode::NOT_FOUND, bare("Not found", content)).into_response()
}

/// What was asked for is not there.
pub fn missing(identity: &Identity, section: Section, text: &str) -> Response {
    let page = Page::new(section, "Not found", html! { p { (text) } });
    (StatusCode::NOT_FOUND, page.show(identity)).into_response()
}

/// Why something was not done.
pub fn refuse(identity: &Identity, text: &str) -> Response {
    let content = html! {
        p.notice.bad role="alert" { (text) }
    };
    let page = Page::new(Section::Overview, "Refused", content);
    (StatusCode::FORBIDDEN, page.show(identity)).into_response()
}

/// The page while the database does not answer, or does not as we asked. Only
/// operators are told the cause: it names hosts and statements.
pub fn trouble(identity: &Identity, section: Section, error: &Error) -> Response {
    if error.is_unknown_text() {
        let page = Page::new(section, "Nothing found", html! { p { (UNKNOWN_TEXT) } });
        return (StatusCode::BAD_REQUEST, page.show(identity)).into_response();
    }
    warn!("dashboard: {error}");
    let (status, what) = if error.is_connection_loss() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "The database does not answer.",
        )
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "The database refused.")
    };
    let content = html! {
        p.notice.bad role="alert" {
            (what)
            @if identity.may_act() { " " (error.to_string()) "." }
        }
        p { "Reload this page to try again." }
    };
    let page = Page::new(section, "Not available", content);
    (status, [(header::RETRY_AFTER, "2")], page.show(identity)).into_response()
}

fn document(title: &str, body: Markup) -> Markup {
    visible(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · message_store" }
                link rel="stylesheet" href="/admin/dashboard.css";
                link rel="icon" href="data:,";
                script src="/admin/dashboard.js" defer {}
            }
            body { (body) }
        }
    })
}
