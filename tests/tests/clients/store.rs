//! A store, and the ways that lead to it.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use promises::{Cluster, Database, MessageDb, PgBouncer, PoolMode, Session, Shards, StopMode};

/// Where PostgreSQL listens.
const SERVER_PORT: u16 = 5432;

/// How a client reaches the server.
#[derive(Clone, Copy)]
pub enum Path {
    Direct,
    Session,
    Transaction,
}

impl Path {
    pub const ALL: [Self; 3] = [Self::Direct, Self::Session, Self::Transaction];

    /// As the table and the programs call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Session => "session",
            Self::Transaction => "transaction",
        }
    }
}

pub struct Store {
    pub database: Database<'static>,
    in_session_mode: Pooler,
    in_transaction_mode: Pooler,
}

struct Pooler {
    pooler: PgBouncer,
    address: String,
}

impl Store {
    /// `name` is that of its database, where a client cares. `sessions` are those to the server that all
    /// share in transaction mode.
    pub async fn create(name: Option<&str>, pooler_settings: &str, sessions: u32) -> Self {
        let mut database = cluster().create_store().await;
        if let Some(name) = name {
            let admin = cluster().connect("postgres", "postgres").await;
            let rename = format!("ALTER DATABASE {} RENAME TO {name}", database.name);
            admin.run(&rename).await.unwrap();
            database.name = name.to_owned();
        }
        Self::before(database, pooler_settings, sessions).await
    }

    /// Message DB itself, for comparison.
    pub async fn create_message_db() -> Self {
        let database = MessageDb::install(cluster(), "message_db").database();
        Self::before(database, "", 2).await
    }

    /// A router, and the shards that it asks.
    pub async fn create_router() -> (Self, Vec<Database<'static>>) {
        let Shards { shards, router } = cluster().create_shards(2).await;
        // Some begin a block for every statement.
        let commit = format!(
            "ALTER DATABASE {} SET message_store_router.commit_each_write = on",
            router.name
        );
        router.connect().await.run(&commit).await.unwrap();
        (Self::before(router, "", 2).await, shards)
    }

    async fn before(database: Database<'static>, pooler_settings: &str, sessions: u32) -> Self {
        // Clients of Message DB name no schema, and what a session sets does not go with it through a
        // pooler.
        let find_functions = format!(
            "ALTER DATABASE {} SET search_path = message_store, public",
            database.name
        );
        let session = database.connect().await;
        session.run(&find_functions).await.unwrap();
        Self {
            database,
            in_session_mode: Pooler::start(PoolMode::Session, 10, pooler_settings),
            in_transaction_mode: Pooler::start(PoolMode::Transaction, sessions, pooler_settings),
        }
    }

    fn pooler(&self, path: Path) -> Option<&Pooler> {
        match path {
            Path::Direct => None,
            Path::Session => Some(&self.in_session_mode),
            Path::Transaction => Some(&self.in_transaction_mode),
        }
    }

    /// A session of the role `message_store`.
    pub async fn connect(&self, path: Path) -> Session {
        let role = "message_store";
        match self.pooler(path) {
            None => self.database.connect_as(role).await,
            Some(Pooler { pooler, .. }) => pooler.connect(&self.database, role).await,
        }
    }

    /// Tells a program where the store is, by the variables of libpq.
    pub fn set_environment(&self, command: &mut Command, path: Path) {
        let (address, port) = match self.pooler(path) {
            None => (&own_address(1), SERVER_PORT),
            Some(Pooler { address, .. }) => (address, PgBouncer::PORT),
        };
        cluster().set_client_environment(command);
        command
            // pgbouncer refuses them.
            .env_remove("PGOPTIONS")
            .env("PGHOST", address)
            .env("PGPORT", port.to_string())
            .env("PGDATABASE", &self.database.name)
            .env("PGUSER", "message_store");
    }
}

impl Pooler {
    fn start(mode: PoolMode, sessions: u32, settings: &str) -> Self {
        static LAST_BYTE: AtomicU8 = AtomicU8::new(2);
        let address = own_address(LAST_BYTE.fetch_add(1, Ordering::Relaxed));
        let settings = format!("listen_addr = {address}\n{settings}");
        Self {
            pooler: PgBouncer::start_in(mode, cluster(), sessions, &settings),
            address,
        }
    }
}

/// One that listens at an address: not every driver knows sockets.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::start(&[("listen_addresses", &own_address(1))]);
        let rules = "local all all trust\nhost all all 127.0.0.0/8 trust\n";
        fs::write(cluster.data_dir().join("pg_hba.conf"), rules).unwrap();
        cluster.restart(StopMode::Fast);
        // Message DB fails where another makes the role at the same moment.
        let mut install = cluster.client_command("psql");
        install.args([
            "--dbname",
            "postgres",
            "--command",
            "CREATE EXTENSION message_store",
        ]);
        assert!(install.status().unwrap().success());
        cluster
    })
}

/// An address of the loopback that only this process uses.
fn own_address(last_byte: u8) -> String {
    let process = std::process::id();
    let (high, low) = (1 + process / 256 % 250, process % 256);
    format!("127.{high}.{low}.{last_byte}")
}
