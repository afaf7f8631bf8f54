//! What can be done to the messages that failures put aside: retried, given up.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, extract::State, response::Response};
use maud::{Markup, html};

use super::{
    actions, failures,
    form::{self, Action, Fields},
    format,
    identity::Identity,
    layout::{self, Page, Section},
    link, overview, preview,
    site::Site,
    subscription,
};
use message_store_client::{
    Result,
    database::{Handling, ParkedFilter, ParkedMessage, Touched, Which},
};

/// Where an action is asked about.
pub const CONFIRM: &str = "/admin/parked/confirm";
/// Where it is done.
pub const ACT: &str = "/admin/parked/act";

/// What can be done to parked messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Have them handled again.
    Retry,
    /// Give them up.
    Discard,
}

impl Verb {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Retry, Self::Discard];

    fn from_word(word: &str) -> Option<Self> {
        match word {
            "retry" => Some(Self::Retry),
            "discard" => Some(Self::Discard),
            _ => None,
        }
    }

    /// Its word in a form.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }

    /// Its name on a button.
    pub fn name(self) -> &'static str {
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

    /// Whether it would touch this one.
    pub fn can_touch(self, message: &ParkedMessage) -> bool {
        match self {
            Self::Retry => message.can_retry,
            Self::Discard => message.can_discard,
        }
    }
}

/// What can be done to a parked message. `from` is where its page of questions leads back to.
pub fn ways(message: &ParkedMessage, from: &str) -> Markup {
    let position = message.global_position.to_string();
    let ask = |verb: Verb| {
        let query = [
            ("id", message.subscriber_id.as_str()),
            ("do", verb.word()),
            ("position", &position),
            ("from", from),
        ];
        link::with(CONFIRM, &query)
    };
    html! {
        @for verb in Verb::ALL.into_iter().filter(|verb| verb.can_touch(message)) {
            a.button[from == "message"] href=(ask(verb))
                aria-label={ (verb.name()) " the message at " (format::count(message.global_position)) " for " (message.subscriber_id) } {
                (verb.name())
            }
            " "
        }
    }
}

/// How a form names a parked message of any subscription.
pub fn mark(message: &ParkedMessage) -> String {
    format!("{} {}", message.global_position, message.subscriber_id)
}

/// What a query or a form is about.
pub enum Selection<'a> {
    /// Messages of one subscription.
    Of(&'a str, Which),
    /// Messages of several, by subscription and position.
    Marked(Vec<(String, i64)>),
}

impl<'a> Selection<'a> {
    /// `None` where it does not say.
    pub fn read(fields: &'a Fields) -> Option<Self> {
        let marked: Vec<(&str, i64)> = fields
            .all("mark")
            .filter_map(|mark| {
                let (position, id) = mark.split_once(' ')?;
                Some((id, position.parse().ok()?))
            })
            .collect();
        let Some((first, _)) = marked.first() else {
            let id = fields.text("id")?;
            return Some(Self::Of(id, which(fields)?));
        };
        if marked.iter().all(|(id, _)| id == first) {
            let positions = marked.iter().map(|(_, position)| *position).collect();
            return Some(Self::Of(first, Which::Positions(positions)));
        }
        let owned = marked
            .iter()
            .map(|(id, position)| ((*id).to_owned(), *position));
        Some(Self::Marked(owned.collect()))
    }

    async fn count(&self, site: &Site, verb: Verb) -> Result<Touched> {
        let marked = match self {
            Self::Of(id, which) => {
                return site
                    .operators
                    .count_parked(id, verb.handling(), which)
                    .await;
            }
            Self::Marked(marked) => marked,
        };
        let mut all: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (id, position) in marked {
            all.entry(id).or_default().push(*position);
        }
        let mut sum = Touched::default();
        for (id, positions) in all {
            let which = Which::Positions(positions);
            let of_it = site
                .operators
                .count_parked(id, verb.handling(), &which)
                .await?;
            sum.chosen += of_it.chosen;
            sum.waiting += of_it.waiting;
        }
        Ok(sum)
    }

    async fn perform(
        &self,
        site: &Site,
        identity: &Identity,
        verb: Verb,
        reason: &str,
    ) -> Result<i64> {
        let steering = site.operators.acting_for(&identity.name);
        match (self, verb) {
            (Self::Of(id, which), Verb::Retry) => steering.retry_parked(id, which).await,
            (Self::Of(id, which), Verb::Discard) => {
                steering.discard_parked(id, reason, which).await
            }
            (Self::Marked(marked), Verb::Retry) => steering.retry_chosen(marked).await,
            (Self::Marked(marked), Verb::Discard) => steering.discard_chosen(reason, marked).await,
        }
    }

    /// For people.
    fn describe(&self) -> String {
        let Self::Of(_, which) = self else {
            return "the chosen messages of several subscriptions".to_owned();
        };
        match which {
            Which::Positions(positions) if positions.len() == 1 => {
                format!("the message at {}", format::count(positions[0]))
            }
            Which::Positions(_) => "the chosen messages".to_owned(),
            Which::Alike(_) => "all that failed with the same error".to_owned(),
            Which::Matching(filter) => match (&filter.stream_name, &filter.sqlstate) {
                (Some(stream), _) => format!("all of the stream {stream}"),
                (None, Some(sqlstate)) => format!("all with the SQLSTATE {sqlstate}"),
                (None, None) => "all of them".to_owned(),
            },
        }
    }

    /// The page that a person came from.
    fn origin(&self, fields: &Fields) -> String {
        match (self, fields.text("from")) {
            (Self::Of(_, Which::Positions(positions)), Some("message")) if positions.len() == 1 => {
                link::message(positions[0])
            }
            (Self::Marked(_), _) | (_, Some("all")) => failures::LIST.to_owned(),
            (Self::Of(id, _), _) => link::with(failures::LIST, &[("id", id)]),
        }
    }
}

/// Whether its handlers can be tried, as far as the latest sample knows.
pub fn can_be_tried(site: &Site, id: &str) -> bool {
    let sample = site.samples.look().sample;
    let found = sample.as_deref().and_then(|sample| {
        let mut all = overview::subscriptions_of(sample);
        all.find(|members| members[0].subscriber_id == id)
            .map(|members| subscription::has_read_model(&members[0]))
    });
    found.unwrap_or(true)
}

/// Which messages a query or a form means; `None` where it does not say.
fn which(fields: &Fields) -> Option<Which> {
    let positions: Vec<i64> = fields
        .all("position")
        .filter_map(|position| position.parse().ok())
        .collect();
    if !positions.is_empty() {
        return Some(Which::Positions(positions));
    }
    if let Some(alike) = fields.number("alike") {
        return Some(Which::Alike(alike));
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
    let Some(verb) = query.text("do").and_then(Verb::from_word) else {
        return layout::missing(
            &identity,
            Section::Failures,
            "This link does not say what to do.",
        );
    };
    if !identity.may_act() {
        return layout::refuse(&identity, "You may look, but not act.");
    }
    let Some(selection) = Selection::read(&query) else {
        let back = match query.text("id") {
            Some(id) => link::with(failures::LIST, &[("id", id)]),
            None => failures::LIST.to_owned(),
        };
        let nothing = html! {
            p.notice.warn { "No message is chosen." }
            p { a.button href=(back) { "Go back" } }
        };
        return Page::new(Section::Failures, "Choose messages first", nothing).show(&identity);
    };
    let touched = match selection.count(&site, verb).await {
        Ok(touched) => touched,
        Err(error) => return layout::trouble(&identity, Section::Failures, &error),
    };
    let back = selection.origin(&query);
    let one = match &selection {
        Selection::Of(id, _) => Some(*id),
        Selection::Marked(_) => None,
    };
    let content = html! {
        p { @if let Some(id) = one { code { (id) } ": " } (selection.describe()) "." }
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
                input type="hidden" name="do" value=(verb.word());
                @for name in ["id", "position", "mark", "stream", "sqlstate", "alike", "all", "from"] {
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
                    @if verb == Verb::Retry && one.is_some_and(|id| can_be_tried(&site, id)) {
                        " " (preview::button_of_form())
                    }
                }
            }
        } @else {
            p { a.button href=(back) { "Go back" } }
        }
    };
    let mut page = Page::new(
        Section::Failures,
        format!("{} parked messages?", verb.name()),
        content,
    );
    page.crumbs = vec![("Failures".to_owned(), failures::LIST.to_owned())];
    if let Some(id) = one {
        page.crumbs
            .push((id.to_owned(), link::with(failures::LIST, &[("id", id)])));
    }
    page.show(&identity)
}

/// Does it, and says how many it touched.
pub async fn act(State(site): State<Arc<Site>>, action: Action) -> Response {
    let Action { identity, fields } = action;
    let verb = fields.text("do").and_then(Verb::from_word);
    let (Some(verb), Some(selection)) = (verb, Selection::read(&fields)) else {
        return layout::refuse(&identity, "This form does not say what to do.");
    };
    let reason = fields.text("reason").map_or("", str::trim);
    if verb == Verb::Discard && reason.is_empty() {
        return layout::refuse(&identity, "Go back and give a reason.");
    }
    let done = selection.perform(&site, &identity, verb, reason).await;
    if let Ok(count) = done {
        tracing::info!(
            subscriber_id = match &selection {
                Selection::Of(id, _) => *id,
                Selection::Marked(_) => "several",
            },
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
    site.answer(&selection.origin(&fields), done)
}
