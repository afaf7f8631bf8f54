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

    /// A handler that adds each message to a table in which it is already.
    fn begin_with_a_conflict(options: &str) {
        create_store();
        run("CREATE SCHEMA app; \
             CREATE TABLE app.emails (email text CONSTRAINT one_email UNIQUE); \
             INSERT INTO app.emails VALUES ('a@b.c'); \
             CREATE FUNCTION app.add(bigint) RETURNS void LANGUAGE sql \
               AS $$ INSERT INTO app.emails VALUES ('a@b.c') $$");
        write("a-1", "Added");
        subscribe("s", "a", r#"{"Added": "app.add"}"#, options);
    }

    const PARTS: &str = "concat_ws(' ', error_details->>'schema', error_details->>'table', \
                           error_details->>'constraint', error_details->>'detail', \
                           error_details->>'context' ~ 'SQL function \"add\"')";
    const EXPECTED: &str = "app emails one_email Key (email)=(a@b.c) already exists. t";

    #[pg_test]
    fn every_part_of_an_error_is_kept_with_the_parked_message() {
        begin_with_a_conflict(r#"{"retries": 0, "on_failure": "park"}"#);
        tick("s");
        let message = "error NOT LIKE E'%\\n%'";
        let parked = format!("SELECT {PARTS}, {message} FROM message_store.parked_messages");
        assert_eq!(rows(&parked), [format!("{EXPECTED} true")]);
    }

    #[pg_test]
    fn every_part_of_an_error_is_told_by_the_tick_that_meets_it_and_by_those_that_wait() {
        begin_with_a_conflict(
            r#"{"retries": 3, "retry_delay": "1 hour", "retry_max_delay": "1 hour"}"#,
        );
        let ticked = format!("SELECT outcome, {PARTS} FROM message_store.tick('s')");
        assert_eq!(rows(&ticked), [format!("retrying {EXPECTED}")]);
        assert_eq!(rows(&ticked), [format!("retrying {EXPECTED}")]);
        let parts = PARTS.replace("error_details", "last_error_details");
        let status = format!("SELECT {parts} FROM message_store.subscription_status");
        assert_eq!(rows(&status), [EXPECTED]);
    }

    #[pg_test]
    fn the_reason_of_a_stop_says_which_key_was_there_already() {
        begin_with_a_conflict(r#"{"retries": 0}"#);
        tick("s");
        let reason = "SELECT state_reason LIKE '%Key (email)=(a@b.c) already exists.%' \
                      FROM message_store.subscription_status";
        assert_eq!(rows(reason), ["true"]);
    }

    #[pg_test]
    fn no_part_of_an_error_is_kept_without_a_bound() {
        create_store();
        run(
            "CREATE SCHEMA app; CREATE FUNCTION app.long(bigint) RETURNS void LANGUAGE plpgsql \
               AS $$ BEGIN RAISE EXCEPTION USING MESSAGE = repeat('m', 2000000), \
                       DETAIL = repeat('d', 2000000), HINT = repeat('h', 2000000), \
                       CONSTRAINT = repeat('c', 2000000); END $$",
        );
        write("a-1", "Said");
        let park = r#"{"retries": 0, "on_failure": "park"}"#;
        subscribe("s", "a", r#"{"Said": "app.long"}"#, park);
        tick("s");
        let bytes = "SELECT octet_length(error), octet_length(error_details::text) < 9000 \
                     FROM message_store.parked_messages";
        assert_eq!(rows(bytes), ["8195 true"]);
    }

    #[pg_test]
    fn what_an_application_says_of_a_failure_has_a_bound_too() {
        create_store();
        write("a-1", "Said");
        run("SELECT message_store.create_subscription('s', 'a', '{}')");
        assert_eq!(
            rows("SELECT global_position FROM message_store.fetch('s', 1, '1 minute')"),
            ["1"]
        );
        run("SELECT message_store.park('s', 1, repeat('m', 2000000))");
        let bytes = "SELECT octet_length(error) FROM message_store.parked_messages";
        assert_eq!(rows(bytes), ["8195"]);
    }

    #[pg_test]
    fn a_parked_message_says_what_can_be_done_about_it() {
        begin(r#"{"retries": 0, "on_failure": "park"}"#);
        tick("s");
        let can = "SELECT status, can_retry, can_discard FROM message_store.parked_messages \
                   ORDER BY global_position";
        assert_eq!(rows(can), ["failed true true", "waiting false false"]);
        run("SELECT message_store.retry_parked('s')");
        assert_eq!(rows(can), ["retry false true", "retry false true"]);
        run("SELECT message_store.discard_parked('s', 'wrong', 2)");
        assert_eq!(rows(can), ["discarded false false", "retry false true"]);
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
