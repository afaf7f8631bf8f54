//! Promise: the pages do in a real browser what they are for, for everybody: with and without
//! JavaScript, by mouse and by keyboard, in light and dark, on wide and narrow screens; axe finds
//! nothing, and the browser has nothing to complain about. Pictures of them land in
//! `target/screenshots/`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, DEMO, Running, Scenario};

#[tokio::test]
async fn a_visitor_watches_videos_and_sees_the_count_rise() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.install_home_page().await;
    let running = database.deploy(DEMO).start();
    Scenario::new("visitor", &database)
        .with("HOME_PAGE", running.home_page())
        .run();
    // What the scenario watched, each counted once.
    session.assert_videos_watched(6).await;
    running.stop();
}

#[tokio::test]
async fn a_page_of_nothing_and_a_page_of_millions_are_as_good_to_look_at() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let running = database.deploy("").start();
    for pages in [
        "SELECT 1",
        "INSERT INTO message_store.read_model_pages VALUES
           ('home', '{\"videosWatched\": 20000000000, \"lastViewProcessed\": 1}'),
           ('most-watched', jsonb_build_object(
              'videos', (SELECT jsonb_agg(jsonb_build_object(
                           'videoId', repeat('m', 150) || n, 'views', 9000000000 / n))
                         FROM generate_series(1, 10) n),
              'recent', '[{\"videoId\": \"streams\", \"time\": \"yesterday\"}]'::jsonb))",
    ] {
        session.run(pages).await.unwrap();
        Scenario::new("extremes", &database)
            .with("HOME_PAGE", running.home_page())
            .run();
    }
    running.stop();
}

/// A service that fails at every command of one video, and what else the pages must be able to
/// show: a group, a paused subscription, a stopped one, messages that wait behind a parked one.
const TROUBLED: &str = r#"
[[services]]
subscriber_id = "services:strict"
category = "viewings"
handlers = { VideoViewed = "public.refuse_b" }
on_failure = { then = "stop", retries = 0 }
[[services]]
subscriber_id = "services:patient"
category = "viewings"
handlers = { VideoViewed = "public.refuse_b" }
on_failure = { then = "park", retries = 0 }
[[aggregators]]
subscriber_id = "aggregators:<b>\"quoted\"&'odd'/?#%"
category = "viewings"
group_size = 3
handlers = { VideoViewed = "message_store.count_views_per_video" }
"#;

const HAS_FAILED: &str = "SELECT (SELECT count(*) = 3 FROM message_store.parked_messages) \
    AND (SELECT bool_or(state = 'stopped') FROM message_store.subscription_status)";

const VIEWERS_TOKEN: &str = "viewers-may-look-at-all";

const REFUSE_B: &str = "
    CREATE FUNCTION public.refuse_b(message message_store.message) RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
      IF message.stream_name = 'viewings-b' THEN RAISE EXCEPTION 'no <b>'; END IF;
    END $$;
    SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-' || name,
        'VideoViewed', '{\"videoId\": \"<script>\"}', '{\"user\": \"\\\"\"}')
      FROM unnest('{a,b,b,c,b}'::text[]) name";

#[tokio::test]
async fn every_page_of_the_dashboard_is_for_everybody() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(REFUSE_B).await.unwrap();
    session.install_home_page().await;
    let subscriptions = format!("{DEMO}{TROUBLED}");
    let running = database.deploy_with_dashboard(&subscriptions).await.start();
    session.wait_until(HAS_FAILED).await;
    let with_token = database.deploy_with_dashboard("").await;
    let mut command = with_token.run();
    command.env("ORCHESTRATOR_DASHBOARD_VIEWER_TOKEN", VIEWERS_TOKEN);
    let for_viewers = Running::start(&mut command);
    let pages = Scenario::new("every_page", &database)
        .with("DASHBOARD", format!("{}/admin", running.dashboard()))
        .with("VIEWERS", format!("{}/admin", for_viewers.dashboard()))
        .with("VIEWERS_TOKEN", VIEWERS_TOKEN)
        .run();
    println!("{pages}");
    for_viewers.stop();
    running.stop();
}

#[tokio::test]
async fn an_operator_with_a_telephone_sees_what_matters() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(REFUSE_B).await.unwrap();
    session.install_home_page().await;
    let subscriptions = format!("{DEMO}{TROUBLED}");
    let running = database.deploy_with_dashboard(&subscriptions).await.start();
    session.wait_until(HAS_FAILED).await;
    Scenario::new("narrow", &database)
        .with("DASHBOARD", format!("{}/admin", running.dashboard()))
        .run();
    running.stop();
}
