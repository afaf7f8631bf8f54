//! Everything at a glance, from the latest sample: no query.

use std::{sync::Arc, time::SystemTime};

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};

use super::{
    chart,
    events::{self, Regions},
    failures, format,
    identity::Identity,
    layout::{self, Page, Section},
    link, shards,
    site::Site,
};
use message_store_client::database::{HorizonBlocker, SubscriptionStatus, UnconfirmedEpoch};
use message_store_client::samples::{Sample, Samples};

/// For so many seconds it is told that messages may have been lost: a week. Where they were, nobody confirms
/// the contrary.
const DOUBTED: f64 = 7.0 * 86_400.0;

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
        let others = ["figures", "shards", "writes", "blockers", "subscriptions"];
        return events::only(("state", state), &others);
    };
    vec![
        ("state", state),
        ("figures", figures(&sample)),
        ("shards", shards::section(&sample)),
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

/// A number of the overview. One that is bad leads to what is to be done about it.
fn figure(name: &str, value: &str, link: Option<&str>, is_bad: bool) -> Markup {
    html! {
        div.figure.bad[is_bad] {
            dt { (name) }
            dd {
                @match link {
                    Some(link) => a href=(link) { (value) span.unseen { " " (name) } },
                    None => (value),
                }
            }
        }
    }
}

fn figures(sample: &Sample) -> Markup {
    if sample.is_router {
        return html! {
            p.notice {
                "This is a router. Its shards have the messages and the subscriptions: the dashboards of the shards show them."
            }
        };
    }
    let parked = parked(sample);
    let conditions: Vec<_> = subscriptions_of(sample).map(Condition::of).collect();
    let troubled = |condition: Condition, name: &str| {
        let count = conditions.iter().filter(|one| **one == condition).count();
        let link = format!("/admin/subscriptions?state={}", condition.word());
        let link = (count > 0).then_some(link.as_str());
        figure(
            name,
            &count.to_string(),
            link,
            count > 0 && condition.is_trouble(),
        )
    };
    let rate = sample.write_rate.map_or("–".to_owned(), format::rate);
    let alive = sample.orchestrators.len();
    html! {
        dl.figures {
            (figure("Messages a second", &rate, None, false))
            (figure("Last position", &format::count(sample.head), None, false))
            (figure("Subscriptions", &conditions.len().to_string(), Some("/admin/subscriptions"), false))
            (troubled(Condition::Stopped, "Stopped"))
            (troubled(Condition::Failing, "Failing"))
            (troubled(Condition::Paused, "Paused"))
            (figure("Parked messages", &format::count(parked), (parked > 0).then_some(failures::LIST), parked > 0))
            (figure("Orchestrators alive", &alive.to_string(), (alive == 0).then_some("#orchestrators"), alive == 0))
        }
        @if alive == 0 {
            p #orchestrators .notice.bad {
                "No orchestrator waits for messages of this database, so none is handled. Start " code { "orchestrator run" }
                ", or look into the log of the one that should be there."
            }
        }
        @if let Some(epoch) = doubted(sample) { (doubt(epoch)) }
    }
}

fn doubted(sample: &Sample) -> Option<&UnconfirmedEpoch> {
    let unconfirmed = sample.unconfirmed_epoch.as_ref();
    unconfirmed.filter(|epoch| epoch.seconds_ago < DOUBTED)
}

fn doubt(epoch: &UnconfirmedEpoch) -> Markup {
    html! {
        p.notice.bad {
            "Messages after position " (format::count(epoch.settled_up_to)) " may have been lost " (format::when(&epoch.began_at))
            ": " (epoch.reason) ". Readers that keep positions themselves ask " code { "check_position()" }
            ". Where nothing was lost: "
            code { "SELECT message_store.confirm_epoch('" (epoch.epoch) "', 'how you know')" } "."
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
        (chart::lines("Write rate", chart::Unit::Rate, &readings))
    }
}

fn blockers(sample: &Sample) -> Markup {
    html! {
        @if !sample.blockers.is_empty() {
            h2 { "What keeps readers waiting" }
            p { "Open transactions that have written messages, or are about to. Look into one that stays here for long." }
            (layout::cards("What keeps readers waiting", html! {
                thead { tr {
                    th scope="col" { "Session" } th.number scope="col" { "Open for" } th scope="col" { "Keeps back" }
                    th scope="col" { "Last statement" } th scope="col" { "What to do" }
                } }
                tbody { @for blocker in &sample.blockers { (blocking(blocker)) } }
            }))
        }
    }
}

fn blocking(blocker: &HorizonBlocker) -> Markup {
    html! {
        tr {
            th scope="row" {
                @match blocker.pid {
                    Some(pid) => { "process " (pid) },
                    None => "a prepared transaction",
                }
                br; span.faint {
                    (blocker.role.as_deref().unwrap_or("a role that we may not see"))
                    @if let Some(application) = blocker.application.as_deref().filter(|name| !name.is_empty()) {
                        " · " (application)
                    }
                }
            }
            td.number data-label="Open for" {
                @if let Some(seconds) = blocker.seconds { (format::seconds(seconds)) } @else { "–" }
            }
            td.wide data-label="Keeps back" {
                @for (number, source) in blocker.holds_back.iter().enumerate() {
                    @if number > 0 { ", " }
                    a href=(link::browse(source)) { (source) }
                }
                @if blocker.holds_back.is_empty() { span.faint { "no category of a subscription" } }
                br; span.faint { "after position " (format::count(blocker.holds_back_after)) }
            }
            td.wide data-label="Last statement" {
                @match blocker.query.as_deref().filter(|query| !query.is_empty()) {
                    Some(query) => div.clamped { code { (query) } },
                    None => "–",
                }
                @if let Some(state) = &blocker.state { span.faint { (state) } }
            }
            td.wide data-label="What to do" { (remedy(blocker)) }
        }
    }
}

fn remedy(blocker: &HorizonBlocker) -> Markup {
    let state = blocker.state.as_deref().unwrap_or_default();
    html! {
        @match (blocker.pid, &blocker.prepared) {
            (None, Some(names)) => {
                "One of " code { (names) } ": " code { "COMMIT PREPARED" } " or " code { "ROLLBACK PREPARED" } " it."
            }
            (None, None) => { code { "SELECT * FROM pg_prepared_xacts" } " names it; commit it or roll it back." }
            (Some(pid), _) if state.starts_with("idle in transaction") => {
                "Its application left the transaction open: have it commit, or end it with "
                code { "SELECT pg_terminate_backend(" (pid) ")" } "."
            }
            (Some(pid), _) if state == "active" => {
                "Its statement is running. If it should not: " code { "SELECT pg_cancel_backend(" (pid) ")" } "."
            }
            (Some(pid), _) => {
                "Ask who runs it, or end it with " code { "SELECT pg_terminate_backend(" (pid) ")" }
                ". More is seen after " code { "GRANT pg_read_all_stats" } " to the dashboard's role."
            }
        }
    }
}

fn subscriptions(sample: &Sample, samples: &Samples) -> Markup {
    html! {
        h2 { "Subscriptions" }
        (table(sample, samples, &Wanted::default()))
    }
}

/// Subscriptions that a page lists.
const LISTED: usize = 200;

/// Which subscriptions a table has.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Those whose id or source contains this.
    pub text: &'a str,
    /// Those of this condition.
    pub condition: Option<Condition>,
}

impl Wanted<'_> {
    fn has(&self, members: &[SubscriptionStatus]) -> bool {
        let is_named =
            members[0].subscriber_id.contains(self.text) || members[0].source.contains(self.text);
        is_named
            && self
                .condition
                .is_none_or(|one| one == Condition::of(members))
    }
}

/// A row for each subscription that is wanted, those first that need somebody; the first [`LISTED`] of
/// them.
pub fn table(sample: &Sample, samples: &Samples, wanted: &Wanted<'_>) -> Markup {
    let mut found: Vec<_> = subscriptions_of(sample)
        .filter(|members| wanted.has(members))
        .collect();
    found.sort_by_key(|members| urgency(members));
    let more = found.len().saturating_sub(LISTED);
    found.truncate(LISTED);
    html! {
        @if found.is_empty() {
            p.faint { "There are none, or this role may not see them." }
        } @else {
            (layout::cards("Subscriptions", html! {
                thead {
                    tr {
                        th scope="col" { "Subscription" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Lag" }
                        th scope="col" { "Lag, last hour" }
                        th scope="col" { "Handled a second" }
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

/// How a subscription does, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A failure or a person ended it.
    Stopped,
    /// A handler fails, and is tried again.
    Failing,
    /// A person holds it.
    Paused,
    /// It was never started.
    Created,
    /// It is ticked.
    Started,
}

impl Condition {
    const ALL: [Self; 5] = [
        Self::Stopped,
        Self::Failing,
        Self::Paused,
        Self::Created,
        Self::Started,
    ];

    /// That of a subscription with these members.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a SubscriptionStatus>) -> Self {
        let mut members = members.into_iter().peekable();
        let state = members.peek().map_or("", |first| &*first.state);
        match state {
            "stopped" => Self::Stopped,
            "paused" => Self::Paused,
            "created" => Self::Created,
            _ if members.any(|member| member.attempts > 0) => Self::Failing,
            _ => Self::Started,
        }
    }

    /// Its word, as pages and links have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Created => "created",
            Self::Started => "started",
        }
    }

    /// The condition of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// True where somebody should look.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Stopped | Self::Failing)
    }

    /// As a badge: a word, and never a colour alone.
    pub fn badge(self) -> Markup {
        html! { span class={ "state " (self.word()) } { (self.word()) } }
    }
}

/// The lower, the sooner somebody should look.
pub fn urgency(members: &[SubscriptionStatus]) -> u8 {
    match Condition::of(members) {
        Condition::Stopped => 0,
        Condition::Failing => 1,
        _ if members[0].parked > 0 => 2,
        Condition::Paused => 3,
        Condition::Created | Condition::Started => 4,
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
    let rate = series.last().map(|point| point.rate);
    let waits = members.iter().filter_map(|member| member.lag_seconds);
    let waits = waits.fold(0.0, f64::max);
    let next_try = members
        .iter()
        .filter_map(|member| member.retry_at.as_ref())
        .min();
    html! {
        tr {
            th scope="row" {
                a href=(link::subscription(&first.subscriber_id)) { (first.subscriber_id) }
                @if members.len() > 1 { " " span.faint { (members.len()) " members" } }
            }
            td data-label="State" {
                @let condition = Condition::of(members);
                @if condition.is_trouble() {
                    a href={ (link::subscription(&first.subscriber_id)) "#trouble" } { (condition.badge()) }
                } @else { (condition.badge()) }
                @if let Some(at) = next_try.filter(|_| condition == Condition::Failing) {
                    br; span.faint { "next try " (format::when(at)) }
                }
            }
            td.number data-label="Lag" {
                @if is_estimate { abbr title="estimated" { "~" } }
                (format::count(lag))
                @if lag > 0 { br; span.faint { (format::seconds(waits.floor())) } }
            }
            td data-label="Lag, last hour" { (chart::sparkline("Lag", chart::Unit::Messages, &readings(lag_of))) }
            td data-label="Handled a second" {
                @if let Some(rate) = rate { (format::rate(rate)) "/s " }
                (chart::sparkline("Rate", chart::Unit::Rate, &readings(|point| point.rate)))
            }
            td.number data-label="Parked" {
                @if first.parked > 0 {
                    a href=(link::with(failures::LIST, &[("id", &first.subscriber_id)])) {
                        (format::count(first.parked)) span.unseen { " parked by " (first.subscriber_id) }
                    }
                } @else { "0" }
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a picture for people")]
fn lag_of(point: &message_store_client::samples::Point) -> f64 {
    point.lag as f64
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
