//! One entry of `[[forwarders]]`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::subscription::{Subscription, check_category};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForwarderTable {
    /// The name that its position is kept under. It must be unique.
    subscriber_id: String,
    /// Messages of every stream of this category are written to the stream that their metadata name as
    /// forwardTo, once, on whatever shard that is.
    category: String,
}

impl ForwarderTable {
    /// The subscription that keeps its position.
    pub(super) fn check(self) -> Result<Subscription, String> {
        let id = self.subscriber_id;
        if id.is_empty() {
            return Err("the subscriber_id is empty; its position is kept under it".to_owned());
        }
        let source = check_category(&self.category);
        Ok(Subscription {
            source: source.map_err(|problem| format!("subscriber {id:?}: {problem}"))?,
            subscriber_id: id,
            handlers: json!({}),
            options: Value::Object(Map::new()),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_forwarder_is_a_subscription_that_the_orchestrator_fetches() {
        let text = "[[forwarders]]\nsubscriber_id = 'forwarders:out'\ncategory = 'outbox'\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.forwarders, ["forwarders:out"]);
        assert_eq!(config.subscriptions[0].source, "outbox");
        let twice = Config::parse(&format!("{text}{text}")).err().unwrap();
        assert!(twice.contains("used twice"), "{twice}");
        let stream = Config::parse(&text.replace("'outbox'", "'outbox-1'"));
        let problem = stream.err().unwrap();
        assert!(problem.contains("'-'"), "{problem}");
    }
}
