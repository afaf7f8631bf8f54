//! The chapter as a story: viewings are written, an aggregator counts them, a page reads one row.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    const PAGE: &str = "SELECT page_data ->> 'videosWatched', page_data ->> 'lastViewProcessed' \
                        FROM message_store.read_model_pages WHERE page_name = 'home'";

    fn begin() {
        create_store();
        subscribe(
            "aggregators:home-page",
            "viewing",
            r#"{"VideoViewed": "message_store.increment_videos_watched"}"#,
            r#"{"init": "message_store.ensure_home_page", "read_model":
                [{"table": "message_store.read_model_pages", "where": "page_name = ''home''"}]}"#,
        );
        run("SELECT message_store.start('aggregators:home-page')");
    }

    fn view(video: i64) {
        write_data(
            &format!("viewing-{video}"),
            "VideoViewed",
            r#"{"userId": 1}"#,
        );
    }

    fn tick_home() -> String {
        tick("aggregators:home-page")
    }

    #[pg_test]
    fn at_first_the_page_shows_zero() {
        begin();
        assert_eq!(rows(PAGE), ["0 0"]);
    }

    #[pg_test]
    fn a_viewing_changes_nothing_before_a_tick() {
        begin();
        view(1);
        assert_eq!(rows(PAGE), ["0 0"]);
    }

    #[pg_test]
    fn a_tick_counts_the_viewings() {
        begin();
        view(1);
        view(2);
        assert_eq!(tick_home(), "progressed 2 2");
        assert_eq!(rows(PAGE), ["2 2"]);
    }

    #[pg_test]
    fn a_second_tick_finds_nothing() {
        begin();
        view(1);
        tick_home();
        assert_eq!(tick_home(), "idle 0 1");
        assert_eq!(rows(PAGE), ["1 1"]);
    }

    #[pg_test]
    fn other_messages_count_for_nothing() {
        begin();
        write("viewing-1", "VideoRated");
        write("video-1", "VideoViewed");
        assert_eq!(tick_home(), "progressed 0 1");
        assert_eq!(rows(PAGE), ["0 0"]);
    }

    #[pg_test]
    fn a_viewing_handled_twice_counts_once() {
        begin();
        view(1);
        tick_home();
        assert_eq!(text("message_store.increment_videos_watched(1)"), "false");
        assert_eq!(rows(PAGE), ["1 1"]);
    }

    #[pg_test]
    fn a_viewing_that_comes_too_late_counts_for_nothing() {
        begin();
        for video in 1..=3 {
            view(video);
        }
        tick_home();
        assert_eq!(text("message_store.increment_videos_watched(2)"), "false");
        assert_eq!(rows(PAGE), ["3 3"]);
    }

    #[pg_test]
    fn a_replay_over_the_page_that_is_there_changes_nothing() {
        begin();
        view(1);
        view(2);
        tick_home();
        run("SELECT message_store.reset('aggregators:home-page', 0, 'test')");
        assert_eq!(tick_home(), "progressed 2 2");
        assert_eq!(rows(PAGE), ["2 2"]);
    }

    #[pg_test]
    fn the_page_is_made_anew_from_the_first_message() {
        begin();
        view(1);
        view(2);
        tick_home();
        run("UPDATE message_store.read_model_pages SET page_data = '{\"videosWatched\": 77}'");
        run("SELECT message_store.rebuild('aggregators:home-page')");
        assert_eq!(rows(PAGE), ["0 0"]);
        tick_home();
        assert_eq!(rows(PAGE), ["2 2"]);
    }

    #[pg_test]
    fn the_page_goes_on_counting() {
        begin();
        for video in 1..=5 {
            view(video);
            tick_home();
            assert_eq!(rows(PAGE), [format!("{video} {video}")]);
        }
    }
}
