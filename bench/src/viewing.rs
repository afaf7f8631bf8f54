//! The message that works write: a viewing, of the size a message of the demo has.

/// Its type.
pub const TYPE: &str = "VideoViewed";

/// Its data.
pub const DATA: &str =
    r#"{"userId": "1b0a3d5c-1c7a-4a8b-9a55-2f8f4c1d2e3f", "videoId": "streams"}"#;

/// Its metadata.
pub const METADATA: &str = r#"{"traceId": "2b0a3d5c-1c7a-4a8b-9a55-2f8f4c1d2e3f"}"#;

/// A statement that writes one to the stream that an expression of SQL names.
pub fn write_to(stream: &str) -> String {
    format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, {stream}, \
         '{TYPE}', '{DATA}', '{METADATA}');"
    )
}
