//! Asking before, and doing it: pages that need no script.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use tracing::info;

use super::{
    form::{self, Action, Fields},
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link,
    notices::Notice,
    operation::{Given, Operation},
    site::Site,
};
use message_store_client::{database::TableChange, error::Result};

/// Where a operation is asked about.
pub const CONFIRM: &str = "/admin/subscription/confirm";
/// Where it is done.
pub const ACT: &str = "/admin/subscription/act";

/// Says what will happen; nothing does yet.
pub async fn confirm(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let id = query.text("id").unwrap_or_default();
    let operation = query.text("do").and_then(Operation::from_word);
    let (Some(operation), false) = (operation, id.is_empty()) else {
        let text = "This link does not say what to do, or to which subscription.";
        return layout::missing(&identity, Section::Subscriptions, text);
    };
    if !identity.may_act() {
        return layout::refuse(&identity, "You may look, but not act.");
    }
    let status = match operation.asks_for() {
        Some(_) => site.operators.status_with_copy(id).await,
        None => Ok(Vec::new()),
    };
    let status = match status {
        Ok(status) => status,
        Err(error) => return layout::trouble(&identity, Section::Subscriptions, &error),
    };
    let promotion = match operation {
        Operation::Promote => Some(site.operators.look_at_promotion(id).await),
        _ => None,
    };
    let content = html! {
        p {
            code { (id) }
            @if let Some(first) = status.first() {
                ": at position " (format::count(status.iter().map(|one| one.position).min().unwrap_or(0)))
                @if let Some(head) = first.head { " of " (format::count(head)) }
                ", " (first.group_size) @if first.group_size == 1 { " member" } @else { " members" }
            }
        }
        p.notice.warn[operation.is_grave()] { (operation.warning()) }
        @match &promotion {
            Some(Ok(changes)) => { (compared(changes)) }
            Some(Err(error)) => p.notice.bad role="alert" { "It cannot be compared: " (error.to_string()) },
            None => {}
        }
        form method="post" action=(ACT) {
            (form::key(&identity))
            input type="hidden" name="id" value=(id);
            input type="hidden" name="do" value=(operation.word());
            @if let Some(what) = operation.asks_for() {
                p {
                    label for="number" { (what) }
                    input #number type="number" name="number" min="0" required;
                }
            }
            @if let Some(what) = operation.may_empty() {
                p { label { input type="checkbox" name="may_empty" value="1"; " " (what) } }
            }
            @if operation.takes_reason() {
                p {
                    label for="reason" { "Reason, kept in the history" }
                    input #reason type="text" name="reason" maxlength="1000" size="40" required[operation.needs_reason()];
                }
            }
            p { (buttons(operation.name(), operation.is_grave(), &link::subscription(id))) }
        }
    };
    let mut page = Page::new(
        Section::Subscriptions,
        format!("{}?", operation.name()),
        content,
    );
    page.crumbs = crumbs(id);
    page.show(&identity)
}

/// What a promotion would change, before it does.
fn compared(changes: &[TableChange]) -> Markup {
    layout::table(
        "What it would change now",
        html! {
            thead { tr {
                th scope="col" { "Read model" }
                @for what in ["Rows that come", "Rows that go", "Rows that change"] {
                    th.number scope="col" { (what) }
                }
            } }
            tbody {
                @for change in changes {
                    tr {
                        th scope="row" { (change.read_model) }
                        @for rows in [change.added, change.removed, change.changed] {
                            td.number { (format::count(rows)) }
                        }
                    }
                }
            }
        },
    )
}

/// Does it, and leads back to the subscription with what it came to.
pub async fn act(State(site): State<Arc<Site>>, action: Action) -> Response {
    let Action { identity, fields } = action;
    let id = fields.text("id").unwrap_or_default();
    let Some(operation) = fields.text("do").and_then(Operation::from_word) else {
        return layout::refuse(&identity, "This form does not say what to do.");
    };
    let given = Given {
        reason: fields.text("reason").map(str::trim),
        number: fields.number("number"),
        may_empty: fields.text("may_empty").is_some(),
    };
    if operation.asks_for().is_some() && given.number.is_none() {
        return layout::refuse(&identity, "Go back and give a whole number.");
    }
    let steering = site.operators.acting_for(&identity.name);
    let done = operation.perform(&steering, id, given).await;
    if done.is_ok() {
        info!(
            subscriber_id = id,
            actor = identity.name,
            operation = operation.word(),
            "by the dashboard"
        );
    }
    let done = done.map(|()| operation.result().to_owned());
    site.answer(&link::subscription(id), done)
}

/// The button that does it, and the way back.
pub fn buttons(name: &str, is_grave: bool, back: &str) -> Markup {
    html! {
        button.danger[is_grave].main[!is_grave] type="submit" { (name) }
        " "
        a.button href=(back) { "Go back" }
    }
}

/// The way to a page about one subscription.
pub fn crumbs(subscriber_id: &str) -> Vec<(String, String)> {
    vec![
        (
            "Subscriptions".to_owned(),
            "/admin/subscriptions".to_owned(),
        ),
        (subscriber_id.to_owned(), link::subscription(subscriber_id)),
    ]
}

impl Site {
    /// Leads to a page that shows what an action came to.
    pub(super) fn answer(&self, page: &str, done: Result<String>) -> Response {
        self.samples.refresh();
        let notice = match done {
            Ok(text) => Notice {
                is_good: true,
                text,
            },
            Err(error) => Notice {
                is_good: false,
                text: format!("Nothing was done: {error}"),
            },
        };
        let key = self.notices.keep(notice);
        let and = if page.contains('?') { '&' } else { '?' };
        Redirect::to(&format!("{page}{and}notice={key}")).into_response()
    }

    /// The notice that a link names.
    pub(super) fn notice(&self, query: &Fields) -> Option<Notice> {
        self.notices.find(query.text("notice")?)
    }
}
