//! Promise: what cannot be meant is refused with a SQLSTATE a program can act on and a text that
//! names the argument; nothing is written, no backend dies, no panic reaches a client.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod circumstances;
mod messages;
mod stores;
#[path = "../subscriber/mod.rs"]
mod subscriber;
mod subscriptions;

use promises::{Cluster, Database, Rows, Session, SqlError};

/// A store with one message, and a session that watches over it.
struct Store<'a> {
    database: Database<'a>,
    session: Session,
    log: Rows,
}

const LOG: &str = "SELECT xmin, ctid, * FROM message_store.messages ORDER BY global_position";

impl<'a> Store<'a> {
    async fn new(cluster: &'a Cluster) -> Self {
        let database = cluster.create_store().await;
        let session = database.connect().await;
        session.run(&write("'a-1'", "'T'", "NULL")).await.unwrap();
        let log = session.run(LOG).await.unwrap();
        Self {
            database,
            session,
            log,
        }
    }

    /// `sql` is refused with this SQLSTATE and a message that contains `text`; the log is as it
    /// was and the same backend answers.
    async fn refuses(&self, sql: &str, sqlstate: &str, text: &str) -> SqlError {
        let error = self.session.error(sql).await;
        let shown: String = sql.chars().take(300).collect();
        assert_eq!(error.sqlstate, sqlstate, "{shown}\n{error:?}");
        assert!(error.message.contains(text), "{shown}\n{error:?}");
        require_no_panic(&error);
        self.require_unharmed().await;
        error
    }

    async fn require_unharmed(&self) {
        assert_eq!(
            self.session.run(LOG).await.unwrap(),
            self.log,
            "the log was changed"
        );
        let pid = self.session.bigint("SELECT pg_backend_pid()").await;
        assert_eq!(pid, i64::from(self.session.pid));
    }

    async fn run(&self, sql: &str) {
        self.session.run(sql).await.unwrap();
    }
}

fn require_no_panic(error: &SqlError) {
    let said = format!("{error:?}").to_lowercase();
    for word in [
        "panicked",
        "unreachable",
        "unwrap",
        "called `option",
        "overflow",
    ] {
        assert!(!said.contains(word), "{error:?}");
    }
    assert_ne!(error.sqlstate, "XX000", "an internal error: {error:?}");
}

fn write(stream_name: &str, message_type: &str, expected_version: &str) -> String {
    format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, {stream_name}, \
         {message_type}, '{{}}', NULL, {expected_version})"
    )
}

fn subscription(category: &str, handlers: &str, options: &str) -> String {
    format!("SELECT message_store.create_subscription('s', {category}, {handlers}, {options})")
}
