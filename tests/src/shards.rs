//! Several stores that are shards of one, and a router before them.

use crate::cluster::{Cluster, SUPERUSER};
use crate::database::Database;
use crate::session::{Session, literal};

/// Shards, each a database, and their router.
pub struct Shards<'a> {
    /// In the order of their numbers.
    pub shards: Vec<Database<'a>>,
    /// Where clients connect.
    pub router: Database<'a>,
}

impl Cluster {
    /// So many empty shards and a router, all on this server.
    pub async fn create_shards(&self, count: usize) -> Shards<'_> {
        let mut shards = Vec::new();
        for _ in 0..count {
            shards.push(self.create_store().await);
        }
        let router = self.create_router().await;
        let shards = Shards { shards, router };
        shards.agree_on_map(1).await;
        shards
    }

    /// A router that knows no shards yet.
    pub async fn create_router(&self) -> Database<'_> {
        let router = self.create_database().await;
        let admin = router.connect().await;
        admin
            .run("CREATE EXTENSION message_store_router CASCADE")
            .await
            .unwrap();
        router
    }
}

impl Database<'_> {
    /// Where it is, as libpq takes it.
    pub fn address(&self) -> String {
        format!(
            "host={} dbname={}",
            self.cluster.socket_dir().display(),
            self.name
        )
    }
}

impl Shards<'_> {
    /// Their addresses as a literal of an array.
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> = self
            .shards
            .iter()
            .map(|shard| literal(Some(&shard.address())))
            .collect();
        format!("ARRAY[{}]", addresses.join(", "))
    }

    /// Makes each what it is by its place, and tells the router.
    pub async fn agree_on_map(&self, map: i64) {
        let addresses = self.addresses();
        for (number, shard) in self.shards.iter().enumerate() {
            let become_shard = format!(
                "SELECT message_store.become_shard({number}, {}, {map}, {addresses})",
                self.shards.len()
            );
            shard.connect().await.run(&become_shard).await.unwrap();
        }
        self.tell_router(map).await;
    }

    /// Tells the router where the shards are.
    pub async fn tell_router(&self, map: i64) {
        let use_shards = format!(
            "SELECT message_store.use_shards({}, {map})",
            self.addresses()
        );
        self.router.connect().await.run(&use_shards).await.unwrap();
    }

    /// A client's session with the router.
    pub async fn client(&self) -> Session {
        self.router.connect_as("message_store").await
    }

    /// The superuser's sessions with the shards.
    pub async fn sessions(&self) -> Vec<Session> {
        let mut sessions = Vec::new();
        for shard in &self.shards {
            sessions.push(shard.connect_as(SUPERUSER).await);
        }
        sessions
    }

    /// A name of a stream of this category that lives on this shard; another one for each `nth`.
    pub async fn stream_on(&self, shard: usize, category: &str, nth: usize) -> String {
        let name = format!(
            "SELECT name FROM (SELECT '{category}-' || n AS name FROM generate_series(1, 10000) n) s \
              WHERE message_store.shard_of(name, {}) = {shard} OFFSET {nth} LIMIT 1",
            self.shards.len()
        );
        self.router.connect().await.value(&name).await.unwrap()
    }
}
