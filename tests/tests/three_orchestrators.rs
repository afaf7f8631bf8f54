//! Promise: three orchestrators share two aggregators and a service without knowing of each other;
//! each is killed again and again, and every read model equals the fold over the log, and every
//! message that the service writes exists exactly once.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::time::{Duration, Instant};

use promises::{Cluster, Deployment, HOME_PAGE, Random, Running, Session, seed};
use tokio::task::JoinHandle;

/// How many commands are written; PROMISES_MESSAGES overrides.
const COMMANDS: i64 = 1_000_000;
const VIDEOS: i64 = 1_000;
/// Commands written in one transaction.
const LOAD_BATCH: i64 = 2_000;
/// How long nothing may move.
const PATIENCE: Duration = Duration::from_secs(60);

/// The service answers each command with an event that names it; the second aggregator counts by
/// video. Both take runs of messages.
const HANDLERS: &str = "
    CREATE TABLE public.views (video text PRIMARY KEY, views bigint NOT NULL)
      WITH (fillfactor = 50);
    GRANT SELECT, INSERT, UPDATE ON public.views TO message_store;
    CREATE FUNCTION public.count_views(messages message_store.message[]) RETURNS void
      LANGUAGE sql AS $$
        INSERT INTO public.views
        SELECT message.data::jsonb ->> 'videoId', count(*) FROM unnest(messages) message GROUP BY 1
        ON CONFLICT (video) DO UPDATE SET views = views.views + excluded.views
      $$;
    CREATE FUNCTION public.register_viewings(commands message_store.message[]) RETURNS void
      LANGUAGE sql AS $$
        SELECT count(message_store.write_message(
          gen_random_uuid()::varchar,
          'viewings-' || message_store.id(command.stream_name),
          'VideoViewed',
          jsonb_set(command.data::jsonb, '{command}', to_jsonb(command.global_position))))
        FROM unnest(commands) command
      $$";

const SUBSCRIPTIONS: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:views"
category = "viewings"
handlers = { VideoViewed = "public.count_views" }

[[services]]
subscriber_id = "services:viewings"
category = "viewings:command"
handlers = { RegisterViewing = "public.register_viewings" }
"#;

fn count_of_commands() -> i64 {
    std::env::var("PROMISES_MESSAGES").map_or(COMMANDS, |text| text.parse().unwrap())
}

/// Writes all commands; videos take turns in an order that jumps about.
async fn load(session: Session, count: i64) {
    for first in (0..count).step_by(usize::try_from(LOAD_BATCH).unwrap()) {
        let last = count.min(first + LOAD_BATCH) - 1;
        let sql = format!(
            "SELECT count(message_store.write_message(gen_random_uuid()::varchar, \
               'viewings:command-' || video, 'RegisterViewing', \
               jsonb_build_object('userId', null, 'videoId', 'video-' || video))) \
             FROM (SELECT n * 7919 % {VIDEOS} AS video FROM generate_series({first}::bigint, {last}) n) s"
        );
        assert_eq!(session.bigint(&sql).await, last - first + 1);
    }
}

/// How far all are together.
const PROGRESS: &str = "SELECT sum(position)::bigint FROM message_store.subscription_progress";

/// Whether every command is answered and every answer counted.
fn is_done(count: i64) -> String {
    format!(
        "SELECT (SELECT sum(handled) = {count} FROM message_store.subscription_progress \
                 WHERE subscriber_id = 'services:viewings') \
            AND (SELECT sum(handled) = 2 * {count} FROM message_store.subscription_progress \
                 WHERE subscriber_id LIKE 'aggregators:%')"
    )
}

/// Kills one after the other, at random moments, until all is done.
async fn kill_until_done(
    session: &Session,
    deployment: &Deployment,
    count: i64,
    mut loading: Option<JoinHandle<()>>,
    random: &mut Random,
) -> [i32; 3] {
    let mut running: Vec<Running> = (0..3).map(|_| deployment.start()).collect();
    let mut kills = [0; 3];
    let is_done = is_done(count);
    let mut moved = (0, Instant::now());
    while session.value(&is_done).await.as_deref() != Some("t") {
        // The moments are the point: this waits for nothing.
        let moment = Duration::from_millis(400 + random.below(1_200).unsigned_abs());
        tokio::time::sleep(moment).await;
        let victim = usize::try_from(random.below(3)).unwrap();
        running.remove(victim).kill();
        running.insert(victim, deployment.start());
        kills[victim] += 1;
        if let Some(loaded) = loading.take_if(|loading| loading.is_finished()) {
            loaded.await.unwrap();
        }
        let progress = session.bigint(PROGRESS).await;
        if progress > moved.0 {
            moved = (progress, Instant::now());
        }
        assert!(moved.1.elapsed() < PATIENCE, "stuck at {progress}");
    }
    for one in running {
        one.stop();
    }
    kills
}

#[tokio::test]
async fn three_orchestrators_killed_at_random_do_everything_exactly_once() {
    let cluster = Cluster::start(&[("autovacuum", "on"), ("max_wal_size", "8GB")]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    let deployment = database.deploy(&(HOME_PAGE.to_owned() + SUBSCRIPTIONS));
    let seed = seed();
    let count = count_of_commands();
    println!("PROMISES_SEED={seed} PROMISES_MESSAGES={count}");

    let started = Instant::now();
    let loading = tokio::spawn(load(database.connect_as("message_store").await, count));
    let mut random = Random(seed);
    let kills = kill_until_done(&session, &deployment, count, Some(loading), &mut random).await;
    let seconds = started.elapsed().as_secs_f64();
    println!("{count} commands, {count} events counted twice, kills {kills:?}: {seconds:.1} s");

    let events = "SELECT count(*) || ' ' || count(DISTINCT data ->> 'command') \
                  FROM message_store.messages WHERE stream_name LIKE 'viewings-%'";
    let expected = format!("{count} {count}");
    assert_eq!(
        session.value(events).await.as_deref(),
        Some(expected.as_str())
    );
    let unanswered = "SELECT count(*) FROM message_store.messages c \
         WHERE stream_name LIKE 'viewings:command-%' AND NOT EXISTS ( \
           SELECT FROM message_store.messages e WHERE e.stream_name LIKE 'viewings-%' \
             AND (e.data ->> 'command')::bigint = c.global_position)";
    assert_eq!(session.bigint(unanswered).await, 0);
    assert_eq!(session.videos_watched().await, count);
    let differing = "SELECT count(*) FROM public.views FULL JOIN ( \
           SELECT data ->> 'videoId' AS video, count(*) AS views FROM message_store.messages \
           WHERE stream_name LIKE 'viewings-%' GROUP BY 1) fold USING (video) \
         WHERE views.views IS DISTINCT FROM fold.views";
    assert_eq!(session.bigint(differing).await, 0);
}
