//! What is between a router and its shards: pgbouncer, where there are many clients, and a network.

use std::time::{Duration, Instant};

use promises::{Cluster, FarAway, PgBouncer};

use crate::{positions, write};

#[tokio::test]
async fn a_router_reaches_its_shards_by_pgbouncer() {
    let cluster = Cluster::shared();
    let shards = cluster.create_shards(2).await;
    let pooler = PgBouncer::start(cluster, 4);
    let behind = cluster.create_router().await;
    let addresses: Vec<_> = shards
        .shards
        .iter()
        .map(|shard| format!("'{}'", pooler.address(shard)))
        .collect();
    let tell = format!(
        "SELECT message_store.use_shards(ARRAY[{}], 1)",
        addresses.join(", ")
    );
    behind.connect().await.run(&tell).await.unwrap();
    // More clients than the pooler has sessions for.
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(behind.connect_as("message_store").await);
    }
    for id in 0..80 {
        let client = &clients[id % clients.len()];
        client.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    let straight = positions(&shards.client().await, crate::MERGED).await;
    assert_eq!(straight.len(), 80);
    for client in &clients {
        assert_eq!(positions(client, crate::MERGED).await, straight);
    }
    let conflict = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'shelf-1', 'T', '{}', NULL, 7)";
    let (by_pooler, directly) = (
        clients[0].error(conflict).await,
        shards.client().await.error(conflict).await,
    );
    assert_eq!(by_pooler.sqlstate, "P0001");
    assert_eq!(by_pooler.message, directly.message);
    clients[0].run(&write("shelf-1")).await.unwrap();
}

/// In a session that has been there, and in one that has not.
#[tokio::test]
async fn a_shard_that_is_gone_without_a_word_is_noticed() {
    let cluster = Cluster::shared();
    let shards = cluster.create_shards(2).await;
    let far = FarAway::to(cluster);
    let router = cluster.create_router().await;
    let tell = format!(
        "SELECT message_store.use_shards(ARRAY['{}', '{}'])",
        far.address(&shards.shards[0]),
        shards.shards[1].address()
    );
    router.connect().await.run(&tell).await.unwrap();
    let version = |stream: &str| format!("SELECT message_store.stream_version('{stream}')");
    let gone = version(&shards.stream_on(0, "shelf", 0).await);
    let there = version(&shards.stream_on(1, "shelf", 0).await);
    let (old, new) = (
        router.connect_as("message_store").await,
        router.connect_as("message_store").await,
    );
    old.run(&gone).await.unwrap();
    far.cut_off();
    let began = Instant::now();
    // It would end a call that is answered.
    old.run("SET statement_timeout = '1s'").await.unwrap();
    let told = tokio::join!(old.error(&gone), new.error(&gone));
    for told in [told.0, told.1] {
        assert_eq!(told.sqlstate, "08006", "{told:?}");
        assert!(told.hint.contains("shard_status"), "{told:?}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
    for session in [&old, &new] {
        session.run(&there).await.unwrap();
    }
}
