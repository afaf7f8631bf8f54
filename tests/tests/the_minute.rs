//! Promise: an operator with nothing but a keyboard finds a message that its handler chokes on, has
//! it handled again once the handler is repaired, and puts a read model that was made anew in the
//! place of the old one; and who looks at the home page meanwhile, ten times a second, never sees a
//! wrong count: none lower than before, none of a viewing that was not written, and in the end all.
//!
//! PROMISES_MESSAGES says how large the store is; for the whole minute, with 20 million:
//! `PROMISES_MESSAGES=20000000 cargo test -p promises --test the_minute keyboard -- --nocapture`
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use promises::{Cluster, Database, Observer, Scenario, Session, Written};
use tokio::task::JoinHandle;

/// How many messages there are unless PROMISES_MESSAGES says so.
const MESSAGES: i64 = 20_000;
/// What the viewing of number `n` is of; the first ones more often.
const VIDEO: &str = "('{streams, streams, idempotence, projections, projections, streams, \
     streams, idempotence, streams}'::text[])[1 + n * n % 9]";
/// What a rebuild does at least, on a machine that is busy.
const MESSAGES_A_SECOND: i64 = 50_000;
/// The time between two viewings that are written while all this happens.
const VIEW_EVERY: Duration = Duration::from_millis(10);

/// A team's own aggregator, which takes no viewing of no video: an error of theirs.
const HANDLER: &str = "
    CREATE OR REPLACE FUNCTION public.count_viewings(messages message_store.message[])
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (SELECT FROM unnest(messages) m WHERE m.data::jsonb ->> 'videoId' IS NULL) THEN
        RAISE EXCEPTION 'a viewing of no video';
      END IF;
      PERFORM message_store.increment_videos_watched(
        ARRAY(SELECT m.global_position FROM unnest(messages) m));
    END $$";

/// It counts them all.
const REPAIRED: &str = "
    CREATE OR REPLACE FUNCTION public.count_viewings(messages message_store.message[])
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM message_store.increment_videos_watched(
        ARRAY(SELECT m.global_position FROM unnest(messages) m));
    END $$";

const SUBSCRIPTIONS: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:home-page"
category = "viewings"
init = "message_store.ensure_home_page"
read_model = [{ table = "message_store.read_model_pages", where = "page_name = 'home'" }]
handlers = { VideoViewed = "public.count_viewings" }
on_failure = { then = "park", retries = 1, retry_delay_ms = 10, park = "message" }
[[aggregators]]
subscriber_id = "aggregators:most-watched"
category = "viewings"
init = "message_store.ensure_most_watched"
handlers = { VideoViewed = "message_store.count_views_per_video" }
[[services]]
subscriber_id = "services:viewings"
category = "viewings:command"
handlers = { RegisterViewing = "message_store.register_viewing" }
"#;

fn messages() -> i64 {
    std::env::var("PROMISES_MESSAGES").map_or(MESSAGES, |text| text.parse().unwrap())
}

/// Viewings that go on whatever happens; the task returns how many there were.
async fn keep_viewing(
    database: &Database<'_>,
    written: &Written,
) -> (Arc<AtomicBool>, JoinHandle<i64>) {
    let session = database.connect().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (is_over_for_it, written) = (Arc::clone(&is_over), written.clone());
    let task = tokio::spawn(async move {
        let mut viewings = 0;
        let mut moments = tokio::time::interval(VIEW_EVERY);
        while !is_over_for_it.load(Ordering::SeqCst) {
            moments.tick().await;
            written.add(1);
            session.write_viewings(1).await;
            viewings += 1;
        }
        viewings
    });
    (is_over, task)
}

/// Waits as long as it takes until both aggregators have seen so many messages, provided they move.
async fn wait_for_all(session: &Session, messages: i64) {
    const SLOWEST: &str = "SELECT min(position) FROM message_store.subscription_progress \
                           WHERE subscriber_id LIKE 'aggregators:%'";
    loop {
        let position = session.bigint(SLOWEST).await;
        if position >= messages {
            return;
        }
        session
            .wait_until(&format!("SELECT ({SLOWEST}) > {position}"))
            .await;
    }
}

/// All of it; `hands`: the keyboard, or the mouse.
async fn operate(messages: i64, hands: &str) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.install_home_page().await;
    session.run(HANDLER).await.unwrap();
    let started = Instant::now();
    session.load_viewings(messages, VIDEO).await;
    println!(
        "{messages} messages are written in {:.1?}",
        started.elapsed()
    );

    let written = Written::default();
    written.add(messages);
    let running = database.deploy_with_dashboard(SUBSCRIPTIONS).await.start();
    let observer = Observer::start(&running.home_page(), &written);
    let (is_over, viewer) = keep_viewing(&database, &written).await;
    let started = Instant::now();
    session.wait_for_videos_watched(messages - 1).await;
    wait_for_all(&session, messages).await;
    println!(
        "they are counted, all but one, in {:.1?}",
        started.elapsed()
    );

    let scenario = Scenario::new("minute", &database)
        .with("HOME_PAGE", running.home_page())
        .with("DASHBOARD", format!("{}/admin", running.dashboard()))
        .with("HANDS", hands)
        .with("REPAIR", REPAIRED)
        .with(
            "PATIENCE_S",
            (30 + messages / MESSAGES_A_SECOND).to_string(),
        );
    let took = tokio::task::block_in_place(|| scenario.run());
    println!("found, repaired, handled, made anew in {took}");

    is_over.store(true, Ordering::SeqCst);
    let viewings = viewer.await.unwrap();
    session.assert_videos_watched(messages + viewings).await;
    let observed = observer.stop();
    assert_eq!(observed.count, messages + viewings);
    println!("{viewings} viewings meanwhile; {observed:?}");
    running.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_keyboard_alone_and_nobody_sees_a_wrong_count() {
    operate(messages(), "keyboard").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_mouse_and_without_javascript() {
    operate(MESSAGES, "mouse").await;
}
