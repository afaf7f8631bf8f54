//! What a person does with a subscription.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    const STATE: &str = "SELECT state, position, lag FROM message_store.subscription_status";

    fn begin() {
        create_store();
        create_handlers();
        for _ in 0..3 {
            write("a-1", "T");
        }
        subscribe("s", "a", r#"{"$any": "app.position"}"#, "{}");
    }

    #[pg_test]
    fn a_subscription_is_created_once() {
        begin();
        let again = "message_store.create_subscription('s', 'a', '{\"$any\": \"app.position\"}')";
        assert_eq!(text(again), "false");
        assert_eq!(rows(STATE), ["created 0 3"]);
    }

    #[pg_test]
    fn a_subscription_keeps_its_source() {
        begin();
        let other = "SELECT message_store.create_subscription('s', 'b', '{}')";
        assert_eq!(sqlstate(other), "42710");
    }

    #[pg_test]
    fn a_tick_reads_a_batch() {
        begin();
        run("SELECT message_store.tick('s', 2)");
        assert_eq!(rows(STATE), ["created 2 1"]);
    }

    #[pg_test]
    fn a_paused_subscription_is_not_ticked() {
        begin();
        run("SELECT message_store.pause('s', 'lunch')");
        assert_eq!(tick("s"), "paused 0 0");
        run("SELECT message_store.start('s')");
        assert_eq!(tick("s"), "progressed 3 3");
    }

    #[pg_test]
    fn a_started_subscription_is_listed_for_orchestrators() {
        begin();
        let started = "SELECT subscriber_id, source FROM message_store.started_subscriptions()";
        assert_eq!(rows(started), [""; 0]);
        run("SELECT message_store.start('s')");
        assert_eq!(rows(started), ["s a"]);
    }

    #[pg_test]
    fn skipped_messages_are_never_handled() {
        begin();
        run("SELECT message_store.skip('s', 2, 'test')");
        tick("s");
        assert_eq!(handled(), ["3"]);
    }

    #[pg_test]
    fn skipping_back_and_resetting_forward_are_refused() {
        begin();
        run("SELECT message_store.tick('s', 2)");
        assert_eq!(
            sqlstate("SELECT message_store.skip('s', 1, 'test')"),
            "22023"
        );
        assert_eq!(
            sqlstate("SELECT message_store.reset('s', 3, 'test')"),
            "22023"
        );
    }

    #[pg_test]
    fn a_dropped_subscription_is_forgotten() {
        begin();
        assert_eq!(text("message_store.drop_subscription('s')"), "true");
        assert_eq!(sqlstate("SELECT message_store.tick('s')"), "42704");
    }

    #[pg_test]
    fn an_application_fetches_and_acknowledges() {
        begin();
        subscribe("app", "a", "{}", "{}");
        let fetch = "SELECT global_position FROM message_store.fetch('app', 2, '1 minute')";
        assert_eq!(rows(fetch), ["1", "2"]);
        run("SELECT message_store.ack('app', 2)");
        assert_eq!(rows(fetch), ["3"]);
    }

    #[pg_test]
    fn a_subscription_that_an_application_fetches_is_not_ticked() {
        begin();
        subscribe("app", "a", "{}", "{}");
        assert_eq!(sqlstate("SELECT message_store.tick('app')"), "55000");
    }

    #[pg_test]
    fn a_group_is_resized() {
        begin();
        run("SELECT message_store.resize_group('s', 3)");
        let members = "SELECT member, group_size FROM message_store.subscription_status ORDER BY 1";
        assert_eq!(rows(members), ["0 3", "1 3", "2 3"]);
    }
}
