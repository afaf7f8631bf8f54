//! What happens when a handler fails, as a configuration says it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The table `on_failure` as typed.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct OnFailure {
    /// What happens after the retries. Default stop.
    then: Option<Then>,
    /// How often a failing handler is called again. Default 10.
    retries: Option<u32>,
    /// The first pause. Pauses double. Default 100.
    retry_delay_ms: Option<u64>,
    /// The longest pause. Default 30000.
    retry_max_delay_ms: Option<u64>,
    /// Whether the rest of the message's stream waits too. Default stream.
    park: Option<Park>,
    /// How long transient errors, such as deadlocks, do not count. Default 600.
    transient_limit_s: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Then {
    Stop,
    Park,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Park {
    Stream,
    Message,
}

impl OnFailure {
    /// Hands over each option under its name of `create_subscription`.
    pub(super) fn put_into(&self, mut put: impl FnMut(&str, Option<Value>)) {
        put(
            "on_failure",
            self.then.map(|then| match then {
                Then::Stop => json!("stop"),
                Then::Park => json!("park"),
            }),
        );
        put("retries", self.retries.map(|count| json!(count)));
        put(
            "retry_delay",
            self.retry_delay_ms.map(|ms| json!(format!("{ms} ms"))),
        );
        put(
            "retry_max_delay",
            self.retry_max_delay_ms.map(|ms| json!(format!("{ms} ms"))),
        );
        put(
            "park",
            self.park.map(|park| match park {
                Park::Stream => json!("stream"),
                Park::Message => json!("message"),
            }),
        );
        put(
            "transient_limit",
            self.transient_limit_s.map(|s| json!(format!("{s} s"))),
        );
    }
}
