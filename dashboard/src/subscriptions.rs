//! Every subscription, and the one that is looked for.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use maud::html;

use super::{
    form::Fields,
    identity::Identity,
    layout::{Page, Section},
    overview::{self, Condition, Wanted},
    site::Site,
};

/// The page: from the latest sample, without a query.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let wanted = Wanted {
        text: query.text("q").unwrap_or_default(),
        condition: query.text("state").and_then(Condition::from_word),
    };
    let latest = site.samples.look();
    let content = html! {
        form method="get" role="search" aria-label="Subscriptions" {
            label for="q" { "Id or source contains" }
            input #q type="search" name="q" value=(wanted.text) maxlength="1024";
            @if let Some(condition) = wanted.condition { input type="hidden" name="state" value=(condition.word()); }
            " "
            button type="submit" { "Search" }
        }
        @if let Some(condition) = wanted.condition {
            p { "Those that are " (condition.badge()) " · " a href="/admin/subscriptions" { "all" } }
        }
        (overview::state(latest.trouble.as_deref(), latest.sample.as_deref()))
        @if let Some(sample) = &latest.sample {
            h2 { "Subscriptions" }
            (overview::table(sample, &site.samples, &wanted))
        }
    };
    Page::new(Section::Subscriptions, "Subscriptions", content).show(&identity)
}
