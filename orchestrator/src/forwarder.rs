//! A handler writes where its own entity lives. What it means for another one it writes into an outbox, a
//! stream of its own entity in the category of a forwarder, with the other stream's name in the metadata;
//! the forwarder writes it there, wherever that is: in order, and once, however often anybody dies.

use std::time::Duration;

use message_store_client::{
    Consumer, Error, Failure, Shards,
    database::{Database, FetchedMessage, NewMessage},
};
use serde_json::{Map, Value, value::to_raw_value};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::complaint::Complaint;

/// The key of the metadata that names the stream; what is written there does not have it.
const FORWARD_TO: &str = "forwardTo";
/// How long others wait for the messages of an orchestrator that died.
const LEASE: Duration = Duration::from_secs(3);
/// The pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Errors that no other try would spare: of what the message says, SQLSTATE classes.
const OF_THE_MESSAGE: [&str; 3] = ["22", "23", "P0"];

/// Forwards the messages of a category of one store.
pub struct Forwarder {
    /// The store.
    pub database: Database,
    /// The subscription that keeps its position.
    pub subscriber_id: String,
    /// Where messages are written.
    pub shards: Shards,
    /// Ends it; what was not acknowledged is forwarded again, and is there already.
    pub shutdown: CancellationToken,
}

impl Forwarder {
    /// Forwards until shutdown. A failure is logged, once for each cause, and tried again.
    pub async fn run(self) {
        let mut complaint = Complaint::that("nothing is forwarded");
        let consumer = Consumer::new(&self.database, &self.subscriber_id).lease(LEASE);
        loop {
            let forwarding = consumer.run(|fetched| self.forward(fetched));
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                Err(error) = forwarding => complaint.tell(&error),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = sleep(AFTER_FAILURE) => {}
            }
        }
    }

    async fn forward(&self, fetched: FetchedMessage) -> Result<(), Failure> {
        let position = fetched.message.global_position;
        let message = addressed(fetched).map_err(Failure::Park)?;
        match self.shards.deliver_message(&message, position).await {
            Ok(_) => Ok(()),
            Err(error) if is_of_the_message(&error) => Err(Failure::Park(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_of_the_message(error: &Error) -> bool {
    let state = error.sql_state();
    state.is_some_and(|state| OF_THE_MESSAGE.contains(&&state.code()[..2]))
}

/// As it is to be written: the same message for another stream, under an id that it always has.
fn addressed(fetched: FetchedMessage) -> Result<NewMessage, String> {
    let message = fetched.message;
    let metadata = message.metadata.as_ref().map_or("null", |text| text.get());
    let metadata: Value = serde_json::from_str(metadata).map_err(|error| error.to_string())?;
    let mut metadata = match metadata {
        Value::Object(metadata) => metadata,
        _ => Map::new(),
    };
    let Some(Value::String(stream)) = metadata.remove(FORWARD_TO) else {
        return Err(format!(
            "its metadata does not name a stream: {{\"{FORWARD_TO}\": \"account-1\"}}"
        ));
    };
    let id = Uuid::parse_str(&message.id).map_err(|error| error.to_string())?;
    let metadata = (!metadata.is_empty()).then(|| to_raw_value(&metadata));
    Ok(NewMessage {
        id: Uuid::new_v5(&id, stream.as_bytes()).to_string(),
        stream,
        message_type: message.message_type,
        data: message.data,
        metadata: metadata.transpose().map_err(|error| error.to_string())?,
        expected_version: None,
    })
}

#[cfg(test)]
mod tests {
    use message_store_client::database::StoredMessage;
    use serde_json::{json, value::RawValue};

    use super::*;

    fn fetched(metadata: Option<&Value>) -> FetchedMessage {
        let raw = |value: &Value| RawValue::from_string(value.to_string()).unwrap();
        FetchedMessage {
            message: StoredMessage {
                id: "00000000-0000-4000-8000-000000000001".to_owned(),
                stream: "outbox-1".to_owned(),
                message_type: "Deposited".to_owned(),
                position: 0,
                global_position: 7,
                data: Some(raw(&json!({"amount": 3}))),
                metadata: metadata.map(raw),
                time: String::new(),
            },
            lease: 1,
            attempt: 1,
        }
    }

    #[test]
    fn it_has_the_same_id_whenever_it_is_forwarded_and_another_for_another_stream() {
        let to = |stream: &str| addressed(fetched(Some(&json!({"forwardTo": stream})))).unwrap();
        let message = to("account-2");
        assert_eq!(message.stream, "account-2");
        assert_eq!(message.data.unwrap().get(), r#"{"amount":3}"#);
        assert!(message.metadata.is_none());
        assert_eq!(message.id, to("account-2").id);
        assert_ne!(message.id, to("account-3").id);
        let traced = json!({"forwardTo": "account-2", "traceparent": "00-1"});
        let metadata = addressed(fetched(Some(&traced))).unwrap().metadata;
        assert_eq!(metadata.unwrap().get(), r#"{"traceparent":"00-1"}"#);
    }

    #[test]
    fn what_names_no_stream_is_not_forwarded() {
        for metadata in [
            None,
            Some(json!({})),
            Some(json!({"forwardTo": 7})),
            Some(json!([])),
        ] {
            let problem = addressed(fetched(metadata.as_ref())).unwrap_err();
            assert!(problem.contains("forwardTo"), "{problem}");
        }
    }
}
