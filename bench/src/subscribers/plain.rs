//! The floor of a tick: one statement of plain SQL that finds what has come since a position and
//! keeps the new one. No version, no failure, no handler; and since it reads what is visible and
//! not what is settled, it skips messages of writers at the same time.

use std::time::Duration;

use promises::{Database, Session};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// How far each of them is.
pub const POSITIONS: &str = "SELECT position FROM public.plain_progress ORDER BY id";
/// Of the last.
pub const LEAST_POSITION: &str = "SELECT min(position) FROM public.plain_progress";

const CREATE: &str = "CREATE TABLE public.plain_progress \
    (id bigint PRIMARY KEY, position bigint NOT NULL, handled bigint NOT NULL) WITH (fillfactor = 50)";
/// What message_store indexes a category by, so that both read alike.
const TICK: &str = "WITH found AS MATERIALIZED ( \
      SELECT global_position FROM message_store.messages \
      WHERE message_store.category(stream_name) = 'viewings' AND type = 'VideoViewed' \
        AND global_position > (SELECT position FROM public.plain_progress WHERE id = $1) \
      ORDER BY global_position LIMIT 10000) \
    UPDATE public.plain_progress \
    SET position = found.last, handled = handled + found.count \
    FROM (SELECT max(global_position) AS last, count(*) FROM found) AS found \
    WHERE id = $1 AND found.count > 0";
/// The orchestrator's rest of those that keep up, for each that there is.
const TURN: Duration = Duration::from_millis(1);

/// Ticks so many in turn over one session, as often as the orchestrator does, until it is aborted.
pub async fn start(database: &Database<'_>, count: usize) -> JoinHandle<()> {
    let session = database.connect().await;
    session.run("SET synchronous_commit = off").await.unwrap();
    let create = format!(
        "{CREATE}; \
         INSERT INTO public.plain_progress SELECT n, 0, 0 FROM generate_series(1, {count}) n"
    );
    session.run(&create).await.unwrap();
    tokio::spawn(tick(session, (1..=i64::try_from(count).unwrap()).collect()))
}

async fn tick(session: Session, ids: Vec<i64>) {
    let rest = TURN * u32::try_from(ids.len()).unwrap();
    let statement = session.prepare(TICK).await.unwrap();
    let mut due = vec![Instant::now(); ids.len()];
    loop {
        for (id, due) in std::iter::zip(&ids, &mut due) {
            sleep_until(*due).await;
            session.execute(&statement, &[id]).await.unwrap();
            *due = Instant::now() + rest;
        }
    }
}
