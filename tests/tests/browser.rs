//! Promise: the pages do in a real browser what they are for, for everybody: with and without
//! JavaScript, by mouse and by keyboard, in light and dark, on wide and narrow screens; axe finds
//! nothing, and the browser has nothing to complain about. Pictures of them land in
//! `target/screenshots/`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, DEMO, Scenario};

#[tokio::test]
async fn a_visitor_watches_videos_and_sees_the_count_rise() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
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
