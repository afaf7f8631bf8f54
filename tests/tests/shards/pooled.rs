//! Between a router and its shards stands pgbouncer, where there are many clients.

use promises::{Cluster, PgBouncer};

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
