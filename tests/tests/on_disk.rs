//! Promise: what a handler has written is on disk when its tick returns, however fast the session
//! that ticks was told to be; a read model need not be, since it can be made again.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use promises::{Cluster, Session};

const HANDLERS: &str = r#"
    CREATE TABLE counted (global_position bigint);
    CREATE FUNCTION count_it(global_position bigint) RETURNS void LANGUAGE sql AS
      'INSERT INTO counted VALUES (global_position)';
    CREATE FUNCTION answer(global_position bigint) RETURNS void LANGUAGE sql AS
      'SELECT message_store.write_message(gen_random_uuid()::varchar, ''answer-1'', ''T'', ''{}'')';
    CREATE FUNCTION answer_in_batch(global_position bigint) RETURNS void LANGUAGE sql AS
      'SELECT message_store.write_messages(''answer-1'', ''[{"type": "T"}]''::jsonb)';
    CREATE FUNCTION count_and_tick(global_position bigint) RETURNS void LANGUAGE sql AS
      'INSERT INTO counted VALUES (global_position); SELECT message_store.tick(''ticked'')';
    SELECT message_store.create_subscription('read_model', 'question', '{"$any": "count_it"}');
    SELECT message_store.create_subscription('service', 'question', '{"$any": "answer"}');
    SELECT message_store.create_subscription('of_batches', 'question', '{"$any": "answer_in_batch"}');
    SELECT message_store.create_subscription('ticked', 'question', '{"$any": "answer"}');
    SELECT message_store.create_subscription('ticking', 'question', '{"$any": "count_and_tick"}');"#;

/// A process of the server that stands still until this is dropped.
struct Stopped(Pid);

impl Stopped {
    /// Stops the process that writes out now and then what no commit has waited for.
    async fn wal_writer(session: &Session) -> Self {
        let pid = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
        let pid = i32::try_from(session.bigint(pid).await).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        Self(Pid::from_raw(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGCONT).unwrap();
    }
}

/// Whether a tick's transaction is on disk when its commit returns.
async fn is_on_disk(session: &Session, subscriber_id: &str) -> bool {
    session.run("BEGIN").await.unwrap();
    let tick = format!("SELECT outcome FROM message_store.tick('{subscriber_id}')");
    assert_eq!(session.value(&tick).await.as_deref(), Some("progressed"));
    let end = "SELECT pg_current_wal_insert_lsn()";
    let end = session.value(end).await.unwrap();
    session.run("COMMIT").await.unwrap();
    let flushed = format!("SELECT pg_current_wal_flush_lsn() > '{end}'");
    session.value(&flushed).await.as_deref() == Some("t")
}

#[tokio::test]
async fn what_handlers_wrote_is_on_disk_when_a_tick_returns_and_read_models_need_not_be() {
    // Nobody else flushes meanwhile: the WAL writer is stopped, and the background writer has nothing to do.
    let cluster = Cluster::start(&[("bgwriter_lru_maxpages", "0")]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'question-1', 'T', '{}');
             SET synchronous_commit = off",
        )
        .await
        .unwrap();
    let _stopped = Stopped::wal_writer(&session).await;
    for (subscriber_id, has_written) in [
        ("read_model", false),
        ("service", true),
        ("of_batches", true),
        ("ticking", true),
    ] {
        assert_eq!(
            is_on_disk(&session, subscriber_id).await,
            has_written,
            "{subscriber_id}"
        );
    }
    let setting = session.value("SHOW synchronous_commit").await;
    assert_eq!(setting.as_deref(), Some("off"), "the session's own");
}
