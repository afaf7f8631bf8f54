//! Promise: the pictures of README.md and docs/ show a store at work: a chart with a curve, a parked
//! message, a rebuild half-way. It takes some minutes, so only `make pictures` runs it. The pictures
//! land in `target/screenshots/`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::time::{Duration, Instant};

use promises::{Cluster, Database, Scenario};
use tokio::task::JoinHandle;

/// How many viewings there are before anybody looks.
const MESSAGES: i64 = 400_000;
/// What the viewing of number `n` is of.
const VIDEO: &str =
    "('{streams, projections, streams, idempotence, projections}'::text[])[1 + n % 5]";
/// How long the pictures may take beyond a scenario's usual limit.
const PATIENCE_S: u32 = 600;

/// The time between two transactions of the visitors.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// How many viewings the visitors write a second, on average.
const VIEWINGS_A_SECOND: f64 = 300.0;
/// How long it takes until they are as many again.
const TIDE: Duration = Duration::from_secs(100);

/// A team's own aggregator, one message after another, and one that takes no viewing of no video.
const HANDLERS: &str = "
    CREATE FUNCTION public.count_viewing(message message_store.message)
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF message.data::jsonb ->> 'videoId' IS NULL THEN
        RAISE EXCEPTION 'a viewing of no video';
      END IF;
      PERFORM message_store.increment_videos_watched(message.global_position);
    END $$;
    CREATE FUNCTION public.recommend(message message_store.message)
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_sleep(0.003);
    END $$";

const SUBSCRIPTIONS: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:home-page"
category = "viewings"
init = "message_store.ensure_home_page"
read_model = [{ table = "message_store.read_model_pages", where = "page_name = 'home'" }]
handlers = { VideoViewed = "public.count_viewing" }
on_failure = { then = "park", retries = 0, park = "message" }
[[aggregators]]
subscriber_id = "aggregators:most-watched"
category = "viewings"
init = "message_store.ensure_most_watched"
handlers = { VideoViewed = "message_store.count_views_per_video" }
[[aggregators]]
subscriber_id = "aggregators:recommendations"
category = "viewings"
start_from = "now"
batch_size = 100
handlers = { VideoViewed = "public.recommend" }
[[services]]
subscriber_id = "services:viewings"
category = "viewings:command"
handlers = { RegisterViewing = "message_store.register_viewing" }
"#;

/// Commands of visitors who are many, then few, then many again, until the task is aborted.
async fn visit(database: &Database<'_>) -> JoinHandle<()> {
    let session = database.connect().await;
    tokio::spawn(async move {
        let started = Instant::now();
        let mut moments = tokio::time::interval(WRITE_EVERY);
        loop {
            moments.tick().await;
            let tide = started.elapsed().as_secs_f64() / TIDE.as_secs_f64();
            let rate = VIEWINGS_A_SECOND * (1.0 + 0.8 * (tide * std::f64::consts::TAU).sin());
            let sql = format!(
                "SELECT count(message_store.write_message(gen_random_uuid()::varchar,
                   'viewings:command-' || n, 'RegisterViewing', jsonb_build_object('videoId',
                     {VIDEO})))
                 FROM generate_series(1, round({rate} * {})::integer) n",
                WRITE_EVERY.as_secs_f64()
            );
            session.run(&sql).await.unwrap();
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes, and only the pictures come of it: make pictures"]
async fn the_pictures_show_a_busy_store() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.install_home_page().await;
    session.run(HANDLERS).await.unwrap();
    session.load_viewings(MESSAGES, VIDEO).await;
    let running = database.deploy_with_dashboard(SUBSCRIPTIONS).await.start();
    session.wait_for_videos_watched(MESSAGES - 1).await;
    running.stop();

    // Another one, whose charts begin when all have caught up.
    let running = database.deploy_with_dashboard(SUBSCRIPTIONS).await.start();
    let visitors = visit(&database).await;
    let scenario = Scenario::new("pictures", &database)
        .with("HOME_PAGE", running.home_page())
        .with("DASHBOARD", format!("{}/admin", running.dashboard()))
        .with("PATIENCE_S", PATIENCE_S.to_string());
    tokio::task::block_in_place(|| scenario.run());
    visitors.abort();
    running.stop();
}
