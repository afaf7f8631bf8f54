//! Every subscription, and the one that is looked for.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use maud::html;

use super::{
    form::Fields,
    identity::Identity,
    layout::{Page, Section},
    overview,
    site::Site,
};

/// The page: from the latest sample, without a query.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let wanted = query.text("q").unwrap_or_default();
    let latest = site.samples.look();
    let content = html! {
        form method="get" role="search" {
            label for="q" { "Id or source contains" }
            input #q type="search" name="q" value=(wanted) maxlength="1024";
            " "
            button type="submit" { "Search" }
        }
        (overview::state(latest.trouble.as_deref(), latest.sample.as_deref()))
        @if let Some(sample) = &latest.sample {
            h2 { "Subscriptions" }
            (overview::table(sample, &site.samples, wanted))
        }
    };
    Page::new(Section::Subscriptions, "Subscriptions", content).show(&identity)
}
