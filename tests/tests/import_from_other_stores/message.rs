//! A message, as every store has it.

use std::collections::BTreeMap;

use promises::Session;
use serde_json::Value;

/// A message, as far as every store has it.
#[derive(Debug, PartialEq)]
pub struct Message {
    pub stream: String,
    pub message_type: String,
    pub data: Value,
    pub metadata: Value,
}

/// The messages of the new store in its order, and what `library` kept of each.
pub async fn imported(session: &Session, library: &str) -> (Vec<Message>, Vec<Value>) {
    let rows = session
        .run(&format!(
            "SELECT stream_name, type, data, metadata - '{library}', metadata -> '{library}'
             FROM message_store.messages ORDER BY global_position"
        ))
        .await
        .unwrap();
    assert_eq!(rows.len(), 100);
    rows.into_iter()
        .map(|row| {
            let [stream, message_type, data, metadata, kept] = row
                .try_into()
                .map(|row: [Option<String>; 5]| row.map(Option::unwrap))
                .unwrap();
            let parse = |text: String| serde_json::from_str::<Value>(&text).unwrap();
            let message = Message {
                stream,
                message_type,
                data: parse(data),
                metadata: parse(metadata),
            };
            (message, parse(kept))
        })
        .unzip()
}

/// What a statement returns: stream, type, data and metadata of every message in its order. `renamed` says
/// what becomes of the streams' names.
pub async fn read(
    session: &Session,
    sql: &str,
    renamed: &BTreeMap<String, String>,
) -> Vec<Message> {
    let rows = session.run(sql).await.unwrap();
    rows.into_iter()
        .map(|row| {
            let [stream, message_type, data, metadata] = row
                .try_into()
                .map(|row: [Option<String>; 4]| row.map(Option::unwrap))
                .unwrap();
            Message {
                stream: renamed[&stream].clone(),
                message_type,
                data: serde_json::from_str(&data).unwrap(),
                metadata: serde_json::from_str(&metadata).unwrap(),
            }
        })
        .collect()
}
