//! Promise: a read model can be made anew from the messages, in place or beside the live one,
//! which is right and whole for its readers until the moment the new one takes its place.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod in_place;
mod promoted;
mod side_by_side;
#[path = "../subscriber/mod.rs"]
mod subscriber;
mod tables;
mod trials;

use promises::{Cluster, Database, Session};
use subscriber::{create_with, texts, with_recorders};

const HOME: &str = "{\"VideoViewed\": \"message_store.increment_videos_watched\"}";
const HOME_OPTIONS: &str = "{\"init\": \"message_store.ensure_home_page\", \"read_model\": \
    [{\"table\": \"message_store.read_model_pages\", \"where\": \"page_name = ''home''\"}]}";
const MOST: &str = "{\"VideoViewed\": \"message_store.count_views_per_video\"}";
const MOST_OPTIONS: &str = "{\"init\": \"message_store.ensure_most_watched\", \"read_model\": \
    [\"message_store.video_views\", \
     {\"table\": \"message_store.read_model_pages\", \"where\": \"page_name = ''most-watched''\"}]}";

/// Schemas that rebuilds and verifications make.
const COPIES: &str = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'message_store_%'";

/// The two aggregators of the demo, started.
async fn with_aggregators() -> (Database<'static>, Session) {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.install_home_page().await;
    create_with(&session, "home", "viewings", HOME, HOME_OPTIONS).await;
    create_with(&session, "most", "viewings", MOST, MOST_OPTIONS).await;
    session
        .run("SELECT message_store.start('home'), message_store.start('most')")
        .await
        .unwrap();
    (database, session)
}

/// What the pages must show, folded from the log.
const FOLD: &str = "
    SELECT jsonb_build_object('videosWatched', count(*), 'lastViewProcessed',
             coalesce(max(global_position), 0))
    FROM message_store.messages WHERE stream_name LIKE 'viewings-%'
    UNION ALL
    SELECT jsonb_build_object(
      'videos', (
        SELECT jsonb_agg(jsonb_build_object(
                 'videoId', video, 'views', views) ORDER BY views DESC, video)
        FROM (
          SELECT message_store.id(stream_name::varchar) AS video, count(*) AS views
          FROM message_store.messages WHERE stream_name LIKE 'viewings-%'
          GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) m),
      'recent', (
        SELECT jsonb_agg(jsonb_build_object(
                 'videoId', message_store.id(stream_name::varchar),
                 'globalPosition', global_position,
                 'time', to_char(time, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))
                 ORDER BY global_position DESC)
        FROM (
          SELECT * FROM message_store.messages WHERE stream_name LIKE 'viewings-%'
          ORDER BY global_position DESC LIMIT 10) m))";
const PAGES: &str = "SELECT page_data FROM message_store.read_model_pages \
    WHERE page_name IN ('home', 'most-watched') ORDER BY page_name";

async fn require_right_pages(session: &Session) {
    assert_eq!(texts(session, PAGES).await, texts(session, FOLD).await);
}

async fn view(session: &Session, viewings: i64) {
    let sql = format!(
        "SELECT count(message_store.write_message(gen_random_uuid()::varchar,
           'viewings-' || n % 13, 'VideoViewed', '{{}}')) FROM generate_series(1, {viewings}) n"
    );
    assert_eq!(session.bigint(&sql).await, viewings);
}

/// A read model of the user's own: a table without a key, filled by a handler that does not say
/// the schema, in a schema that the subscription's search_path leads to.
const OWN_READ_MODEL: &str = "
    CREATE SCHEMA own;
    CREATE TABLE own.lines (position bigint, text varchar);
    CREATE FUNCTION own.append(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF (message).type = 'Bad' THEN RAISE EXCEPTION 'bad' USING ERRCODE = 'ZZ001'; END IF;
      INSERT INTO lines VALUES ((message).global_position, (message).type);
    END $$;
    SET search_path = own, public";
const OWN: &str = "{\"$any\": \"own.append\"}";
const OWN_OPTIONS: &str =
    "{\"read_model\": [\"own.lines\"], \"on_failure\": \"park\", \"retries\": 0}";
