//! How fast a subscription catches up with a log that is there, side by side: the home page's
//! native `(bigint[])` handler, the chapter's loop of one UPDATE a message, a count over the same
//! messages; and a PL/pgSQL `(message[])` handler beside a set-based INSERT ... SELECT of the same
//! rows. Run by `make bench`.
//!
//! Ticks commit as an orchestrator's do, without waiting for the disk.
//!
//! The chapter's loop reads a batch of messages and sends one UPDATE for each, as its handler does,
//! each a transaction of its own; here prepared, on one connection, with the commit not waited for,
//! which is kinder to it than its own program is.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up must fail loudly"
)]

use promises::{Cluster, Session, Spread, write_report};
use serde_json::json;
use std::time::Instant;

/// Interleaved rounds.
const ROUNDS: usize = 5;
/// Messages in the log.
const MESSAGES: i64 = 1_000_000;
/// Messages that the chapter's loop handles in a round; its rate does not depend on them.
const LOOP_MESSAGES: i64 = 20_000;
/// Messages a tick reads for the native handler.
const BATCH: i64 = 10_000;
/// Messages a tick reads where nobody says: what the PL/pgSQL handler gets at a time.
const DEFAULT_BATCH: i64 = 1_000;

const FILL: &str = "
    INSERT INTO message_store.messages (global_position, position, stream_name, type, data, id)
      SELECT i, (i - 1) / 5000, 'viewings-' || (i % 5000), 'VideoViewed',
             jsonb_build_object('userId', NULL, 'videoId', 'video-' || (i % 5000)), gen_random_uuid()
      FROM generate_series(1, 1000000) i;
    SELECT setval('message_store.messages_global_position_seq', 1000000);
    CREATE TABLE viewed (global_position bigint, stream_name varchar, data varchar);
    CREATE FUNCTION collect(messages message_store.message[]) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO viewed SELECT m.global_position, m.stream_name, m.data FROM unnest(messages) m;
    END $$;
    CREATE PROCEDURE catch_up(id varchar, batch bigint) LANGUAGE plpgsql AS $$
    DECLARE outcome varchar;
    BEGIN
      LOOP
        SELECT t.outcome INTO outcome FROM message_store.tick(id, batch) t;
        COMMIT;
        EXIT WHEN outcome <> 'progressed';
      END LOOP;
    END $$;
    SELECT message_store.create_subscription('home', 'viewings',
      '{\"VideoViewed\": \"message_store.increment_videos_watched(bigint[])\"}',
      '{\"init\": \"message_store.ensure_home_page\"}');
    SELECT message_store.start('home');
    SELECT message_store.create_subscription('collect', 'viewings', '{\"VideoViewed\": \"collect\"}');
    INSERT INTO message_store.read_model_pages
      VALUES ('loop', '{\"lastViewProcessed\": 0, \"videosWatched\": 0}');";

const COUNT: &str = "SELECT count(*) FROM message_store.messages
    WHERE message_store.category(stream_name) = 'viewings' AND type = 'VideoViewed'
      AND global_position > 0";
const INSERT_SELECT: &str = "INSERT INTO viewed SELECT m.global_position, m.stream_name, m.data
    FROM message_store.messages m
    WHERE message_store.category(m.stream_name) = 'viewings' AND m.type = 'VideoViewed'
    ORDER BY m.global_position";
/// The chapter's incrementVideosWatched.
const INCREMENT: &str = "UPDATE message_store.read_model_pages
    SET page_data = jsonb_set(jsonb_set(page_data,
          '{videosWatched}', ((page_data ->> 'videosWatched')::bigint + 1)::text::jsonb),
          '{lastViewProcessed}', $1::bigint::text::jsonb)
    WHERE page_name = 'loop' AND (page_data ->> 'lastViewProcessed')::bigint < $1";

fn main() {
    // `cargo test --benches` passes no --bench: then there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = Cluster::start(&[
        ("fsync", "on"),
        ("autovacuum", "on"),
        ("shared_buffers", "1GB"),
        ("max_wal_size", "8GB"),
    ]);
    runtime.block_on(measure(&cluster));
}

async fn measure(cluster: &Cluster) {
    let database = cluster.create_store().await;
    let session = database.connect().await;
    fill(&session).await;
    session.run("SET synchronous_commit = off").await.unwrap();
    session.run(COUNT).await.unwrap();

    let [
        mut native,
        mut looped,
        mut counted,
        mut collected,
        mut inserted,
    ] = [const { Vec::<f64>::new() }; 5];
    let all = MESSAGES as f64;
    for _ in 0..ROUNDS {
        go_back(&session, "home").await;
        native.push(all / seconds(&session, &format!("CALL catch_up('home', {BATCH})")).await);
        require_counted(&session).await;
        counted.push(all / seconds(&session, COUNT).await);
        looped.push(chapters_loop(&session).await);
        go_back(&session, "collect").await;
        collected.push(
            all / seconds(
                &session,
                &format!("CALL catch_up('collect', {DEFAULT_BATCH})"),
            )
            .await,
        );
        session.run("TRUNCATE viewed").await.unwrap();
        inserted.push(all / seconds(&session, INSERT_SELECT).await);
    }
    let mut rates = native.clone();
    rates.sort_by(f64::total_cmp);
    let (to_loop, to_count) = (Spread::of(&native, &looped), Spread::of(&native, &counted));
    let to_insert = Spread::of(&collected, &inserted);
    println!(
        "catch-up, native (bigint[]):       {:>12.0} messages a second",
        rates[ROUNDS / 2]
    );
    println!("  / the chapter's loop:            {to_loop:>24}");
    println!("  / a count of the same messages:  {to_count:>24}");
    println!("PL/pgSQL (message[]) / INSERT ... SELECT: {to_insert:>17}");
    let report = json!({
        "benchmark": "catch_up",
        "postgresql": session.value("SELECT version()").await,
        "unit": "messages a second",
        "messages": MESSAGES, "batch": BATCH,
        "native": native, "chapters_loop": looped, "count": counted,
        "plpgsql_array": collected, "insert_select": inserted,
        "native_to_loop": to_loop.to_json(), "native_to_count": to_count.to_json(),
        "plpgsql_array_to_insert_select": to_insert.to_json(),
    });
    write_report("catch_up", &report);
}

async fn fill(session: &Session) {
    session.run(FILL).await.unwrap();
    session
        .run("VACUUM ANALYZE message_store.messages")
        .await
        .unwrap();
}

/// Back to the first message, with nothing counted yet.
async fn go_back(session: &Session, id: &str) {
    session
        .run(&format!(
            "TRUNCATE viewed;
             UPDATE message_store.read_model_pages
                SET page_data = '{{\"lastViewProcessed\": 0, \"videosWatched\": 0}}';
             SELECT message_store.reset('{id}', 0, 'the next round')"
        ))
        .await
        .unwrap();
}

async fn require_counted(session: &Session) {
    let watched = session
        .bigint(
            "SELECT (page_data ->> 'videosWatched')::bigint
             FROM message_store.read_model_pages WHERE page_name = 'home'",
        )
        .await;
    assert_eq!(watched, MESSAGES, "the home page counts every message once");
}

async fn seconds(session: &Session, sql: &str) -> f64 {
    let started = Instant::now();
    session.run(sql).await.unwrap();
    started.elapsed().as_secs_f64()
}

/// Messages a second of one UPDATE a message.
async fn chapters_loop(session: &Session) -> f64 {
    let update = session.prepare(INCREMENT).await.unwrap();
    let started = Instant::now();
    for position in 1..=LOOP_MESSAGES {
        session.execute(&update, &[&position]).await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    LOOP_MESSAGES as f64 / seconds
}
