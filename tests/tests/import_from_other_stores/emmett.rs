//! Emmett writes.

use std::process::Command;

use promises::{Cluster, Database};
use serde_json::{Value, json};

use crate::message::imported;
use crate::programs::{folder, install, run};
use crate::steps::{By, count, follow_page, import, unchanged};

const FROM_EMMETT: &str = "From Emmett";

/// A database that the library has written into, and what it has read there.
async fn write() -> (Database<'static>, Vec<Value>) {
    let folder = folder().join("emmett");
    install(
        &folder.join("package-lock.json"),
        &folder.join("node_modules/.package-lock.json"),
        &mut [Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--prefix")
            .arg(&folder)],
    );
    let database = Cluster::shared().create_database().await;
    let written = run(Command::new("node").arg(folder.join("carts.js")), &database);
    (database, written)
}

#[tokio::test]
async fn what_emmett_has_written_comes_over() {
    let (old, written) = write().await;
    // A row that was touched is no longer where it was.
    let touch = "UPDATE emt_messages SET message_type = message_type WHERE global_position % 7 = 0";
    old.connect().await.run(touch).await.unwrap();
    let session = import(FROM_EMMETT, &old.url("postgres")).await;
    let (messages, kept) = imported(&session, "emmett").await;
    for (theirs, ours) in [
        ("shopping_cart-1", "shopping_cart-1"),
        (
            "shopping_cart-0f8f7c5e-6d2e-4c8e-9a39-8f1d8c7c4b0a",
            "shopping_cart-0f8f7c5e-6d2e-4c8e-9a39-8f1d8c7c4b0a",
        ),
        ("order:7", "order-7"),
        ("inventory", "stream-inventory"),
        (
            "9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11",
            "stream-9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11",
        ),
    ] {
        let theirs = written.iter().filter(|event| event["stream"] == theirs);
        let theirs: Vec<Value> = theirs
            .map(|event| json!([event["id"], event["type"], event["data"], event["metadata"]]))
            .collect();
        let ours: Vec<Value> = messages
            .iter()
            .zip(&kept)
            .filter(|(message, _)| message.stream == ours)
            .map(|(message, kept)| {
                json!([
                    kept["message_id"],
                    message.message_type,
                    message.data,
                    message.metadata
                ])
            })
            .collect();
        assert_eq!(ours.len(), 20);
        assert_eq!(ours, theirs);
    }
    let of_ids = "SELECT count(*) FROM message_store.messages
                  WHERE id::text = metadata -> 'emmett' ->> 'message_id'";
    assert_eq!(session.bigint(of_ids).await, 100);
    for kept in &kept {
        assert_eq!(
            (&kept["partition"], &kept["message_kind"]),
            (&json!("emt:default"), &json!("E"))
        );
    }
}

#[tokio::test]
async fn a_command_in_a_partition_with_an_id_that_is_no_uuid_comes_over_too() {
    let (old, _) = write().await;
    old.connect()
        .await
        .run(
            "DELETE FROM emt_messages WHERE global_position = 100;
             SELECT emt_add_partition('acme');
             SELECT emt_append_to_stream(ARRAY['the first order'], ARRAY['{}'::jsonb], ARRAY['{}'::jsonb],
               ARRAY['1'], ARRAY['PlaceOrder'], ARRAY['C'], 'order:7', 'order', 0, 'acme')",
        )
        .await
        .unwrap();
    let session = import(FROM_EMMETT, &old.url("postgres")).await;
    let (messages, kept) = imported(&session, "emmett").await;
    assert_eq!(messages[99].stream, "order-7+acme");
    assert_eq!(
        (&kept[99]["message_kind"], &kept[99]["message_id"]),
        (&json!("C"), &json!("the first order"))
    );
    let of_id =
        "SELECT count(*) FROM message_store.messages WHERE id = md5('the first order')::uuid";
    assert_eq!(session.bigint(of_id).await, 1);
}

#[tokio::test]
async fn a_stream_that_was_archived_and_begun_again_is_refused_unless_one_of_both_is_left_out() {
    let (old, _) = write().await;
    old.connect()
        .await
        .run(
            "UPDATE emt_streams SET is_archived = true WHERE stream_id = 'inventory';
             UPDATE emt_messages SET is_archived = true WHERE stream_id = 'inventory';
             SELECT emt_append_to_stream(ARRAY['9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11'], ARRAY['{}'::jsonb],
               ARRAY['{}'::jsonb], ARRAY['1'], ARRAY['Opened'], ARRAY['E'], 'inventory', 'inventory', 0, 'emt:default')",
        )
        .await
        .unwrap();
    let new = Cluster::shared().create_store().await;
    let url = old.url("postgres");
    let steps = (url.as_str(), By::File, &new);
    let refused = "… line 101: \"position\" in stream-inventory is 1, after 20 in line 98: …; nothing is written\n\
                   exit code 5";
    follow_page(FROM_EMMETT, steps, unchanged, refused).await;
    assert_eq!(count(&new).await, 0);
    let without =
        |query: &str| query.replace("emt_messages m", "emt_messages m WHERE NOT is_archived");
    follow_page(FROM_EMMETT, steps, without, "81 messages written in …").await;
}
