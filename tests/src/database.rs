//! A fresh database for one test.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::cluster::{Cluster, SUPERUSER};
use crate::session::Session;

/// A database of its own: tests of one cluster do not see each other.
pub struct Database<'a> {
    /// Where it is.
    pub cluster: &'a Cluster,
    /// Its name.
    pub name: String,
}

/// The table as Message DB before 1.2.6 has made it: PROMISES_OLDER_COLUMNS gives it to every store.
const OLDER_TABLE: &str = "
    CREATE SEQUENCE message_store.messages_global_position_seq;
    CREATE TABLE message_store.messages (
      id uuid NOT NULL DEFAULT gen_random_uuid(),
      stream_name text NOT NULL,
      type text NOT NULL,
      position bigint NOT NULL,
      global_position bigint PRIMARY KEY
        DEFAULT nextval('message_store.messages_global_position_seq'),
      data jsonb,
      metadata jsonb,
      time timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'));
    ALTER SEQUENCE message_store.messages_global_position_seq
      OWNED BY message_store.messages.global_position;
    GRANT SELECT ON message_store.messages TO message_store, message_store_viewer";

impl Cluster {
    /// An empty database under a new name.
    pub async fn create_database(&self) -> Database<'_> {
        self.create_database_like("template1").await
    }

    /// A copy of a database that nobody is connected to, under a new name, of the same owner.
    pub async fn create_database_like(&self, template: &str) -> Database<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = self.connect("postgres", SUPERUSER).await;
        admin
            .run(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .unwrap();
        Database {
            cluster: self,
            name,
        }
    }

    /// A database with the extension and an empty store.
    pub async fn create_store(&self) -> Database<'_> {
        let database = self.create_database().await;
        let session = database.connect().await;
        session.run("CREATE EXTENSION message_store").await.unwrap();
        if std::env::var_os("PROMISES_OLDER_COLUMNS").is_some() {
            session.run(OLDER_TABLE).await.unwrap();
        }
        session
            .run("SELECT message_store.create_store()")
            .await
            .unwrap();
        database
    }

    /// A session in any database of the cluster, as any role.
    pub async fn connect(&self, database: &str, role: &str) -> Session {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.socket_dir())
            .dbname(database)
            .user(role);
        Session::open(&config).await
    }
}

impl Database<'_> {
    /// The same database on another server, which follows this one.
    pub fn on<'a>(&self, standby: &'a Cluster) -> Database<'a> {
        Database {
            cluster: standby,
            name: self.name.clone(),
        }
    }

    /// A session as the superuser.
    pub async fn connect(&self) -> Session {
        self.connect_as(SUPERUSER).await
    }

    /// A session as a role that may log in.
    pub async fn connect_as(&self, role: &str) -> Session {
        self.cluster.connect(&self.name, role).await
    }
}
