//! Handlers that fail.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    const HANDLERS: &str = r#"{"$any": "app.failing"}"#;
    const PARKED: &str =
        "SELECT global_position, status FROM message_store.parked_messages ORDER BY 1";

    fn begin(options: &str) {
        create_store();
        create_handlers();
        for (stream, message_type) in [
            ("a-1", "Good"),
            ("a-2", "Bad"),
            ("a-2", "Good"),
            ("a-3", "Good"),
        ] {
            write(stream, message_type);
        }
        subscribe("s", "a", HANDLERS, options);
    }

    #[pg_test]
    fn what_came_before_the_failure_is_kept() {
        begin(r#"{"retries": 0}"#);
        assert_eq!(tick("s"), "stopped 1 1");
        assert_eq!(handled(), ["1"]);
    }

    #[pg_test]
    fn a_failing_handler_stops_the_subscription() {
        begin(r#"{"retries": 0}"#);
        tick("s");
        let status = "SELECT state, last_sqlstate, split_part(last_error, E'\\n', 1), failing_position \
                      FROM message_store.subscription_status";
        assert_eq!(rows(status), ["stopped ZZ001 cannot 2"]);
        assert_eq!(tick("s"), "stopped 0 1");
    }

    #[pg_test]
    fn a_failing_handler_is_called_again_after_a_pause() {
        begin(r#"{"retries": 3, "retry_delay": "1 hour", "retry_max_delay": "1 hour"}"#);
        assert_eq!(tick("s"), "retrying 1 1");
        assert_eq!(tick("s"), "retrying 0 1");
        let status = "SELECT attempts, retry_at > now() FROM message_store.subscription_status";
        assert_eq!(rows(status), ["1 true"]);
    }

    #[pg_test]
    fn a_stopped_subscription_goes_on_when_it_is_started() {
        begin(r#"{"retries": 0}"#);
        tick("s");
        run("DELETE FROM app.broken; SELECT message_store.start('s')");
        assert_eq!(tick("s"), "progressed 3 4");
        assert_eq!(handled(), ["1", "2", "3", "4"]);
    }

    #[pg_test]
    fn a_parked_message_lets_other_streams_go_on() {
        begin(r#"{"retries": 0, "on_failure": "park"}"#);
        tick("s");
        assert_eq!(handled(), ["1", "4"]);
        assert_eq!(rows(PARKED), ["2 failed", "3 waiting"]);
    }

    #[pg_test]
    fn a_message_may_be_parked_alone() {
        begin(r#"{"retries": 0, "on_failure": "park", "park": "message"}"#);
        tick("s");
        assert_eq!(handled(), ["1", "3", "4"]);
        assert_eq!(rows(PARKED), ["2 failed"]);
    }

    #[pg_test]
    fn a_retried_message_and_what_waits_behind_it_are_handled_in_order() {
        begin(r#"{"retries": 0, "on_failure": "park"}"#);
        tick("s");
        run("DELETE FROM app.broken");
        assert_eq!(number("message_store.retry_parked('s')"), 1);
        tick("s");
        assert_eq!(handled(), ["1", "4", "2", "3"]);
        assert_eq!(rows(PARKED), [""; 0]);
    }

    #[pg_test]
    fn a_discarded_message_is_never_handled() {
        begin(r#"{"retries": 0, "on_failure": "park"}"#);
        tick("s");
        assert_eq!(number("message_store.discard_parked('s', 'wrong')"), 1);
        tick("s");
        assert_eq!(handled(), ["1", "4", "3"]);
        assert_eq!(rows(PARKED), ["2 discarded"]);
    }

    #[pg_test]
    fn a_discarding_has_a_reason() {
        begin(r#"{"retries": 0, "on_failure": "park"}"#);
        tick("s");
        assert_eq!(
            sqlstate("SELECT message_store.discard_parked('s', '')"),
            "22023"
        );
    }

    #[pg_test]
    fn the_history_tells_of_a_failure() {
        begin(r#"{"retries": 0}"#);
        tick("s");
        let actions = "SELECT action FROM message_store.subscription_history ORDER BY at";
        assert_eq!(rows(actions), ["create", "fail"]);
    }
}
