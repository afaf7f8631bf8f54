//! Whether a read model is what the log makes of it: a replay into copies, compared and dropped.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};

use super::{
    actions,
    form::{self, Action},
    identity::Identity,
    layout::{self, Page, Section},
    link, preview,
    site::Site,
};

/// Where it is asked for.
pub const SHOW: &str = "/admin/subscription/verify";

/// Asks for it.
pub fn button(identity: &Identity, subscriber_id: &str) -> Markup {
    html! {
        form.inline method="post" action=(SHOW) {
            (form::key(identity))
            input type="hidden" name="id" value=(subscriber_id);
            button type="submit" { "Verify the read model" }
        }
        p.faint {
            "To verify is to replay all messages into copies and compare these with the live tables. Here it may take a \
             minute; " code { "orchestrator subscriptions verify" } " has no limit."
        }
    }
}

/// Does it.
pub async fn show(State(site): State<Arc<Site>>, action: Action) -> Response {
    let Action { identity, fields } = action;
    let id = fields.text("id").unwrap_or_default();
    let steering = site.operators.acting_for(&identity.name);
    let content = match &steering.verify(id).await {
        Err(error) if error.is_connection_loss() => {
            return layout::trouble(&identity, Section::Subscriptions, error);
        }
        Err(error) => html! {
            p.notice.bad role="alert" { "It cannot be verified: " (error.to_string()) }
        },
        Ok((rows, _)) if rows.is_empty() => html! {
            p.notice.good { "The read model is what the log makes of it. Nothing has been changed." }
        },
        Ok((rows, has_more)) => html! {
            p.notice.bad role="alert" { "These rows differ from what the log makes of them. Nothing has been changed." }
            (preview::changes(rows, ["Expected", "Found"]))
            @if *has_more {
                p.faint { "There are more: " code { "orchestrator subscriptions verify" } " prints all." }
            }
        },
    };
    let content = html! {
        (content)
        p { a.button href=(link::subscription(id)) { "Go back" } }
    };
    let mut page = Page::new(Section::Subscriptions, "Is the read model right?", content);
    page.crumbs = actions::crumbs(id);
    page.show(&identity)
}
