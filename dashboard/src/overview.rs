//! Everything at a glance, from the latest sample: no query.

use std::{sync::Arc, time::SystemTime};

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};

use super::{
    chart,
    events::{self, Regions},
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link,
    site::Site,
};
use message_store_client::database::SubscriptionStatus;
use message_store_client::samples::{Sample, Samples};

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
) -> Response {
    let content = html! {
        @for (id, markup) in regions(&site) {
            section id=(id) { (markup) }
        }
    };
    let mut page = Page::new(Section::Overview, "Overview", content);
    page.live = Some(link::with("/admin/events", &[("view", "overview")]));
    page.show(&identity)
}

/// What moves.
pub fn regions(site: &Site) -> Regions {
    let latest = site.samples.look();
    let state = state(latest.trouble.as_deref(), latest.sample.as_deref());
    let Some(sample) = latest.sample else {
        // Their places are there, so that the first sample finds them.
        let others = ["figures", "writes", "blockers", "subscriptions"];
        return events::only(("state", state), &others);
    };
    vec![
        ("state", state),
        ("figures", figures(&sample)),
        ("writes", writes(&site.samples)),
        ("blockers", blockers(&sample)),
        ("subscriptions", subscriptions(&sample, &site.samples)),
    ]
}

/// Whether what the page says is of now.
pub fn state(trouble: Option<&str>, sample: Option<&Sample>) -> Markup {
    html! {
        @match (trouble, sample) {
            (Some(_), Some(sample)) => p.notice.bad role="alert" {
                "The database does not answer. This was the state " (format::ago(sample.at)) "."
            },
            (Some(_), None) => p.notice.bad role="alert" { "The database does not answer." },
            (None, None) => p.faint { "We are looking at the database for the first time." },
            (None, Some(_)) => {}
        }
    }
}

fn figures(sample: &Sample) -> Markup {
    let parked = parked(sample);
    let troubled = subscriptions_of(sample)
        .filter(|members| members[0].state == "stopped")
        .count();
    let figure = |name: &str, value: String, is_bad: bool| {
        html! {
            div.figure.bad[is_bad] {
                dt { (name) }
                dd { (value) }
            }
        }
    };
    let rate = sample.write_rate.map_or("–".to_owned(), format::rate);
    html! {
        dl.figures {
            (figure("Messages a second", rate, false))
            (figure("Last position", format::count(sample.head), false))
            (figure("Subscriptions", subscriptions_of(sample).count().to_string(), false))
            (figure("Stopped", troubled.to_string(), troubled > 0))
            (figure("Parked messages", format::count(parked), parked > 0))
            (figure("Orchestrators alive", sample.orchestrators.len().to_string(), sample.orchestrators.is_empty()))
        }
    }
}

fn writes(samples: &Samples) -> Markup {
    let readings: Vec<_> = samples
        .written()
        .iter()
        .map(|moment| (moment.at, moment.rate))
        .collect();
    html! {
        h2 { "Written" }
        (chart::lines("Write rate", "messages a second", &readings))
    }
}

fn blockers(sample: &Sample) -> Markup {
    html! {
        @if !sample.blockers.is_empty() {
            h2 { "What keeps readers waiting" }
            p { "Open transactions that have written messages, or are about to. Look into one that stays here for long." }
            (layout::table("What keeps readers waiting", html! {
                thead { tr { th scope="col" { "Session" } th.number scope="col" { "Open for" } th.number scope="col" { "Readers see up to" } } }
                tbody {
                    @for blocker in &sample.blockers {
                        tr {
                            td {
                                @if let Some(pid) = blocker.pid {
                                    "process " (pid)
                                } @else {
                                    "a prepared transaction (pg_prepared_xacts)"
                                }
                            }
                            td.number {
                                @if let Some(seconds) = blocker.seconds { (format::seconds(seconds)) } @else { "–" }
                            }
                            td.number { (format::count(blocker.holds_back_after)) }
                        }
                    }
                }
            }))
        }
    }
}

fn subscriptions(sample: &Sample, samples: &Samples) -> Markup {
    html! {
        h2 { "Subscriptions" }
        (table(sample, samples, ""))
    }
}

/// Subscriptions that a page lists.
const LISTED: usize = 200;

/// A row for each subscription whose id or source contains `wanted`, those first
/// that need somebody; the first [`LISTED`] of them.
pub fn table(sample: &Sample, samples: &Samples, wanted: &str) -> Markup {
    let is_wanted = |members: &&[SubscriptionStatus]| {
        members[0].subscriber_id.contains(wanted) || members[0].source.contains(wanted)
    };
    let mut found: Vec<_> = subscriptions_of(sample).filter(is_wanted).collect();
    found.sort_by_key(|members| urgency(&members[0]));
    let more = found.len().saturating_sub(LISTED);
    found.truncate(LISTED);
    html! {
        @if found.is_empty() {
            p.faint { "There are none, or this role may not see them." }
        } @else {
            (layout::table("Subscriptions", html! {
                thead {
                    tr {
                        th scope="col" { "Subscription" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Lag" }
                        th scope="col" { "Lag, last hour" }
                        th scope="col" { "Rate" }
                        th.number scope="col" { "Parked" }
                    }
                }
                tbody {
                    @for members in found {
                        (row(members, samples))
                    }
                }
            }))
            @if more > 0 {
                p.notice.warn {
                    "And " (format::count_of(more)) " more. "
                    a href="/admin/subscriptions" { "Search" } " by id or source."
                }
            }
        }
    }
}

/// The lower, the sooner somebody should look.
fn urgency(status: &SubscriptionStatus) -> u8 {
    match &*status.state {
        "stopped" => 0,
        "started" if status.attempts > 0 => 1,
        _ if status.parked > 0 => 2,
        "paused" => 3,
        _ => 4,
    }
}

fn row(members: &[SubscriptionStatus], samples: &Samples) -> Markup {
    let first = &members[0];
    let lag: i64 = members.iter().filter_map(|member| member.lag).sum();
    let is_estimate = members
        .iter()
        .any(|member| member.lag_is_estimate == Some(true));
    let series = samples.series(&first.subscriber_id);
    let readings =
        |value: fn(&message_store_client::samples::Point) -> f64| -> Vec<(SystemTime, f64)> {
            series
                .iter()
                .map(|point| (point.at, value(point)))
                .collect()
        };
    let rate: f64 = series.last().map_or(0.0, |point| point.rate);
    html! {
        tr {
            th scope="row" {
                a href=(link::subscription(&first.subscriber_id)) { (first.subscriber_id) }
                @if members.len() > 1 { " " span.faint { (members.len()) " members" } }
            }
            td { (state_of(first)) }
            td.number {
                @if is_estimate { abbr title="estimated" { "~" } }
                (format::count(lag))
            }
            td { (chart::sparkline("Lag", &readings(lag_of))) }
            td { (chart::sparkline("Rate", &readings(|point| point.rate))) " " (format::rate(rate)) "/s" }
            td.number { (format::count(first.parked)) }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a picture for people")]
fn lag_of(point: &message_store_client::samples::Point) -> f64 {
    point.lag as f64
}

/// The state in a word, and never by its colour alone.
pub fn state_of(status: &SubscriptionStatus) -> Markup {
    let is_retrying = status.state == "started" && status.attempts > 0;
    let word = if is_retrying {
        "retrying"
    } else {
        &*status.state
    };
    html! { span class={ "state " (word) } { (word) } }
}

/// The members of each subscription, together.
pub fn subscriptions_of(sample: &Sample) -> impl Iterator<Item = &[SubscriptionStatus]> {
    let rows = &sample.subscriptions;
    rows.chunk_by(|one, next| one.subscriber_id == next.subscriber_id)
}

fn parked(sample: &Sample) -> i64 {
    subscriptions_of(sample)
        .map(|members| members[0].parked)
        .sum()
}
