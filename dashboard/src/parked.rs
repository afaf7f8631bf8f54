//! The messages that failures put aside: looked at, retried, given up.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};

use super::{
    actions,
    form::{self, Action, Fields},
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link, overview, preview,
    site::Site,
    subscription,
};
use message_store_client::{
    database::{Group, Handling, ParkedFilter, ParkedMessage, SUMMARY_OF, Which},
    pretty::pretty,
};

/// Bytes of a parked message's data that the list shows.
const SHOWN_DATA: usize = 32 << 10;

/// Where they are listed.
pub const LIST: &str = "/admin/parked";
/// Where an action is asked about.
pub const CONFIRM: &str = "/admin/parked/confirm";
/// Where it is done.
pub const ACT: &str = "/admin/parked/act";

/// Messages a page.
const PAGE: i64 = 50;

/// What can be done to parked messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Retry,
    Discard,
}

impl Verb {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "retry" => Some(Self::Retry),
            "discard" => Some(Self::Discard),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Retry => "Retry",
            Self::Discard => "Discard",
        }
    }

    fn handling(self) -> Handling {
        match self {
            Self::Retry => Handling::Retry,
            Self::Discard => Handling::Discard,
        }
    }
}

/// Parked messages of one subscription (`id`) or of all, a page at a time.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let id = query.text("id");
    let discarded = query.text("status") == Some("discarded");
    let after = (
        query.text("after_id").unwrap_or_default(),
        query.number("after").unwrap_or(-1),
    );
    let database = site.database(&identity);
    let found = async {
        let messages = database.parked_page(id, discarded, after, PAGE + 1).await?;
        let groups = match id {
            Some(id) if !discarded => database.parked_groups(id).await?,
            _ => Default::default(),
        };
        Ok((messages, groups))
    };
    let (mut messages, groups) = match found.await {
        Ok(found) => found,
        Err(error) => return layout::trouble(&identity, Section::Parked, &error),
    };
    let more = messages.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    messages.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let status = if discarded { "discarded" } else { "" };
    let listed = |status: &str| match id {
        Some(id) => link::with(LIST, &[("id", id), ("status", status)]),
        None => link::with(LIST, &[("status", status)]),
    };
    let content = html! {
        p {
            @if discarded {
                a href=(listed("")) { "Not discarded" }
            } @else {
                a href=(listed("discarded")) { "Discarded" }
            }
        }
        @if let Some(id) = id { (summary(&identity, id, can_be_tried(&site, id), &groups)) }
        @if messages.is_empty() {
            p { @if discarded { "No message was discarded." } @else { "No message is parked." } }
        } @else {
            (table(&identity, id.filter(|_| !discarded), &messages))
        }
        @if let Some(last) = messages.last().filter(|_| more) {
            @let last_position = last.global_position.to_string();
            @let place = [("status", status), ("after_id", &last.subscriber_id), ("after", &last_position)];
            p {
                a href={ (link::with(LIST, &place)) @if let Some(id) = id { (link::with("", &[("id", id)]).replace('?', "&")) } } {
                    "More"
                }
            }
        }
    };
    let mut page = Page::new(Section::Parked, "Parked messages", content);
    if let Some(id) = id {
        page.crumbs = actions::crumbs(id);
    }
    page.notice = site.notice(&query);
    page.show(&identity)
}

/// Whether its handlers can be tried, as far as the latest sample knows.
fn can_be_tried(site: &Site, id: &str) -> bool {
    let sample = site.samples.look().sample;
    let found = sample.as_deref().and_then(|sample| {
        let mut all = overview::subscriptions_of(sample);
        all.find(|members| members[0].subscriber_id == id)
            .map(|members| subscription::has_read_model(&members[0]))
    });
    found.unwrap_or(true)
}

/// What they have in common, and the actions on all of that kind.
fn summary(
    identity: &Identity,
    id: &str,
    can_be_tried: bool,
    groups: &(Vec<Group>, Vec<Group>),
) -> Markup {
    let (sqlstates, streams) = groups;
    let list = |title: &str, which: &str, groups: &[Group]| {
        html! {
            h2 { (title) }
            (layout::table(title, html! {
                thead { tr {
                    th scope="col" { (title) } th.number scope="col" { "Failed messages" }
                    @if identity.may_act() { th scope="col" { "All of them" } }
                } }
                tbody {
                    @for group in groups {
                        tr {
                            th scope="row" { (group.name) }
                            td.number { (format::count(group.messages)) }
                            @if identity.may_act() { td {
                                @for verb in [Verb::Retry, Verb::Discard] {
                                    a aria-label={ (verb.name()) " all of " (group.name) }
                                        href=(link::with(CONFIRM, &[("id", id), ("do", verb.word()), (which, &group.name)])) {
                                        (verb.name())
                                    }
                                    " "
                                }
                            } }
                        }
                    }
                }
            }))
        }
    };
    html! {
        @if identity.may_act() {
            @if can_be_tried { (preview::button(identity, id, preview::Of::Parked)) }
            @for verb in [Verb::Retry, Verb::Discard] {
                a.button href=(link::with(CONFIRM, &[("id", id), ("do", verb.word()), ("all", "1")])) {
                    (verb.name()) " all"
                }
                " "
            }
        }
        @if !sqlstates.is_empty() { (list("SQLSTATE", "sqlstate", sqlstates)) }
        @if !streams.is_empty() { (list("Stream", "stream", streams)) }
        @if sqlstates.iter().map(|group| group.messages).sum::<i64>() >= SUMMARY_OF {
            p.faint { "Of the first " (format::count(SUMMARY_OF)) " failed messages." }
        }
    }
}

/// `chosen`: the subscription whose messages can be ticked off.
fn table(identity: &Identity, chosen: Option<&str>, messages: &[ParkedMessage]) -> Markup {
    let chosen = chosen.filter(|_| identity.may_act());
    html! {
        h2 { "Messages" }
        form method="get" action=(CONFIRM) {
            @if let Some(id) = chosen { input type="hidden" name="id" value=(id); }
            (layout::table("Messages", html! {
                thead { tr {
                    @if chosen.is_some() {
                        th scope="col" {
                            span.unseen { "Choose" }
                            input type="checkbox" data-all="position" aria-label="Choose all on this page" hidden;
                        }
                    }
                    th scope="col" { "Message" } th scope="col" { "Status" } th scope="col" { "Why" }
                    th scope="col" { "Data" }
                } }
                tbody {
                    @for message in messages { (row(chosen.is_some(), chosen.is_none(), message)) }
                }
            }))
            @if chosen.is_some() {
                p {
                    @for verb in [Verb::Retry, Verb::Discard] {
                        button type="submit" name="do" value=(verb.word()) { (verb.name()) " the chosen" }
                        " "
                    }
                }
            }
        }
    }
}

fn row(has_box: bool, has_subscription: bool, message: &ParkedMessage) -> Markup {
    let position = format::count(message.global_position);
    html! {
        tr {
            @if has_box {
                td {
                    @if message.can_discard {
                        input type="checkbox" name="position" value=(message.global_position)
                            aria-label={ "Choose the message at " (position) };
                    }
                }
            }
            th scope="row" {
                a href=(link::message(message.global_position)) { (position) }
                br; (message.message_type)
                br; span.faint { (message.stream_name) }
                @if has_subscription {
                    br; a href=(link::with(LIST, &[("id", &message.subscriber_id)])) { (message.subscriber_id) }
                }
            }
            td { (message.status) br; span.faint { (format::time(&message.parked_at)) } }
            td.wide {
                @if let Some(sqlstate) = &message.sqlstate { (sqlstate) " " }
                (message.error.as_deref().unwrap_or_default())
                (layout::error_details(&message.error_details))
                @if message.attempts > 0 { br; span.faint { "failed attempts: " (message.attempts) } }
                @if let Some(reason) = &message.reason { br; "Discarded: " (reason) }
            }
            td.wide {
                @match &message.data {
                    Some(data) => details {
                        summary { "Data of " (position) }
                        pre { (pretty(data, SHOWN_DATA)) }
                        @if message.is_cut() { p.faint { "Only the beginning is shown. The page of the message has more." } }
                    },
                    None => span.faint { "none, or too large for this list" },
                }
            }
        }
    }
}

/// Which messages a query or a form means; `None` where it does not say.
pub fn which(fields: &Fields) -> Option<Which> {
    let positions: Vec<i64> = fields
        .all("position")
        .filter_map(|position| position.parse().ok())
        .collect();
    if !positions.is_empty() {
        return Some(Which::Positions(positions));
    }
    let filter = ParkedFilter {
        global_position: None,
        stream_name: fields.text("stream").map(str::to_owned),
        sqlstate: fields.text("sqlstate").map(str::to_owned),
    };
    let is_meant = filter != ParkedFilter::default() || fields.text("all").is_some();
    is_meant.then_some(Which::Matching(filter))
}

/// Says how many it will touch; nothing happens yet.
pub async fn confirm(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    query: Fields,
) -> Response {
    let id = query.text("id").unwrap_or_default();
    let back = link::with(LIST, &[("id", id)]);
    let Some(verb) = query.text("do").and_then(Verb::from_word) else {
        return layout::missing(
            &identity,
            Section::Parked,
            "This link does not say what to do.",
        );
    };
    if !identity.may_act() {
        return layout::refuse(&identity, "You may look, but not act.");
    }
    let Some(which) = which(&query) else {
        let nothing = html! {
            p.notice.warn { "No message is chosen." }
            p { a.button href=(back) { "Go back" } }
        };
        return Page::new(Section::Parked, "Choose messages first", nothing).show(&identity);
    };
    let counted = site.operators.count_parked(id, verb.handling(), &which);
    let touched = match counted.await {
        Ok(touched) => touched,
        Err(error) => return layout::trouble(&identity, Section::Parked, &error),
    };
    let what = match &which {
        Which::Positions(_) => "the chosen messages".to_owned(),
        Which::Matching(filter) => match (&filter.stream_name, &filter.sqlstate) {
            (Some(stream), _) => format!("all of the stream {stream}"),
            (None, Some(sqlstate)) => format!("all with the SQLSTATE {sqlstate}"),
            (None, None) => "all of them".to_owned(),
        },
    };
    let content = html! {
        p { code { (id) } ": " (what) "." }
        p.notice.warn {
            "This will touch " strong { (format::count(touched.chosen)) }
            @if touched.chosen == 1 { " message" } @else { " messages" }
            @match verb {
                Verb::Retry => ": the next ticks handle them again.",
                Verb::Discard => ": they are given up for good, also for rebuilds.",
            }
            @if touched.waiting > 0 {
                " " (format::count(touched.waiting)) " more wait behind messages of the same streams, and follow."
            }
        }
        @if touched.chosen > 0 {
            form method="post" action=(ACT) {
                (form::key(&identity))
                input type="hidden" name="id" value=(id);
                input type="hidden" name="do" value=(verb.word());
                @for name in ["position", "stream", "sqlstate", "all"] {
                    @for value in query.all(name) { input type="hidden" name=(name) value=(value); }
                }
                @if verb == Verb::Discard {
                    p {
                        label for="reason" { "Reason, kept with each of them" }
                        input #reason type="text" name="reason" required maxlength="1000" size="40";
                    }
                }
                p {
                    (actions::buttons(verb.name(), verb == Verb::Discard, &back))
                    @if verb == Verb::Retry && can_be_tried(&site, id) {
                        " " (preview::button_of_form())
                    }
                }
            }
        } @else {
            p { a.button href=(back) { "Go back" } }
        }
    };
    let mut page = Page::new(
        Section::Parked,
        format!("{} parked messages?", verb.name()),
        content,
    );
    page.crumbs = actions::crumbs(id);
    page.crumbs.push(("Parked messages".to_owned(), back));
    page.show(&identity)
}

/// Does it, and says how many it touched.
pub async fn act(State(site): State<Arc<Site>>, action: Action) -> Response {
    let Action { identity, fields } = action;
    let id = fields.text("id").unwrap_or_default();
    let verb = fields.text("do").and_then(Verb::from_word);
    let (Some(verb), Some(which)) = (verb, which(&fields)) else {
        return layout::refuse(&identity, "This form does not say what to do.");
    };
    let steering = site.operators.acting_for(&identity.name);
    let done = match verb {
        Verb::Retry => steering.retry_parked(id, &which).await,
        Verb::Discard => {
            let reason = fields.text("reason").map_or("", str::trim);
            if reason.is_empty() {
                return layout::refuse(&identity, "Go back and give a reason.");
            }
            steering.discard_parked(id, reason, &which).await
        }
    };
    if let Ok(count) = done {
        tracing::info!(
            subscriber_id = id,
            actor = identity.name,
            count,
            operation = verb.word(),
            "by the dashboard"
        );
    }
    let done = done.map(|count| {
        let messages = if count == 1 { "message" } else { "messages" };
        match verb {
            Verb::Retry => format!("{count} {messages} will be handled again by the next ticks."),
            Verb::Discard => format!("{count} {messages} given up."),
        }
    });
    site.answer(&link::with(LIST, &[("id", id)]), done)
}
