//! What failed: subscriptions that are stopped or try again, and parked messages, in groups of those
//! that failed alike and one by one.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};

use super::{
    form::Fields,
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link,
    overview::{self, Condition},
    parked::{self, Verb},
    preview,
    site::Site,
};
use message_store_client::{
    database::{FAILURES_OF, FailureGroup, ParkedMessage, SubscriptionStatus},
    samples::Sample,
};

/// Where they are listed.
pub const LIST: &str = "/admin/parked";

/// Messages a page.
const PAGE: usize = 50;
/// Subscriptions that are listed.
const TROUBLED: usize = 50;

/// Of which failures a page is.
struct View<'a> {
    /// One subscription; else all.
    id: Option<&'a str>,
    /// Only those that failed alike.
    alike: Option<i64>,
    /// Those that were given up, in place of the others.
    is_of_discarded: bool,
}

impl<'a> View<'a> {
    fn read(query: &'a Fields) -> Self {
        Self {
            id: query.text("id"),
            alike: query.number("alike"),
            is_of_discarded: query.text("status") == Some("discarded"),
        }
    }

    /// The same list, with more in its query.
    fn link(&self, more: &[(&str, &str)]) -> String {
        let alike = self.alike.map(|alike| alike.to_string());
        let mut query = Vec::new();
        query.extend(self.id.map(|id| ("id", id)));
        query.extend(alike.as_deref().map(|alike| ("alike", alike)));
        query.extend(self.is_of_discarded.then_some(("status", "discarded")));
        query.extend(more);
        link::with(LIST, &query)
    }

    /// Where an action from here leads back to.
    fn from(&self) -> &'static str {
        if self.id.is_none() { "all" } else { "" }
    }
}

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let view = View::read(&query);
    let after = (
        query.text("after_id").unwrap_or_default(),
        query.number("after").unwrap_or(-1),
    );
    let database = site.database(&identity);
    let (discarded, most) = (view.is_of_discarded, i64::try_from(PAGE).unwrap_or(0) + 1);
    let found = async {
        let messages = database
            .parked_page(view.id, view.alike, discarded, after, most)
            .await?;
        let groups = match discarded {
            false => database.failure_groups(view.id).await?,
            true => Default::default(),
        };
        Ok((messages, groups))
    };
    let (mut messages, (groups, is_partial)) = match found.await {
        Ok(found) => found,
        Err(error) => return layout::trouble(&identity, Section::Failures, &error),
    };
    let more = messages.len() > PAGE;
    messages.truncate(PAGE);
    let sample = site.samples.look().sample;
    let content = html! {
        (ways(&view))
        @if let (None, false, Some(sample)) = (view.id, discarded, &sample) { (troubled(sample)) }
        @if let Some(id) = view.id.filter(|_| !discarded && !groups.is_empty()) {
            (of_all(&site, &identity, id))
        }
        @if !groups.is_empty() { (group_table(&identity, &view, &groups, is_partial)) }
        @if messages.is_empty() {
            p {
                @if discarded { "No message was discarded." }
                @else if view.alike.is_some() { "No message that failed so is parked any more." }
                @else { "No message is parked." }
            }
        } @else {
            (message_table(&identity, &view, &messages))
        }
        @if let Some(last) = messages.last().filter(|_| more) {
            @let position = last.global_position.to_string();
            p { a href=(view.link(&[("after_id", &last.subscriber_id), ("after", &position)])) { "More" } }
        }
    };
    let title = if view.id.is_some() {
        "Parked messages"
    } else {
        "Failures"
    };
    let mut page = Page::new(Section::Failures, title, content);
    if let Some(id) = view.id {
        page.crumbs = vec![
            ("Failures".to_owned(), LIST.to_owned()),
            (id.to_owned(), link::subscription(id)),
        ];
    }
    page.notice = site.notice(&query);
    page.show(&identity)
}

fn ways(view: &View<'_>) -> Markup {
    let of = |is_of_discarded: bool| View {
        id: view.id,
        alike: None,
        is_of_discarded,
    };
    html! {
        nav.ways aria-label="Which messages" {
            @if view.is_of_discarded { a href=(of(false).link(&[])) { "Not discarded" } }
            @else { a href=(of(true).link(&[])) { "Discarded" } }
            @if view.alike.is_some() { a href=(of(false).link(&[])) { "However they failed" } }
            @if let Some(id) = view.id {
                a href=(link::subscription(id)) { "The subscription" }
                a href=(LIST) { "All subscriptions" }
            }
        }
    }
}

/// Subscriptions that stand still, or are about to.
fn troubled(sample: &Sample) -> Markup {
    let is_troubled = |members: &&[SubscriptionStatus]| Condition::of(*members).is_trouble();
    let mut found: Vec<_> = overview::subscriptions_of(sample)
        .filter(is_troubled)
        .collect();
    found.sort_by_key(|members| overview::urgency(members));
    let more = found.len().saturating_sub(TROUBLED);
    found.truncate(TROUBLED);
    html! {
        @if !found.is_empty() {
            h2 { "Subscriptions that stand still" }
            (layout::cards("Subscriptions that stand still", html! {
                thead { tr {
                    th scope="col" { "Subscription" } th scope="col" { "State" } th scope="col" { "Why" }
                    th scope="col" { "Since" }
                } }
                tbody {
                    @for members in &found {
                        @let failed = members.iter().find(|one| one.last_error.is_some()).unwrap_or(&members[0]);
                        tr {
                            th scope="row" { a href=(link::subscription(&failed.subscriber_id)) { (failed.subscriber_id) } }
                            td data-label="State" { (Condition::of(*members).badge()) }
                            td.wide data-label="Why" {
                                div.clamped {
                                    @if let Some(sqlstate) = &failed.last_sqlstate { code { (sqlstate) } " " }
                                    (failed.last_error.as_deref().or(failed.state_reason.as_deref()).unwrap_or("Somebody stopped it."))
                                }
                                @if let Some(position) = failed.failing_position {
                                    " " a href=(link::message(position)) { "Message " (format::count(position)) }
                                }
                            }
                            td data-label="Since" {
                                @if let Some(at) = &failed.last_error_at { (format::when(at)) }
                                @if let Some(at) = failed.retry_at.as_ref().filter(|_| failed.state == "started") {
                                    br; "next try " (format::when(at))
                                }
                            }
                        }
                    }
                }
            }))
            @if more > 0 {
                p { "And " (format::count_of(more)) " more: " a href="/admin/subscriptions?state=stopped" { "all that are stopped" } "." }
            }
        }
    }
}

/// What can be done with all failures of a subscription.
fn of_all(site: &Site, identity: &Identity, id: &str) -> Markup {
    html! {
        @if identity.may_act() {
            @if parked::can_be_tried(site, id) { (preview::button(identity, id, preview::Of::Parked)) }
            @for verb in Verb::ALL {
                a.button href=(link::with(parked::CONFIRM, &[("id", id), ("do", verb.word()), ("all", "1")])) {
                    (verb.name()) " all"
                }
                " "
            }
        }
    }
}

fn group_table(
    identity: &Identity,
    view: &View<'_>,
    groups: &[FailureGroup],
    is_partial: bool,
) -> Markup {
    let list = |group: &FailureGroup| {
        View {
            id: None,
            alike: Some(group.alike),
            is_of_discarded: false,
        }
        .link(&[("id", &group.subscriber_id)])
    };
    html! {
        h2 { "Why they failed" }
        (layout::cards("Why they failed", html! {
            thead { tr {
                @if view.id.is_none() { th scope="col" { "Subscription" } }
                th scope="col" { "Error" } th.number scope="col" { "Messages" } th scope="col" { "Last" }
                @if identity.may_act() { th scope="col" { "All of them" } }
            } }
            tbody {
                @for group in groups {
                    tr.here[view.alike == Some(group.alike)] {
                        @if view.id.is_none() {
                            th scope="row" { a href=(View { id: Some(&group.subscriber_id), alike: None, is_of_discarded: false }.link(&[])) { (group.subscriber_id) } }
                        }
                        td.wide data-label="Error" { div.clamped {
                            @if let Some(sqlstate) = &group.sqlstate { code { (sqlstate) } " " }
                            (said(&group.error))
                        } }
                        td.number data-label="Messages" {
                            a href=(list(group)) {
                                @if is_partial { abbr title="or more" { "≥ " } }
                                (format::count(group.failed + group.retried))
                                span.unseen { " failed so" }
                            }
                            @if group.retried > 0 { br; span.faint { (format::count(group.retried)) " being retried" } }
                        }
                        td data-label="Last" { (format::when(&group.last_failed_at)) }
                        @if identity.may_act() { td data-label="All of them" {
                            @let alike = group.alike.to_string();
                            @for verb in Verb::ALL.into_iter().filter(|verb| group.failed > 0 || *verb == Verb::Discard) {
                                a aria-label={ (verb.name()) " all of " (group.subscriber_id) " that failed with " (group.sqlstate.as_deref().unwrap_or_default()) " " (group.error) }
                                    href=(link::with(parked::CONFIRM, &[("id", &group.subscriber_id), ("do", verb.word()), ("alike", &alike), ("from", view.from())])) {
                                    (verb.name())
                                }
                                " "
                            }
                        } }
                    }
                }
            }
        }))
        @if is_partial {
            p.faint { "≥: of the " (format::count(FAILURES_OF)) " failed messages that we looked at; the largest groups are listed." }
        }
    }
}

/// An error that says nothing is told so.
fn said(error: &str) -> Markup {
    html! { @if error.trim().is_empty() { span.faint { "no text" } } @else { (error) } }
}

fn message_table(identity: &Identity, view: &View<'_>, messages: &[ParkedMessage]) -> Markup {
    let has_boxes = identity.may_act() && !view.is_of_discarded;
    html! {
        h2 { "Messages" }
        form method="get" action=(parked::CONFIRM) {
            input type="hidden" name="from" value=(view.from());
            (layout::cards("Messages", html! {
                thead { tr {
                    @if has_boxes {
                        th scope="col" {
                            span.unseen { "Choose" }
                            input type="checkbox" data-all="mark" aria-label="Choose all on this page" hidden;
                        }
                    }
                    th scope="col" { "Message" } th scope="col" { "Why" } th scope="col" { "Since" }
                    @if has_boxes { th scope="col" { "What to do" } }
                } }
                tbody {
                    @for message in messages { (row(view, has_boxes, message)) }
                }
            }))
            @if has_boxes {
                p {
                    @for verb in Verb::ALL {
                        button type="submit" name="do" value=(verb.word()) { (verb.name()) " the chosen" }
                        " "
                    }
                }
            }
        }
    }
}

fn row(view: &View<'_>, has_box: bool, message: &ParkedMessage) -> Markup {
    let position = format::count(message.global_position);
    let first_line = message.error.as_deref().unwrap_or_default();
    let first_line = first_line.lines().next().unwrap_or_default();
    html! {
        tr {
            @if has_box {
                td.choose {
                    @if Verb::Discard.can_touch(message) {
                        input type="checkbox" name="mark" value=(parked::mark(message))
                            aria-label={ "Choose the message at " (position) " of " (message.subscriber_id) };
                    }
                }
            }
            th scope="row" {
                a href=(link::message(message.global_position)) { (message.message_type) " " (position) }
                br; span.faint {
                    (message.stream_name)
                    @if view.id.is_none() { " · " a href=(View { id: Some(&message.subscriber_id), alike: None, is_of_discarded: false }.link(&[])) { (message.subscriber_id) } }
                }
            }
            td.wide data-label="Why" { div.clamped {
                @if let Some(sqlstate) = &message.sqlstate { code { (sqlstate) } " " }
                (first_line)
                @if let Some(reason) = &message.reason { " Discarded: " (reason) }
                @if message.status == "waiting" { span.faint { "waits behind a failed one of its stream" } }
            } }
            td data-label="Since" {
                (message.status) " " (format::when(&message.parked_at))
            }
            @if has_box { td data-label="What to do" { (parked::ways(message, view.from())) } }
        }
    }
}
