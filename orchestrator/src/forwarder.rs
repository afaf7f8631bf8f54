//! A handler writes where its own entity lives. What it means for another one it writes into an outbox, a
//! stream of its own entity in the category of a forwarder, with the other stream's name in the metadata;
//! the forwarder writes it there, wherever that is: in order, and once, however often anybody dies.

use std::{collections::BTreeMap, time::Duration};

use message_store_client::{
    Consumer, Error, Failure, Shards,
    database::{Database, FetchedMessage, NewMessage},
};
use serde_json::value::{RawValue, to_raw_value};
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
/// Classes of SQLSTATEs that may pass, or that somebody has to repair in the database: no message is at fault.
const OF_THE_DATABASE: [&str; 10] = ["08", "28", "3D", "3F", "40", "42", "53", "55", "57", "58"];

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

/// Whether this message would be refused again, and the next one perhaps not.
fn is_of_the_message(error: &Error) -> bool {
    let is_of_the_database = error.is_connection_loss()
        || error.is_read_only()
        || error
            .sql_state()
            .is_some_and(|state| OF_THE_DATABASE.contains(&&state.code()[..2]));
    matches!(error, Error::Database { .. }) && !is_of_the_database
}

/// As it is to be written: the same message for another stream, under an id that it always has.
fn addressed(fetched: FetchedMessage) -> Result<NewMessage, String> {
    let message = fetched.message;
    // As they are written: a number is not for us to round.
    let metadata = message
        .metadata
        .as_ref()
        .map(|text| serde_json::from_str(text.get()));
    let mut metadata: BTreeMap<String, Box<RawValue>> =
        metadata.and_then(Result::ok).unwrap_or_default();
    let stream = metadata.remove(FORWARD_TO);
    let stream = stream.and_then(|name| serde_json::from_str::<String>(name.get()).ok());
    let stream = stream.ok_or_else(|| {
        format!("its metadata does not name a stream: {{\"{FORWARD_TO}\": \"account-1\"}}")
    })?;
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
    use serde_json::{Value, json};

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
        let mut exact = fetched(None);
        let text = r#"{"n": 12345678901234567890123, "big": 1e400, "forwardTo": "account-2"}"#;
        exact.message.metadata = Some(RawValue::from_string(text.to_owned()).unwrap());
        let metadata = addressed(exact).unwrap().metadata.unwrap();
        assert_eq!(
            metadata.get(),
            r#"{"big":1e400,"n":12345678901234567890123}"#
        );
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
