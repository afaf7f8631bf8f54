//! A store for one test.

use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    connection::{Target, opening},
    database::{Database, Session},
    error::{Error, Result},
};

/// Connections of a test to its store.
const CONNECTIONS: usize = 4;

/// A database of its own with an empty store and the extension `message_store_test`, on a server that
/// has both. It is dropped with this value, whoever is still connected. Where the test is killed, it
/// stays: its name begins with `message_store_test_`.
pub struct ThrowAwayStore {
    target: Target,
    server: Target,
    name: String,
    database: Database,
}

impl ThrowAwayStore {
    /// Creates it on the server of `url`, as [`Target::parse`] takes it. The role there must be a
    /// superuser, as `CREATE EXTENSION message_store` asks.
    ///
    /// # Errors
    /// [`Error::Config`] for an address that cannot be read, [`Error::Connect`], and
    /// [`Error::Database`] where the server lacks an extension or the role a right.
    pub async fn create(url: &str) -> Result<Self> {
        let server = Target::parse(url, "the address of the tests' server")?;
        let name = format!("message_store_test_{}", Uuid::new_v4().simple());
        let administrator = Session::connect(&server).await?;
        administrator.ensure_database(&name).await?;
        let mut target = server.clone();
        target.config.dbname(&name);
        let store = Self {
            database: Database::open(&target, CONNECTIONS)?,
            target,
            server,
            name,
        };
        let session = Session::connect(&store.target).await?;
        session.ensure_store().await?;
        let install = "install the extension message_store_test (it is installed where \
                       message_store is)";
        session
            .run(install, "CREATE EXTENSION message_store_test")
            .await?;
        Ok(store)
    }

    /// The name of its database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, for the code under test.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Connections to it.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs the application's SQL: its tables, handlers and subscriptions.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn run(&self, sql: &str) -> Result<()> {
        let client = self.connect().await?;
        let run = client.batch_execute(sql).await;
        run.map_err(Error::database("set a test up"))
    }

    /// Ticks a subscription until nothing is left to handle; returns how many messages were handled.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Database`] with the error of a handler that fails.
    pub async fn when_ticked(&self, subscriber_id: &str) -> Result<i64> {
        const TICK: &str = "SELECT message_store_test.when_ticked($1)";
        let client = self.connect().await?;
        let handled = client.query_one(TICK, &[&subscriber_id]).await;
        handled
            .and_then(|row| row.try_get(0))
            .map_err(Error::database(format!("tick {subscriber_id}")))
    }

    /// Compares the rows of a read model, a table or a query, with an array of objects; columns that
    /// no object names are not compared.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Database`] with the rows that differ.
    pub async fn then_read_model(&self, read_model: &str, expected: &Value) -> Result<()> {
        const COMPARE: &str = "SELECT message_store_test.then_read_model($1, $2)";
        let client = self.connect().await?;
        let compared = client.query(COMPARE, &[&read_model, expected]).await;
        compared
            .map(|_| ())
            .map_err(Error::database(format!("find {read_model} as expected")))
    }

    /// A connection like the application's: names are found on the role's search_path.
    async fn connect(&self) -> Result<Client> {
        let opened = opening::connect(&self.target.config, self.target.tls.clone()).await;
        let opened = opened.map_err(|error| Error::Connect {
            target: self.target.label.clone(),
            problem: crate::error::describe(&error),
        });
        opened.map(|(client, _)| client)
    }
}

impl Drop for ThrowAwayStore {
    fn drop(&mut self) {
        let server = self.server.clone();
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The runtime that drops this cannot wait here for its own connections.
        let dropping = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|problem| Error::Input {
                    problem: format!("no runtime to drop a store with: {problem}"),
                })?;
            runtime.block_on(async {
                let administrator = Session::connect(&server).await?;
                administrator.run("drop the store of a test", &sql).await
            })
        });
        if let Ok(Err(error)) = dropping.join() {
            tracing::warn!(%error, database = self.name, "the store of a test stays");
        }
    }
}
