//! Where a history happens: a database, sessions in it, and transactions that were left open.

use super::application::{APPLICATIONS, Application};
use super::definition::{Draft, STREAMS, TYPES};
use super::ledger::Ledger;
use super::step::{Call, Ending};
use promises::{Cluster, Rows, Session, SqlError, StopMode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The role whose subscriptions they are.
const OWNER: &str = "history_owner";
/// Before every session's first statement.
const SETTINGS: &str = "SET client_min_messages = error; SET search_path = rm, message_store";
/// How often we look whether a statement waits for a lock.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// After this a statement hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Histories after which dead rows are cleared away.
const VACUUM_EVERY: u32 = 100;

const SET_UP: &str = include_str!("world.sql");
const RESET: &str = "
    SELECT message_store.drop_subscription('subject');
    SELECT message_store.drop_subscription('nested');
    SELECT message_store.drop_subscription('outside');
    DELETE FROM message_store.history;
    DELETE FROM message_store.messages;
    DELETE FROM rm.entities;
    DELETE FROM rm.calls;
    DELETE FROM rm.poison;
    DELETE FROM rm.duties;
    DELETE FROM rm.nested;
    DELETE FROM rm.handled_outside;
    SELECT setval('message_store.messages_global_position_seq', 1, false),
      setval('rm.calls_seq_seq', 1, false), setval('rm.nested_seq_seq', 1, false), 
      setval('rm.handled_outside_seq_seq', 1, false), setval('rm.failures', 1, false), setval('rm.flaky', 1, false);
    SELECT 'left over', nspname FROM pg_namespace WHERE nspname LIKE 'message_store_copy%'
    UNION ALL SELECT 'left over', subscriber_id FROM message_store.parked
    UNION ALL SELECT 'left over', subscriber_id FROM message_store.subscriptions";
const VACUUM: [&str; 11] = [
    "message_store.history",
    "message_store.messages",
    "message_store.parked",
    "message_store.subscriptions",
    "message_store.subscription_progress",
    "rm.entities",
    "rm.calls",
    "rm.nested",
    "rm.handled_outside",
    "rm.poison",
    "pg_catalog.pg_class",
];

/// What went wrong; the history has failed.
pub type Outcome<T> = Result<T, String>;

/// A transaction that was left open, and what its commit will have done.
#[derive(Default)]
pub struct Open {
    /// Streams it has written to.
    pub streams: Vec<usize>,
    /// Its call, with the number of the step.
    pub call: Option<(Call, usize)>,
    /// It is prepared.
    pub is_prepared: bool,
}

/// A writer with a transaction of its own.
pub struct Writer {
    session: Arc<Session>,
    pub open: Option<Open>,
}

/// A database and the sessions in it.
pub struct World<'c> {
    cluster: &'c Cluster,
    database: String,
    /// Calls and short writes.
    pub steer: Arc<Session>,
    /// Calls whose transaction stays open.
    pub other: Arc<Session>,
    /// The superuser: looks, and makes things go wrong.
    pub watch: Arc<Session>,
    pub writers: Vec<Writer>,
    /// Those who fetch from `outside`.
    pub applications: Vec<Application>,
    /// The transaction that `other` has open.
    pub held: Option<Open>,
    pub ledger: Ledger,
    histories: u32,
}

impl<'c> World<'c> {
    /// Makes the database `name` where it is missing, ends who is in it, and connects.
    pub async fn open(cluster: &'c Cluster, name: &str) -> Self {
        let admin = cluster.connect("postgres", "postgres").await;
        let known = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        if admin.bigint(&known).await == 0 {
            let role = format!(
                "DO $$ BEGIN CREATE ROLE {OWNER} LOGIN IN ROLE message_store; \
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            );
            admin.run(&format!("CREATE DATABASE {name}")).await.unwrap();
            let session = cluster.connect(name, "postgres").await;
            session.run("CREATE EXTENSION message_store").await.unwrap();
            session
                .run("SELECT message_store.create_store()")
                .await
                .unwrap();
            session.run(&role).await.unwrap();
            session.run(SET_UP).await.unwrap();
        }
        let others = format!("FROM pg_stat_activity WHERE datname = '{name}'");
        admin
            .run(&format!("SELECT pg_terminate_backend(pid) {others}"))
            .await
            .unwrap();
        admin
            .wait_until(&format!("SELECT count(*) = 0 {others}"))
            .await;
        let watch = Arc::new(cluster.connect(name, "postgres").await);
        let prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
        for row in watch.run(prepared).await.unwrap() {
            let gid = row[0].clone().unwrap_or_default();
            watch
                .run(&format!("ROLLBACK PREPARED '{gid}'"))
                .await
                .unwrap();
        }
        watch.run(SETTINGS).await.unwrap();
        let connect = || async {
            let session = cluster.connect(name, OWNER).await;
            session.run(SETTINGS).await.unwrap();
            Arc::new(session)
        };
        let mut writers = Vec::new();
        for _ in 0..3 {
            let session = connect().await;
            writers.push(Writer {
                session,
                open: None,
            });
        }
        let mut applications = Vec::new();
        for _ in 0..APPLICATIONS {
            let session = connect().await;
            applications.push(Application {
                session,
                fetched: None,
            });
        }
        let members = Ledger::hashes(&watch).await;
        Self {
            cluster,
            database: name.to_owned(),
            steer: connect().await,
            other: connect().await,
            watch,
            writers,
            applications,
            held: None,
            ledger: Ledger::new(members),
            histories: 0,
        }
    }

    pub async fn connect(&self) -> Arc<Session> {
        let session = self.cluster.connect(&self.database, OWNER).await;
        session.run(SETTINGS).await.unwrap();
        Arc::new(session)
    }

    /// An empty log and no subscription.
    pub async fn reset(&mut self) -> Outcome<()> {
        let rows = self
            .watch
            .run(RESET)
            .await
            .map_err(|error| format!("reset: {error:?}"))?;
        if let Some(row) = rows
            .iter()
            .find(|row| row[0].as_deref() == Some("left over"))
        {
            return Err(format!("drop_subscription left something: {row:?}"));
        }
        self.histories += 1;
        if self.histories.is_multiple_of(VACUUM_EVERY) {
            self.watch
                .run(&format!("VACUUM {}", VACUUM.join(", ")))
                .await
                .unwrap();
        }
        self.ledger.clear();
        for application in &mut self.applications {
            application.fetched = None;
        }
        Ok(())
    }

    /// Runs SQL in a session. Where it waits for the transaction that is held open, that one ends.
    pub async fn perform(&mut self, session: &Arc<Session>, sql: &str) -> Result<Rows, SqlError> {
        let query = session.run(sql);
        tokio::pin!(query);
        let started = Instant::now();
        loop {
            tokio::select! {
                biased;
                answer = &mut query => {
                    if answer.is_err() {
                        let_go(session).await;
                    }
                    return answer;
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.held.is_some() && self.is_blocked(session.pid).await {
                self.ledger.count("waited for a held transaction");
                let ending = self.ledger.coin(Ending::Commit, Ending::Rollback);
                self.end_held(ending).await;
            }
            assert!(started.elapsed() < PATIENCE, "hangs: {sql}");
        }
    }

    /// Whether a server process waits for a lock.
    pub async fn is_blocked(&self, pid: i32) -> bool {
        let sql = format!("SELECT cardinality(pg_blocking_pids({pid})) > 0");
        self.watch.value(&sql).await.as_deref() == Some("t")
    }

    /// The first stream from `wanted` on that no open transaction has written to.
    fn free_stream(&self, wanted: usize) -> Option<usize> {
        let writers = self
            .writers
            .iter()
            .filter_map(|writer| writer.open.as_ref());
        let taken: Vec<usize> = writers
            .chain(&self.held)
            .flat_map(|open| open.streams.iter().copied())
            .collect();
        (wanted..wanted + STREAMS.len())
            .map(|stream| stream % STREAMS.len())
            .find(|stream| !taken.contains(stream))
    }

    /// SQL that writes messages, and the streams it writes to; those of others are left out.
    pub fn writing(&mut self, drafts: &[Draft], own: &[usize]) -> Option<(String, Vec<usize>)> {
        let in_batch = self.ledger.coin(false, true);
        let (mut calls, mut streams) = (Vec::new(), Vec::new());
        for draft in drafts {
            let is_own = own.contains(&draft.stream);
            let stream = if is_own {
                Some(draft.stream)
            } else {
                self.free_stream(draft.stream)
            };
            let Some(stream) = stream else { continue };
            let metadata = if draft.is_correlated {
                r#"'{"correlationStreamName": "origin-1"}'"#
            } else {
                "NULL"
            };
            let (name, kind) = (STREAMS[stream], TYPES[draft.kind]);
            calls.push(if in_batch {
                format!("ROW('{name}', '{kind}', '{{}}', {metadata}, NULL, NULL)")
            } else {
                format!(
                    "message_store.write_message(gen_random_uuid()::text, '{name}', '{kind}', \
                     '{{}}', {metadata})"
                )
            });
            streams.push(stream);
            self.ledger.drawn += 1;
        }
        let calls = (!calls.is_empty()).then(|| calls.join(", "))?;
        let sql = if in_batch {
            format!(
                "SELECT count(*) FROM message_store.write_messages(\
                 ARRAY[{calls}]::message_store.new_message[])"
            )
        } else {
            format!("SELECT {calls}")
        };
        Some((sql, streams))
    }

    /// Messages in one transaction that ends at once.
    pub async fn write(&mut self, drafts: &[Draft]) -> Outcome<()> {
        let Some((sql, streams)) = self.writing(drafts, &[]) else {
            return Ok(());
        };
        let session = Arc::clone(&self.steer);
        self.perform(&session, &sql)
            .await
            .map_err(|error| format!("write: {error:?}"))?;
        self.ledger.written(&streams);
        Ok(())
    }

    /// Messages in a transaction that stays open.
    pub async fn open_write(&mut self, number: usize, drafts: &[Draft]) -> Outcome<()> {
        let open = self.writers[number].open.take();
        if open.as_ref().is_some_and(|open| open.is_prepared) {
            self.writers[number].open = open;
            return self.end_write(number, Ending::Commit).await;
        }
        let begin = if open.is_none() { "BEGIN; " } else { "" };
        let mut open = open.unwrap_or_default();
        if let Some((sql, streams)) = self.writing(drafts, &open.streams) {
            let answer = self.writers[number]
                .session
                .run(&format!("{begin}{sql}"))
                .await;
            answer.map_err(|error| format!("open write: {error:?}"))?;
            open.streams.extend(streams);
            self.writers[number].open = Some(open);
        } else if begin.is_empty() {
            self.writers[number].open = Some(open);
        }
        Ok(())
    }

    /// Ends a writer's transaction, where one is open.
    pub async fn end_write(&mut self, number: usize, ending: Ending) -> Outcome<()> {
        let Some(mut open) = self.writers[number].open.take() else {
            return Ok(());
        };
        let session = Arc::clone(&self.writers[number].session);
        let gid = format!("{}_{number}", self.database);
        let sql = match (open.is_prepared, ending) {
            (true, Ending::Rollback) => format!("ROLLBACK PREPARED '{gid}'"),
            (true, _) => format!("COMMIT PREPARED '{gid}'"),
            (false, Ending::Commit) => "COMMIT".to_owned(),
            (false, Ending::Rollback) => "ROLLBACK".to_owned(),
            (false, Ending::Prepare) => format!("PREPARE TRANSACTION '{gid}'"),
            (false, Ending::Terminate) => {
                self.terminate(session.pid).await;
                self.writers[number].session = self.connect().await;
                return Ok(());
            }
        };
        session
            .run(&sql)
            .await
            .map_err(|error| format!("{sql}: {error:?}"))?;
        if sql.starts_with("COMMIT") {
            self.ledger.written(&open.streams);
        } else if sql.starts_with("PREPARE") {
            open.is_prepared = true;
            self.writers[number].open = Some(open);
        }
        Ok(())
    }

    /// Ends the transaction that is held open, where one is.
    pub async fn end_held(&mut self, ending: Ending) {
        let Some(open) = self.held.take() else {
            return;
        };
        match ending {
            Ending::Commit | Ending::Prepare => {
                self.other.run("COMMIT").await.unwrap();
                self.ledger.written(&open.streams);
                if let Some((call, number)) = &open.call {
                    self.ledger.called(&self.watch, call, *number).await;
                }
            }
            Ending::Rollback => {
                self.other.run("ROLLBACK").await.unwrap();
            }
            Ending::Terminate => {
                self.terminate(self.other.pid).await;
                self.other = self.connect().await;
            }
        }
    }

    pub async fn terminate(&self, pid: i32) {
        self.watch
            .run(&format!("SELECT pg_terminate_backend({pid})"))
            .await
            .unwrap();
        let is_gone = format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}");
        self.watch.wait_until(&is_gone).await;
    }

    /// Ends the server process of `other` in the middle of a call.
    pub async fn end_other(&mut self) {
        self.terminate(self.other.pid).await;
        self.other = self.connect().await;
    }

    /// Stops the server at once and starts it; prepared transactions are still there.
    pub async fn crash(&mut self) {
        self.cluster.restart(StopMode::Immediate);
        self.watch = Arc::new(self.cluster.connect(&self.database, "postgres").await);
        self.watch.run(SETTINGS).await.unwrap();
        self.steer = self.connect().await;
        self.other = self.connect().await;
        self.held = None;
        for number in 0..APPLICATIONS {
            self.applications[number].session = self.connect().await;
        }
        self.doubt_leases();
        for number in 0..self.writers.len() {
            self.writers[number].session = self.connect().await;
            let open = &mut self.writers[number].open;
            if open.as_ref().is_some_and(|open| !open.is_prepared) {
                *open = None;
            }
        }
        // Positions that were set aside for the log are lost with it.
        let drawn = "SELECT last_value FROM message_store.messages_global_position_seq";
        self.ledger.drawn = self.watch.bigint(drawn).await;
        self.ledger.count("crash");
    }
}

/// An error is told before the locks of its transaction are given back; whoever has answered the
/// next statement has given them back. A session that was ended has none.
pub async fn let_go(session: &Session) {
    let _ = session.simple_query("").await;
}
