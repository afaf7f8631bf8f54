//! How a connection begins, and whether the session behind it is ours alone.
//!
//! Whatever the server, the database or the role sets by default, our sessions choose what they
//! depend on. Behind a pooler that hands each transaction to any session of its own, what is set for a
//! session would reach the transactions of others, and what is prepared is not there again. Such a
//! pooler passes no start-up options on, so a session without ours is not our own: there each statement
//! is in a transaction that brings its settings, and nothing is prepared across two.

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use super::servers;

/// A setting that no program has, with which our sessions are known.
const MARK: &str = "orchestrator.own_session";

/// What a connection is for, by which its session is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Statements that take as long as the database lets them.
    Statements,
    /// Ticks. Their effects and their position are in one transaction, so nothing is lost where a
    /// crash of the server takes back the last of them: they need not wait for the disk.
    Ticks,
    /// Pages: a statement that takes longer than a person waits is ended.
    Pages,
    /// The wait for messages, which no limit of the database's may end.
    Waiting,
}

impl Purpose {
    /// Names and values, of settings that this server may not have too.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Statements => &[],
            Self::Ticks => &[("synchronous_commit", "off")],
            // A page's queries are short; to compile one takes longer than to run it.
            Self::Pages => &[("statement_timeout", "10s"), ("jit", "off")],
            Self::Waiting => &[
                ("statement_timeout", "0"),
                ("lock_timeout", "0"),
                ("idle_in_transaction_session_timeout", "0"),
                ("transaction_timeout", "0"),
            ],
        }
    }

    /// Sets up a session. Its process id where it is ours alone; else nothing was set.
    pub async fn begin(self, client: &Client) -> Result<Option<i32>, Error> {
        // What our own SQL names is in pg_catalog, or qualified: nothing that anybody made takes its
        // place.
        let common = [
            ("search_path", "pg_catalog, pg_temp"),
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_deferrable", "off"),
            // A pool's sessions are idle until they are wanted.
            ("idle_session_timeout", "0"),
        ];
        let settings: Vec<String> = common
            .iter()
            .chain(self.settings())
            .map(|(name, value)| format!("('{name}', '{value}')"))
            .collect();
        let sql = format!(
            "SELECT pg_catalog.pg_backend_pid(), pg_catalog.set_config(s.name, s.value, false) FROM (VALUES {}) AS s (name, value) \
             WHERE pg_catalog.current_setting('{MARK}', true) OPERATOR(pg_catalog.=) 'true' \
               AND pg_catalog.current_setting(s.name, true) IS NOT NULL",
            settings.join(", ")
        );
        let answer = client.simple_query(&sql).await?;
        Ok(answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        }))
    }

    /// Begins a transaction that brings the settings, in a session of a pooler's. Not for the wait, which
    /// needs a session of its own.
    pub fn begin_transaction(self) -> String {
        let mut sql = "BEGIN ISOLATION LEVEL READ COMMITTED; \
                       SET LOCAL search_path = pg_catalog, pg_temp"
            .to_owned();
        for (name, value) in self.settings() {
            sql.push_str(&format!("; SET LOCAL {name} = '{value}'"));
        }
        sql
    }
}

/// Connects to the first server of the address that will have us.
pub async fn connect(
    config: &Config,
    tls: MakeRustlsConnect,
) -> Result<(Client, JoinHandle<()>), Error> {
    let mut servers = servers::each(config);
    // Its failure is the one to tell; how long it may take is the caller's business.
    let last = servers.pop();
    for server in &servers {
        match timeout(servers::patience(server), connect_to(server, tls.clone())).await {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(error)) => debug!("not this server: {}", crate::error::describe(&error)),
            Err(_) => debug!("not this server: it does not answer"),
        }
    }
    connect_to(last.as_ref().unwrap_or(config), tls).await
}

/// Connects, with our mark where the server takes it.
async fn connect_to(
    config: &Config,
    tls: MakeRustlsConnect,
) -> Result<(Client, JoinHandle<()>), Error> {
    let mut marked = config.clone();
    let options = config.get_options().unwrap_or_default();
    marked.options(format!("{options} -c {MARK}=true"));
    let opened = match marked.connect(tls.clone()).await {
        // So a pooler says that it takes none.
        Err(error) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => {
            config.connect(tls).await
        }
        opened => opened,
    };
    let (client, connection) = opened?;
    let task = tokio::spawn(async move {
        // The client's own calls report the failure to whoever waits for them.
        if let Err(error) = connection.await {
            debug!("connection ended: {}", crate::error::describe(&error));
        }
    });
    Ok((client, task))
}

/// The same for a pool.
pub struct Connector(pub MakeRustlsConnect);

impl Connect for Connector {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let (config, tls) = (config.clone(), self.0.clone());
        Box::pin(async move { connect(&config, tls).await })
    }
}
