//! A subscription made at random: what it reads, who handles it, and what becomes of failures.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt;

/// The streams that histories write to. Two of them are one entity's; one has no id.
pub const STREAMS: [&str; 8] = [
    "viewing-1",
    "viewing-2",
    "viewing-3+a",
    "viewing-3+b",
    "viewing-4",
    "viewing",
    "account-1",
    "account-2",
];
/// The stream that a service answers in. It has no id.
pub const ANSWERS: &str = "answer";
/// The types of their messages.
pub const TYPES: [&str; 3] = ["A", "B", "C"];
const SOURCES: [&str; 6] = ["viewing", "viewing", "$all", "$all", "viewing-1", "account"];
/// What handlers are named for; each set is one of a subscription.
const HANDLED: [&[&str]; 5] = [
    &["$any"],
    &["A", "$any"],
    &["A", "B"],
    &["A", "B", "C"],
    &["B", "C", "$any"],
];
const SHAPES: [&str; 4] = ["on_message", "on_messages", "on_position", "on_positions"];

/// A message to write.
#[derive(Clone)]
pub struct Draft {
    /// Number of its stream.
    pub stream: usize,
    /// Number of its type.
    pub kind: usize,
    /// Whether it is correlated with a stream of the category `origin`.
    pub is_correlated: bool,
}

impl fmt::Debug for Draft {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let correlated = if self.is_correlated { "*" } else { "" };
        write!(
            formatter,
            "{}:{}{correlated}",
            STREAMS[self.stream], TYPES[self.kind]
        )
    }
}

/// What becomes of a message whose handler fails.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Parked rather than stopped at.
    pub parks: bool,
    /// With the rest of its stream.
    pub holds_stream: bool,
    /// How often it is tried again.
    pub retries: i64,
}

/// Where it begins.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// With the first message.
    Beginning,
    /// With the next one.
    Now,
    /// In the middle of what is there.
    Middle,
}

/// A subscription, and what is in the log before it is created.
#[derive(Clone, Debug)]
pub struct Definition {
    /// A category, a stream or `$all`.
    pub source: &'static str,
    /// Types that have a handler.
    pub handled: &'static [&'static str],
    /// The handler of each.
    pub shapes: [&'static str; 3],
    /// The types it reads; empty for all.
    pub types: Vec<&'static str>,
    /// Reads only what is correlated with the category `origin`.
    pub is_correlated: bool,
    /// Members at first.
    pub group_size: i64,
    /// What it does about failures.
    pub policy: Policy,
    /// Gives up order across handlers.
    pub per_handler: bool,
    /// Messages a tick reads.
    pub batch_size: i64,
    /// Written before it is created.
    pub before: Vec<Draft>,
    /// Where it begins.
    pub start: Start,
    /// What its handlers do besides.
    pub duties: Duties,
    /// The subscription beside it that applications fetch.
    pub outside: Option<Outside>,
}

/// A subscription without handlers: applications fetch its messages.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    /// A category, a stream or `$all`.
    source: &'static str,
    /// Members at first.
    group_size: i64,
}

impl Outside {
    /// The call that creates it.
    pub fn creation(&self) -> String {
        format!(
            "SELECT message_store.create_subscription('outside', '{}', '{{}}', \
             '{{\"on_failure\": \"park\", \"group_size\": {}}}')",
            self.source, self.group_size
        )
    }

    /// Whether messages of a stream are the subscription's.
    pub fn reads(&self, stream: &str) -> bool {
        includes(self.source, stream)
    }
}

/// Whether a source has messages of a stream.
fn includes(source: &str, stream: &str) -> bool {
    match source {
        "$all" => true,
        source if source.contains('-') => source == stream,
        source => stream.split('-').next() == Some(source),
    }
}

/// What handlers do besides filling a read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Duties {
    /// They answer each message in the stream [`ANSWERS`].
    pub answers: bool,
    /// They tick the subscription `nested`.
    pub ticks: bool,
}

impl Definition {
    /// The argument `handlers`, with these functions.
    pub fn handlers(&self, shapes: &[&str; 3]) -> String {
        let each = self.handled.iter().zip(shapes);
        let each: Vec<_> = each
            .map(|(kind, shape)| format!("\"{kind}\": \"rm.{shape}\""))
            .collect();
        format!("'{{{}}}'", each.join(", "))
    }

    /// The argument `options`; `drawn`: the last position in the log.
    pub fn options(&self, drawn: i64) -> String {
        let mut options = format!(
            "\"init\": \"rm.prepare\", \"read_model\": [\"rm.entities\"], \"batch_size\": {}, {}",
            self.batch_size,
            self.policy.options()
        );
        if !self.types.is_empty() {
            options += &format!(", \"types\": [\"{}\"]", self.types.join("\", \""));
        }
        if self.is_correlated {
            options += ", \"correlation\": \"origin\"";
        }
        if self.per_handler {
            options += ", \"order\": \"per_handler\"";
        }
        if self.group_size > 1 {
            options += &format!(", \"group_size\": {}", self.group_size);
        }
        match self.start {
            Start::Beginning => {}
            Start::Now => options += ", \"start_from\": \"now\"",
            Start::Middle => options += &format!(", \"start_from\": {}", drawn / 2 + 1),
        }
        format!("'{{{options}}}'")
    }

    /// Whether a message is the subscription's, by its stream, type and correlation.
    pub fn wants(&self, stream: &str, kind: &str, is_correlated: bool) -> bool {
        includes(self.source, stream)
            && (is_correlated || !self.is_correlated)
            && (self.types.is_empty() || self.types.contains(&kind))
            && (self.handled.contains(&kind) || self.handled.contains(&"$any"))
    }

    /// Whether messages of one stream are handled in the order they were written.
    pub fn keeps_order(&self) -> bool {
        !self.per_handler || self.handled.len() == 1
    }
}

impl Policy {
    /// As options.
    pub fn options(&self) -> String {
        format!(
            "\"on_failure\": \"{}\", \"park\": \"{}\", \"retries\": {}, \
             \"retry_delay\": \"0 s\", \"retry_max_delay\": \"0 s\"",
            if self.parks { "park" } else { "stop" },
            if self.holds_stream {
                "stream"
            } else {
                "message"
            },
            self.retries
        )
    }

    /// Whether a message that failed is handled after later ones of its stream.
    pub fn reorders(&self) -> bool {
        self.parks && !self.holds_stream
    }
}

/// A message.
pub fn draft() -> impl Strategy<Value = Draft> {
    (0..STREAMS.len(), 0..TYPES.len(), prop::bool::weighted(0.6)).prop_map(
        |(stream, kind, is_correlated)| Draft {
            stream,
            kind,
            is_correlated,
        },
    )
}

/// Functions for up to three types.
pub fn shapes() -> impl Strategy<Value = [&'static str; 3]> {
    let shape = || select(&SHAPES[..]);
    (shape(), shape(), shape()).prop_map(|(first, second, third)| [first, second, third])
}

/// A policy.
pub fn policy() -> impl Strategy<Value = Policy> {
    (
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.7),
        0..3_i64,
    )
        .prop_map(|(parks, holds_stream, retries)| Policy {
            parks,
            holds_stream,
            retries,
        })
}

/// A subscription.
pub fn definition() -> impl Strategy<Value = Definition> {
    let types = prop_oneof![
        4 => Just(Vec::new()),
        1 => prop::sample::subsequence(&TYPES[..], 1..3),
    ];
    let start = prop_oneof![
        6 => Just(Start::Beginning),
        1 => Just(Start::Now),
        1 => Just(Start::Middle),
    ];
    let reads = (
        select(&SOURCES[..]),
        select(&HANDLED[..]),
        shapes(),
        types,
        prop::bool::weighted(0.1),
    );
    let group_size = prop_oneof![2 => Just(1_i64), 1 => 2..5_i64];
    let works = (
        group_size,
        policy(),
        prop::bool::weighted(0.1),
        1..8_i64,
        vec(draft(), 0..8),
        start,
        (prop::bool::weighted(0.3), prop::bool::weighted(0.15)),
    );
    let outside = (select(&SOURCES[..]), 1..4_i64)
        .prop_map(|(source, group_size)| Outside { source, group_size });
    let outside = prop::option::weighted(0.4, outside);
    (reads, works, outside).prop_map(|(reads, works, outside)| Definition {
        source: reads.0,
        handled: reads.1,
        shapes: reads.2,
        types: reads.3,
        is_correlated: reads.4,
        group_size: works.0,
        policy: works.1,
        per_handler: works.2,
        batch_size: works.3,
        before: works.4,
        start: works.5,
        duties: Duties {
            answers: works.6.0,
            ticks: works.6.1,
        },
        outside,
    })
}
