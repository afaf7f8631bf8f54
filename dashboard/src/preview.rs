//! What handlers would do to the next messages, or to the parked ones: done in the database, shown,
//! and taken back.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    actions, failures,
    form::{self, Action},
    identity::Identity,
    layout::{self, Page, Section},
    link, parked,
    site::Site,
};
use message_store_client::{database::Handling, pretty::pretty};

/// Where it is asked for.
pub const SHOW: &str = "/admin/subscription/preview";

/// Messages that are tried at most.
const TRIED: i64 = 100;

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The messages behind its position.
    Next,
    /// Those that failures put aside.
    Parked,
}

impl Of {
    fn word(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Parked => "parked",
        }
    }

    /// What it says above the changes.
    fn title(self) -> &'static str {
        match self {
            Self::Next => "What the next messages would change",
            Self::Parked => "What a retry would change",
        }
    }
}

/// Asks for it.
pub fn button(identity: &Identity, subscriber_id: &str, of: Of) -> Markup {
    html! {
        form.inline method="post" action=(SHOW) {
            (form::key(identity))
            input type="hidden" name="id" value=(subscriber_id);
            input type="hidden" name="of" value=(of.word());
            button type="submit" {
                @match of {
                    Of::Next => { "Preview the next " (TRIED) " messages" }
                    Of::Parked => { "Preview a retry of the first " (TRIED) }
                }
            }
        }
        p.faint { "A preview calls the handlers, shows what they would change, and rolls it back." }
    }
}

/// Asks for it from a form that says which parked messages it is about.
pub fn button_of_form() -> Markup {
    html! {
        button type="submit" name="of" value=(Of::Parked.word()) formaction=(SHOW) formnovalidate {
            "Preview the first " (TRIED)
        }
    }
}

/// Lets the handlers try: on the next messages, on the parked ones that the form chooses, or on the
/// first of them.
pub async fn show(State(site): State<Arc<Site>>, action: Action) -> Response {
    let Action { identity, fields } = action;
    let (id, which) = match parked::Selection::read(&fields) {
        Some(parked::Selection::Of(id, which)) => (id, Some(which)),
        _ => (fields.text("id").unwrap_or_default(), None),
    };
    let (of, section, back) = match fields.text("of") {
        Some("next") => (Of::Next, Section::Subscriptions, link::subscription(id)),
        _ => (
            Of::Parked,
            Section::Failures,
            link::with(failures::LIST, &[("id", id)]),
        ),
    };
    let database = &site.operators;
    let tried = async {
        let chosen = match &which {
            Some(which) if of == Of::Parked => Some(
                database
                    .parked_positions(id, Handling::Retry, which, TRIED)
                    .await?,
            ),
            _ => None,
        };
        database
            .preview(id, TRIED, of == Of::Parked, chosen.as_deref())
            .await
    };
    let content = match &tried.await {
        Err(error) if error.is_connection_loss() => {
            return layout::trouble(&identity, section, error);
        }
        Err(error) => html! {
            p.notice.bad role="alert" { "It would fail: " (error.to_string()) }
        },
        Ok((rows, _)) if rows.is_empty() => html! {
            p.notice.good { "The call would succeed. It would change nothing in the declared read model." }
        },
        Ok((rows, has_more)) => html! {
            p.notice.good { "The call would succeed and change the rows below. Nothing has been changed." }
            (changes(rows))
            @if *has_more {
                p.faint { "There are more: " code { "orchestrator subscriptions dry-run" } " prints all." }
            }
        },
    };
    let content = html! {
        (content)
        p { a.button href=(back) { "Go back" } }
    };
    let mut page = Page::new(section, of.title(), content);
    page.crumbs = actions::crumbs(id);
    if of == Of::Parked {
        page.crumbs.push(("Parked messages".to_owned(), back));
    }
    page.show(&identity)
}

/// Bytes of a row that are shown.
const SHOWN_ROW: usize = 16 << 10;

fn changes(rows: &[Value]) -> Markup {
    let json = |row: &Value, column: &str, is_there: &str| match row[column].as_str() {
        Some(text) => pretty(text, SHOWN_ROW),
        None if row[is_there] == true => "too large to be shown here".to_owned(),
        None => String::new(),
    };
    html! {
        (layout::table("Changes", html! {
            thead { tr {
                th scope="col" { "Read model" } th scope="col" { "Change" }
                th scope="col" { "Before" } th scope="col" { "After" }
            } }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (row["read_model"].as_str().unwrap_or_default()) }
                        td { (row["difference"].as_str().unwrap_or_default()) }
                        td.wide { pre { (json(row, "before", "had_row")) } }
                        td.wide { pre { (json(row, "after", "has_row")) } }
                    }
                }
            }
        }))
    }
}
