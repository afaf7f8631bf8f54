//! Promise: whatever a handler does wrong, no message is lost, repeated or reordered; the policy
//! of its subscription says what becomes of it, and the database remembers.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod crashes;
mod interruptions;
mod parking;
mod poison;
mod retries;
#[path = "../subscriber/mod.rs"]
mod subscriber;
mod trials;

use promises::{Cluster, Database, Session};
use subscriber::with_recorders;

/// `choosy` records every message but those of type `Bad`, for which it raises what the setting
/// `promises.sqlstate` of the database says; `choosy_run` is the same for runs. `calls` counts
/// failing calls: a sequence knows of calls that were rolled back.
const CHOOSY: &str = "
    CREATE SEQUENCE public.failing_calls;
    CREATE FUNCTION public.choosy(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM public.record(message);
      IF (message).type = 'Bad' THEN
        PERFORM nextval('public.failing_calls');
        RAISE EXCEPTION 'bad message' USING
          ERRCODE = coalesce(nullif(current_setting('promises.sqlstate', true), ''), 'ZZ001');
      END IF;
    END $$;
    CREATE FUNCTION public.choosy_run(messages message_store.message[]) RETURNS void
    LANGUAGE plpgsql AS $$
    DECLARE m message_store.message;
    BEGIN
      FOREACH m IN ARRAY messages LOOP
        PERFORM public.record(m);
      END LOOP;
      IF EXISTS (SELECT FROM unnest(messages) u WHERE u.type = 'Bad') THEN
        PERFORM nextval('public.failing_calls');
        RAISE EXCEPTION 'bad message in a run' USING ERRCODE = 'ZZ002';
      END IF;
    END $$";

async fn with_choosy(cluster: &Cluster) -> (Database<'_>, Session) {
    let (database, session) = with_recorders(cluster).await;
    session.run(CHOOSY).await.unwrap();
    (database, session)
}

/// Makes both handlers take everything.
async fn repair(session: &Session) {
    session
        .run(
            "CREATE OR REPLACE FUNCTION public.choosy(message message_store.message) RETURNS void
             LANGUAGE sql AS 'SELECT public.record(message)';
             CREATE OR REPLACE FUNCTION public.choosy_run(messages message_store.message[])
             RETURNS void LANGUAGE sql AS 'SELECT public.record(m) FROM unnest(messages) m'",
        )
        .await
        .unwrap();
}

/// How often a handler was called and failed.
async fn failing_calls(session: &Session) -> i64 {
    let calls = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.failing_calls";
    session.bigint(calls).await
}

/// Parked messages as `global_position status attempts sqlstate`.
const PARKED: &str = "SELECT global_position, status, attempts, sqlstate \
                      FROM message_store.parked_messages ORDER BY 1";
