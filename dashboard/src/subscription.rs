//! One subscription: how it does, what it is made of, what can be done.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};

use super::{
    actions, chart,
    events::{self, Regions},
    failures,
    form::Fields,
    format, history,
    identity::Identity,
    layout::{self, Page, Section},
    link,
    operation::Operation,
    overview, preview,
    site::Site,
    verify,
};
use message_store_client::{database::SubscriptionStatus, error::Result};

/// Lines of the history that are shown.
const HISTORY: i64 = 50;

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let id = query.text("id").unwrap_or_default();
    let section = Section::Subscriptions;
    let database = site.database(&identity);
    let found = async {
        let rows = database.status_with_copy(id).await?;
        Ok((
            rows,
            database.recent_history(Some(id), None, HISTORY).await?,
        ))
    };
    let (rows, lines) = match found.await {
        Ok(found) => found,
        Err(error) => return layout::trouble(&identity, section, &error),
    };
    let Some(first) = rows.first().filter(|row| row.subscriber_id == id) else {
        let text = format!("There is no subscription {id:?}, or this role may not see it.");
        return layout::missing(&identity, section, &text);
    };
    let content = html! {
        @for (region, markup) in regions(&site, &identity, &rows) {
            section id=(region) { (markup) }
        }
        (declaration(first))
        h2 { "Who did what" }
        (history::lines(&lines, false))
        @if lines.len() >= usize::try_from(HISTORY).unwrap_or(0) {
            p { a href=(link::with(history::LIST, &[("id", id)])) { "All that was done to it" } }
        }
    };
    let mut page = Page::new(section, id, content);
    page.crumbs = vec![(
        "Subscriptions".to_owned(),
        "/admin/subscriptions".to_owned(),
    )];
    page.notice = site.notice(&query);
    let live = [("view", "subscription"), ("id", id)];
    page.live = Some(link::with("/admin/events", &live));
    page.show(&identity)
}

/// What moves, as it is now.
///
/// # Errors
/// Where the database does not say.
pub async fn look(site: &Site, identity: &Identity, id: &str) -> Result<Regions> {
    let rows = site.database(identity).status_with_copy(id).await?;
    Ok(regions(site, identity, &rows))
}

fn regions(site: &Site, identity: &Identity, rows: &[SubscriptionStatus]) -> Regions {
    let Some(first) = rows.first() else {
        let gone = html! { p.notice.bad { "This subscription was dropped." } };
        let others = ["trouble", "progress", "actions", "members", "lag"];
        return events::only(("status", gone), &others);
    };
    let is_copy = |row: &&SubscriptionStatus| row.subscriber_id != first.subscriber_id;
    let members: Vec<_> = rows.iter().filter(|row| !is_copy(row)).collect();
    let copy: Vec<_> = rows.iter().filter(is_copy).collect();
    let rate = site.samples.series(&first.subscriber_id);
    let rate = rate.last().map(|point| point.rate);
    vec![
        ("status", status(&members, rate)),
        ("trouble", trouble(&members)),
        ("progress", progress(&members, &copy)),
        ("actions", operations(identity, first, &copy)),
        ("members", group(&members)),
        ("lag", lag_chart(site, &first.subscriber_id)),
    ]
}

fn status(members: &[&SubscriptionStatus], rate: Option<f64>) -> Markup {
    let first = members[0];
    let lag: i64 = members.iter().filter_map(|member| member.lag).sum();
    let is_estimate = members.iter().any(|one| one.lag_is_estimate == Some(true));
    let waits = members.iter().filter_map(|member| member.lag_seconds);
    let waits = waits.fold(0.0, f64::max);
    let busy_rate: f64 = members.iter().filter_map(|member| member.rate).sum();
    let position = members.iter().map(|member| member.position).min();
    let position = position.unwrap_or(0);
    let head = members.iter().filter_map(|member| member.head).max();
    html! {
        p {
            (overview::Condition::of(members.iter().copied()).badge())
            // A failure's whole text follows below.
            @if let Some(reason) = first.state_reason.as_deref().and_then(|text| text.lines().next()) {
                " " (reason)
            }
        }
        dl.facts {
            dt { "Reads" } dd { code { (first.source) } }
            dt { "Position" } dd {
                (format::count(position))
                @if let Some(head) = head {
                    " of " (format::count(head))
                    progress max=(head.max(1)) value=(position.clamp(0, head.max(0)))
                        aria-label="Position of the last message of its source" {}
                }
            }
            dt { "Lag" } dd {
                @if is_estimate { "about " }
                (format::count(lag)) @if lag == 1 { " message" } @else { " messages" }
                @if lag > 0 { ", the first of them " (format::seconds(waits)) " old" }
            }
            dt { "Rate" } dd {
                @if let Some(rate) = rate { (format::rate(rate)) " messages handled a second · " }
                (format::rate(busy_rate)) " read a second while it was last busy"
            }
            dt { "Handled" } dd { (format::count(members.iter().map(|one| one.handled).sum())) }
            dt { "Parked" } dd {
                (format::count(first.parked)) " "
                a href=(link::with(failures::LIST, &[("id", &first.subscriber_id)])) {
                    "Look at its parked messages"
                }
            }
            @if let Some(original) = &first.copy_of {
                dt { "Rebuilds" } dd { a href=(link::subscription(original)) { (original) } }
            }
        }
    }
}

/// The last error; loud while it stands in the way.
fn trouble(members: &[&SubscriptionStatus]) -> Markup {
    let failed = members.iter().filter(|member| member.last_error.is_some());
    html! {
        @for member in failed {
            @let stands = member.attempts > 0 || member.failing_position.is_some();
            h2 {
                @if !stands { "The last error, which it got past" }
                @else if member.state == "started" { "Why it fails" }
                @else { "Why it stopped" }
            }
            pre.bad[stands] { (member.last_error.as_deref().unwrap_or_default()) }
            @if let Some(details) = &member.last_error_details { (layout::error_details(details)) }
            p.faint {
                @if let Some(sqlstate) = &member.last_sqlstate { "SQLSTATE " (sqlstate) " · " }
                @if let Some(at) = &member.last_error_at { (format::when(at)) }
                @if members.len() > 1 { " · member " (member.member) }
                @if member.attempts > 0 { " · failed attempts: " (member.attempts) }
                @if let Some(at) = &member.retry_at { " · next try " (format::when(at)) }
            }
            @if let Some(position) = member.failing_position {
                p { a href=(link::message(position)) { "The message at " (format::count(position)) } }
            }
        }
    }
}

/// A rebuild under way, in place or beside.
fn progress(members: &[&SubscriptionStatus], copy: &[&SubscriptionStatus]) -> Markup {
    let replay = |rows: &[&SubscriptionStatus]| {
        let of = |row: &&SubscriptionStatus| Some((row.position, row.replay_target?));
        let slowest = rows
            .iter()
            .filter_map(of)
            .min_by_key(|&(position, _)| position)?;
        let etas = rows.iter().filter_map(|row| row.replay_eta_seconds);
        Some((slowest, etas.reduce(f64::max)))
    };
    let bar = |name: &str, ((position, target), eta): ((i64, i64), Option<f64>)| {
        html! {
            h2 { (name) }
            progress max=(target.max(1)) value=(position.max(0)) aria-label=(name) {}
            p {
                (format::count(position)) " of " (format::count(target)) ", "
                (position.max(0).saturating_mul(100) / target.max(1)) " %"
                @if let Some(eta) = eta { " · about " (format::seconds(eta)) " left" }
            }
        }
    };
    html! {
        @if let Some(replay) = replay(members) { (bar("Rebuild in place", replay)) }
        @match (copy.first(), replay(copy)) {
            (Some(_), Some(replay)) => { (bar("Rebuild side by side", replay)) }
            (Some(_), None) => {
                h2 { "Rebuild side by side" }
                p.notice.good { "The copy has caught up: it can be promoted." }
            }
            (None, _) => {}
        }
        @if let Some(copy) = copy.first() {
            p { a href=(link::subscription(&copy.subscriber_id)) { (copy.subscriber_id) } }
            @if let Some(error) = copy.last_error.as_deref().filter(|_| copy.attempts > 0) {
                pre.bad { (error) }
            }
        }
    }
}

/// Whether it declares what its handlers write, without which nothing can be tried or rebuilt.
pub fn has_read_model(status: &SubscriptionStatus) -> bool {
    status.options.get("read_model").is_some()
}

fn operations(
    identity: &Identity,
    first: &SubscriptionStatus,
    copy: &[&SubscriptionStatus],
) -> Markup {
    if !identity.may_act() || first.copy_of.is_some() {
        return html! {};
    }
    let is_held = matches!(&*first.state, "paused" | "stopped" | "created");
    let has_read_model = has_read_model(first);
    let no_handlers = first.handlers.as_object().is_none_or(|all| all.is_empty());
    let mut possible = Vec::new();
    possible.extend(is_held.then_some(Operation::Start));
    possible.extend((first.state == "started").then_some(Operation::Pause));
    possible.extend((first.state != "stopped").then_some(Operation::Stop));
    if !copy.is_empty() {
        possible.extend([Operation::Promote, Operation::CancelRebuild]);
    } else {
        if has_read_model {
            possible.extend([Operation::RebuildBeside, Operation::Rebuild]);
        }
        possible.extend([Operation::Skip, Operation::Reset]);
    }
    possible.push(Operation::Resize);
    html! {
        h2 { "What to do" }
        p {
            @for operation in possible {
                a.button href=(link::with(actions::CONFIRM, &[("id", &first.subscriber_id), ("do", operation.word())])) {
                    (operation.name())
                }
                " "
            }
        }
        @if has_read_model && !no_handlers {
            (preview::button(identity, &first.subscriber_id, preview::Of::Next))
            (verify::button(identity, &first.subscriber_id))
        }
    }
}

fn group(members: &[&SubscriptionStatus]) -> Markup {
    html! {
        @if members.len() > 1 {
            h2 { "Members" }
            (layout::cards("Members", html! {
                thead { tr {
                    th scope="col" { "Member" } th.number scope="col" { "Position" } th.number scope="col" { "Lag" }
                    th.number scope="col" { "Handled" } th scope="col" { "Ticked by" }
                } }
                tbody {
                    @for member in members {
                        tr {
                            th scope="row" { (member.member) " of " (member.group_size) }
                            td.number data-label="Position" { (format::count(member.position)) }
                            td.number data-label="Lag" {
                                (format::count(member.lag.unwrap_or(0)))
                                @if let Some(seconds) = member.lag_seconds.filter(|_| member.lag > Some(0)) {
                                    br; span.faint { (format::seconds(seconds.floor())) }
                                }
                            }
                            td.number data-label="Handled" { (format::count(member.handled)) }
                            td data-label="Ticked by" { (ticker(member)) }
                        }
                    }
                }
            }))
        }
    }
}

/// Who ticks a member, and for how long where that is worth a word.
fn ticker(member: &SubscriptionStatus) -> Markup {
    let seconds = member.ticking_seconds.filter(|seconds| *seconds >= 1.0);
    html! {
        @match member.holder {
            Some(pid) => {
                "session " (pid)
                @if let Some(seconds) = seconds { ", ticking for " (format::seconds(seconds)) }
            }
            None => "–",
        }
    }
}

fn lag_chart(site: &Site, id: &str) -> Markup {
    let series = site.samples.series(id);
    #[allow(clippy::cast_precision_loss, reason = "a picture for people")]
    let readings: Vec<_> = series
        .iter()
        .map(|point| (point.at, point.lag as f64))
        .collect();
    html! {
        h2 { "Lag" }
        (chart::lines("Lag", chart::Unit::Messages, &readings))
    }
}

fn declaration(first: &SubscriptionStatus) -> Markup {
    let handlers = first.handlers.as_object();
    let handlers = handlers.into_iter().flatten().collect::<Vec<_>>();
    let options = serde_json::to_string_pretty(&first.options).unwrap_or_default();
    html! {
        h2 { "Handlers" }
        @if first.handlers.is_null() {
            p { "They are too large to show here." }
        } @else if handlers.is_empty() {
            p { "None. An application fetches its messages." }
        } @else {
            (layout::table("Handlers", html! {
                thead { tr { th scope="col" { "Type" } th scope="col" { "Function" } } }
                tbody {
                    @for (message_type, function) in handlers {
                        tr {
                            th scope="row" { (message_type) }
                            td.wide { code { (history::text_of(function)) } }
                        }
                    }
                }
            }))
        }
        p { "They run with the rights of " code { (first.owner) } "." }
        @if first.options.is_null() {
            h2 { "Options" }
            p { "They are too large to show here." }
        } @else if first.options.as_object().is_some_and(|options| !options.is_empty()) {
            h2 { "Options" }
            pre { (options) }
        }
    }
}
