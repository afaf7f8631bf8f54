//! Viewings and their count, as a session sees them.

use crate::session::Session;

/// How many messages a transaction of a load writes.
const LOAD_BATCH: i64 = 10_000;
/// The streams that a load is spread over.
const LOAD_STREAMS: i64 = 1000;

/// Videos watched; 0 while there is no page.
const COUNT: &str = "SELECT coalesce((SELECT (page_data ->> 'videosWatched')::bigint \
     FROM message_store.read_model_pages WHERE page_name = 'home'), 0)";
/// Whether the home page's aggregator has scanned the last message.
const IS_AT_THE_END: &str = "SELECT position = \
       (SELECT max(global_position) FROM message_store.messages WHERE stream_name LIKE 'viewings-%') \
     FROM message_store.subscription_progress WHERE subscriber_id = 'aggregators:home-page'";

impl Session {
    /// Brings what the demo needs in a store.
    pub async fn install_home_page(&self) {
        self.run(home_page::SQL).await.unwrap();
    }

    /// Writes so many viewings, each to a stream of its own, in one transaction.
    pub async fn write_viewings(&self, count: i64) {
        let sql = format!(
            "SELECT count(message_store.write_message(gen_random_uuid()::varchar, \
             'viewings-' || n, 'VideoViewed', '{{\"videoId\": \"streams\"}}')) \
             FROM generate_series(1, {count}) AS n"
        );
        assert_eq!(self.bigint(&sql).await, count);
    }

    /// Writes so many viewings over many streams, in transactions of many. `video` is what number `n`
    /// watched, in SQL; the one in the middle of all is of no video.
    pub async fn load_viewings(&self, count: i64, video: &str) {
        let poisoned = count / 2;
        for first in (1..=count).step_by(LOAD_BATCH as usize) {
            let last = count.min(first + LOAD_BATCH - 1);
            let sql = format!(
                "SELECT count(*) FROM message_store.write_messages(ARRAY(
                   SELECT ROW('viewings-' || n % {LOAD_STREAMS}, 'VideoViewed',
                              jsonb_build_object('videoId',
                                CASE WHEN n <> {poisoned} THEN {video} END),
                              NULL, NULL, NULL)::message_store.new_message
                   FROM generate_series({first}::bigint, {last}) n))"
            );
            assert_eq!(self.bigint(&sql).await, last - first + 1);
        }
    }

    /// What the home page shows.
    pub async fn videos_watched(&self) -> i64 {
        self.bigint(COUNT).await
    }

    /// Waits as long as it takes, provided the count moves.
    pub async fn wait_for_videos_watched(&self, at_least: i64) {
        loop {
            let count = self.videos_watched().await;
            if count >= at_least {
                return;
            }
            self.wait_until(&format!("SELECT ({COUNT}) > {count}"))
                .await;
        }
    }

    /// Waits until every viewing is handled; then exactly so many must be counted.
    pub async fn assert_videos_watched(&self, expected: i64) {
        self.wait_for_videos_watched(expected).await;
        self.wait_until(IS_AT_THE_END).await;
        assert_eq!(self.videos_watched().await, expected);
    }
}
