//! What cannot be meant.

use super::{LOG, element, store, write, write_to};

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_its_place() {
    let (_database, session) = store().await;
    let fine = element("thing-1", "A", None, None);
    let long = "x".repeat(2_601);
    let array = |element: String| write(&[fine.clone(), element], "error");
    let nulls = |stream: &str, message_type: &str| {
        format!("ROW({stream}, {message_type}, NULL, NULL, NULL, NULL)")
    };
    let json = |second: &str| write_to("thing-1", &format!(r#"[{{"type": "A"}}, {second}]"#), "");
    let cases = [
        (array("NULL".to_owned()), "22023", "messages[2] must not be NULL"),
        (array(nulls("NULL", "'T'")), "22023", "messages[2].stream_name"),
        (array(nulls("''", "'T'")), "22023", "messages[2].stream_name"),
        (array(nulls(&format!("'{long}'"), "'T'")), "22023", "messages[2].stream_name has 2601"),
        (array(nulls("'thing-1'", "NULL")), "22023", "messages[2].type"),
        (array(nulls("'thing-1'", "''")), "22023", "messages[2].type"),
        (array(element("thing-1", "A", Some("no-uuid"), None)), "22P02", "messages[2].id"),
        (
            array(format!(
                "ROW('thing-1', 'T', NULL, '{{\"correlationStreamName\": \"{long}\"}}', NULL, NULL)"
            )),
            "22023",
            "messages[2].metadata",
        ),
        (write(std::slice::from_ref(&fine), "skip"), "22023", "on_duplicate must be 'error' or 'ignore': skip"),
        (
            "SELECT message_store.write_messages(NULL::message_store.new_message[])".to_owned(),
            "22023",
            "messages must not be NULL",
        ),
        (
            format!(
                "SELECT message_store.write_messages(ARRAY[[{fine}], [{fine}]]\
                 ::message_store.new_message[])"
            ),
            "22023",
            "messages has 2 dimensions",
        ),
        (
            format!("SELECT message_store.write_messages(ARRAY[{fine}]::message_store.new_message[], NULL)"),
            "22023",
            "on_duplicate",
        ),
        (json("17"), "22023", "messages[1] must be a JSON object"),
        (json("[]"), "22023", "messages[1] must be a JSON object"),
        (json(r#"{"data": 1}"#), "22023", "messages[1].type"),
        (json(r#"{"type": null}"#), "22023", "messages[1].type"),
        (json(r#"{"type": 5}"#), "22023", "messages[1].type must be a string"),
        (json(r#"{"type": {}}"#), "22023", "messages[1].type must be a string"),
        (json(r#"{"type": "T", "id": 5}"#), "22023", "messages[1].id must be a string"),
        (json(r#"{"type": "T", "id": ""}"#), "22P02", "messages[1].id"),
        (json(r#"{"type": "T", "idd": 5}"#), "22023", "messages[1] has an unknown key \"idd\""),
        (write_to("thing-1", "{}", ""), "22023", "messages must be a JSON array"),
        (write_to("thing-1", "7", ""), "22023", "messages must be a JSON array"),
        (write_to("", "[]", ""), "22023", "stream_name must not be NULL or empty"),
        (
            "SELECT message_store.write_messages(NULL::varchar, '[]'::jsonb)".to_owned(),
            "22023",
            "stream_name must not be NULL or empty",
        ),
        (
            "SELECT message_store.write_messages('thing-1', NULL::jsonb)".to_owned(),
            "22023",
            "messages must not be NULL",
        ),
        ("SELECT message_store.follow(NULL)".to_owned(), "22023", "message must not be NULL"),
        (
            "SELECT message_store.follow(m, '[]') FROM (SELECT NULL::message_store.message) AS n(x), \
             LATERAL (SELECT ROW(NULL, 's-1', 'T', 0, 1, NULL, NULL, NULL)::message_store.message) AS o(m)"
                .to_owned(),
            "22023",
            "metadata must be a JSON object",
        ),
    ];
    for (sql, sqlstate, text) in cases {
        let error = session.error(&sql).await;
        assert_eq!(error.sqlstate, sqlstate, "{sql}\n{error:?}");
        assert!(error.message.contains(text), "{sql}\n{error:?}");
        assert!(!error.hint.is_empty(), "{sql}\n{error:?}");
    }
    session.run("BEGIN READ ONLY").await.unwrap();
    let error = session.error(&write(&[fine], "error")).await;
    assert_eq!(error.sqlstate, "25006", "{error:?}");
    session.run("ROLLBACK").await.unwrap();
    assert!(session.run(LOG).await.unwrap().is_empty());
}
