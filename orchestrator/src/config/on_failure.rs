//! What happens when a handler fails, as a configuration says it.

use serde::Deserialize;
use serde_json::{Value, json};

/// The table `on_failure` as typed.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct OnFailure {
    then: Option<Then>,
    retries: Option<u32>,
    retry_delay_ms: Option<u64>,
    retry_max_delay_ms: Option<u64>,
    park: Option<Park>,
    transient_limit_s: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Then {
    Stop,
    Park,
}

#[derive(Clone, Copy, Deserialize)]
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
