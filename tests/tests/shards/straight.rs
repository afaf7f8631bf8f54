//! A client of the crate asks the shards without a router, by the same rule, and finds them again when they
//! have moved.

use message_store_client::Shards as Found;
use message_store_client::connection::Target;
use message_store_client::database::NewMessage;
use promises::Cluster;
use serde_json::json;

use crate::positions;

fn target(url: &str) -> Target {
    Target::parse(url, "test").unwrap()
}

#[tokio::test]
async fn a_client_writes_to_the_shard_that_has_the_stream() {
    let shards = Cluster::shared().create_shards(3).await;
    // By the router, and by a shard.
    for url in [
        shards.router.url("message_store"),
        shards.shards[1].url("message_store"),
    ] {
        let found = Found::find(&target(&url), 2).await.unwrap();
        assert_eq!(found.map().await, (1, 3));
        for id in [
            "1",
            "x+y",
            "",
            "+",
            "a-b+c",
            "ü",
            "00000000-0000-4000-8000-000000000000",
        ] {
            for category in ["shelf", "shelf:command", ""] {
                let message =
                    NewMessage::new(&format!("{category}-{id}"), "T", &json!({})).unwrap();
                found.write_message(&message).await.unwrap();
            }
        }
        let message = NewMessage::new("shelf", "T", &json!({})).unwrap();
        found.write_message(&message).await.unwrap();
    }
    let mut written = 0;
    for shard in shards.sessions().await {
        written += shard
            .bigint("SELECT count(*) FROM message_store.messages")
            .await;
    }
    assert_eq!(written, 44, "a shard refuses what is not its own");
}

#[tokio::test]
async fn a_client_finds_the_shards_again_when_they_have_moved() {
    let shards = Cluster::shared().create_shards(1).await;
    let found = Found::find(&target(&shards.shards[0].url("message_store")), 1)
        .await
        .unwrap();
    let message = |id: usize| NewMessage::new(&format!("shelf-{id}"), "T", &json!({})).unwrap();
    for id in 0..10 {
        found.write_message(&message(id)).await.unwrap();
    }
    drop(found.all().await);
    let second = Cluster::shared().create_store().await;
    let addresses = format!(
        "ARRAY['{}', '{}']",
        shards.shards[0].address(),
        second.address()
    );
    let first = shards.shards[0].connect().await;
    let drawn = first
        .bigint("SELECT message_store.advance_position(0)")
        .await;
    first
        .run(&format!(
            "SELECT message_store.become_shard(0, 2, 2, {addresses})"
        ))
        .await
        .unwrap();
    second
        .connect()
        .await
        .run(&format!(
            "SELECT message_store.become_shard(1, 2, 2, {addresses}, {drawn})"
        ))
        .await
        .unwrap();
    for id in 0..10 {
        found.write_message(&message(id)).await.unwrap();
    }
    assert_eq!(found.map().await, (2, 2));
    let all = "SELECT global_position FROM message_store.messages";
    let moved = positions(&second.connect().await, all).await;
    let stayed = positions(&first, all).await;
    assert!(!moved.is_empty());
    assert_eq!(stayed.len() + moved.len(), 20);

    let none = Cluster::shared().create_store().await;
    let refused = Found::find(&target(&none.url("message_store")), 1)
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("no shard"), "{refused}");
}
