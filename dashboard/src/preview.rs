//! What handlers would do to the next messages, or to the parked ones: done in the database, shown,
//! and taken back.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    actions, failures,
    form::{self, Action},
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link, parked,
    site::Site,
};
use message_store_client::{
    database::{Handling, ParkedFilter, Trial, TrialFailure, Which},
    pretty::pretty,
};

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
        if of == Of::Next {
            return database.try_messages(id, TRIED, None).await;
        }
        let all = Which::Matching(ParkedFilter::default());
        let chosen = which.as_ref().unwrap_or(&all);
        let positions = database
            .parked_positions(id, Handling::Retry, chosen, TRIED)
            .await?;
        database.try_messages(id, TRIED, Some(&positions)).await
    };
    let content = match &tried.await {
        Err(error) if error.is_connection_loss() => {
            return layout::trouble(&identity, section, error);
        }
        Err(error) => html! {
            p.notice.bad role="alert" { "It cannot be tried: " (error.to_string()) }
        },
        Ok(trial) => outcome(of, trial),
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

/// How many would succeed, what they would change, and why the others fail.
fn outcome(of: Of, trial: &Trial) -> Markup {
    let messages = |count: usize| {
        let word = if count == 1 { "message" } else { "messages" };
        format!("{} {word}", format::count_of(count))
    };
    html! {
        @if trial.messages() == 0 {
            p.notice.warn {
                "There was nothing to try: "
                @match of {
                    Of::Next => { "among the next " (TRIED) " messages of its source is none that it handles." }
                    Of::Parked => "none of these messages is parked and failed.",
                }
            }
        } @else if trial.failures.is_empty() {
            p.notice.good {
                (messages(trial.messages())) " would succeed"
                @if trial.changes.is_empty() { " and change nothing in the declared read model." }
                @else { " and change the rows below. Nothing has been changed." }
            }
        } @else {
            p.notice.bad role="alert" {
                "Of " (messages(trial.messages())) ", " (format::count_of(trial.succeed)) " would succeed and "
                (format::count_of(trial.failed())) " would fail."
                @if trial.waiting > 0 {
                    " " (format::count_of(trial.waiting)) " would wait behind those in their streams."
                }
                " Nothing has been changed."
            }
            h2 { "Why they would fail" }
            (failures_table(&trial.failures))
        }
        @if !trial.changes.is_empty() {
            @if !trial.failures.is_empty() { h2 { "What the others would change" } }
            (changes(&trial.changes, ["Before", "After"]))
        }
        @if trial.has_more {
            p.faint { "There are more: " code { "orchestrator subscriptions dry-run" } " prints all." }
        }
    }
}

fn failures_table(failures: &[TrialFailure]) -> Markup {
    /// Messages of one error that are named.
    const NAMED: usize = 10;
    html! {
        (layout::cards("Why they would fail", html! {
            thead { tr { th scope="col" { "Error" } th.number scope="col" { "Messages" } th scope="col" { "Which" } } }
            tbody {
                @for failure in failures {
                    tr {
                        td.wide data-label="Error" { code { (failure.sqlstate) } " " (failure.error) }
                        td.number data-label="Messages" { (format::count_of(failure.positions.len())) }
                        td data-label="Which" {
                            @for position in failure.positions.iter().take(NAMED) {
                                a href=(link::message(*position)) { (format::count(*position)) } " "
                            }
                            @if failure.positions.len() > NAMED { "…" }
                        }
                    }
                }
            }
        }))
    }
}

/// Bytes of a row that are shown.
const SHOWN_ROW: usize = 16 << 10;

/// Rows that differ, as they are on one side and on the other.
pub fn changes(rows: &[Value], sides: [&str; 2]) -> Markup {
    let json = |row: &Value, column: &str, is_there: &str| match row[column].as_str() {
        Some(text) => pretty(text, SHOWN_ROW),
        None if row[is_there] == true => "too large to be shown here".to_owned(),
        None => String::new(),
    };
    html! {
        (layout::table("Changes", html! {
            thead { tr {
                th scope="col" { "Read model" } th scope="col" { "Change" }
                @for side in sides { th scope="col" { (side) } }
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
