//! Handlers of each shape, and what they are told.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    fn begin(handlers: &str) {
        create_store();
        create_handlers();
        for message_type in ["A", "B", "A"] {
            write("a-1", message_type);
        }
        subscribe("s", "a", handlers, "{}");
    }

    #[pg_test]
    fn a_handler_takes_a_message() {
        begin(r#"{"$any": "app.message"}"#);
        assert_eq!(tick("s"), "progressed 3 3");
        let seen = rows("SELECT position, type FROM app.handled ORDER BY entry");
        assert_eq!(seen, ["1 A", "2 B", "3 A"]);
    }

    #[pg_test]
    fn a_handler_takes_an_array_of_messages() {
        begin(r#"{"$any": "app.messages"}"#);
        tick("s");
        assert_eq!(handled(), ["1", "2", "3"]);
    }

    #[pg_test]
    fn a_handler_takes_a_position() {
        begin(r#"{"$any": "app.position"}"#);
        tick("s");
        assert_eq!(handled(), ["1", "2", "3"]);
    }

    #[pg_test]
    fn a_handler_takes_an_array_of_positions() {
        begin(r#"{"$any": "app.positions"}"#);
        tick("s");
        assert_eq!(handled(), ["1", "2", "3"]);
    }

    #[pg_test]
    fn handlers_of_several_types_are_called_in_the_order_of_the_log() {
        begin(r#"{"A": "app.positions", "B": "app.message"}"#);
        tick("s");
        assert_eq!(handled(), ["1", "2", "3"]);
    }

    #[pg_test]
    fn a_type_without_a_handler_is_passed() {
        begin(r#"{"B": "app.position"}"#);
        assert_eq!(tick("s"), "progressed 1 3");
        assert_eq!(handled(), ["2"]);
    }

    #[pg_test]
    fn a_function_that_is_not_there_is_refused() {
        begin(r#"{"$any": "app.message"}"#);
        let create =
            "SELECT message_store.create_subscription('t', 'a', '{\"$any\": \"app.none\"}')";
        assert_eq!(sqlstate(create), "42883");
    }

    #[pg_test]
    fn a_function_of_another_shape_is_refused() {
        begin(r#"{"$any": "app.message"}"#);
        run("CREATE FUNCTION app.other(text) RETURNS void LANGUAGE sql AS ''");
        let create =
            "SELECT message_store.create_subscription('t', 'a', '{\"$any\": \"app.other\"}')";
        assert_eq!(sqlstate(create), "42883");
    }

    #[pg_test]
    fn a_handler_is_told_for_whom_it_is_called() {
        begin(r#"{"$any": "app.message"}"#);
        run("CREATE TABLE app.told (call message_store.handler_call);
             CREATE FUNCTION app.tells(bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO app.told SELECT message_store.handler_context()'");
        subscribe("t", "a", r#"{"$any": "app.tells"}"#, "{}");
        tick("t");
        let told = "SELECT (call).subscriber_id, (call).global_position, (call).attempt, \
                    (call).is_replay FROM app.told";
        assert_eq!(rows(told), ["t 1 1 false", "t 2 1 false", "t 3 1 false"]);
    }

    #[pg_test]
    fn outside_a_handler_there_is_no_context() {
        create_store();
        assert_eq!(text("message_store.handler_context()"), "-");
    }

    #[pg_test]
    fn what_a_handler_writes_derives_from_its_message() {
        create_store();
        run("CREATE SCHEMA app;
             CREATE FUNCTION app.answer(message_store.message) RETURNS void LANGUAGE sql AS
               $$SELECT message_store.write_messages('b-7', '[{\"type\": \"Answered\"}]')$$");
        write("a-1", "A");
        subscribe("s", "a", r#"{"$any": "app.answer"}"#, "{}");
        tick("s");
        run("SELECT message_store.reset('s', 0, 'test')");
        tick("s");
        let events = "SELECT stream_name, type, metadata ->> 'causationMessageGlobalPosition' \
                      FROM message_store.messages WHERE global_position > 1";
        assert_eq!(rows(events), ["b-7 Answered 1"]);
    }

    #[pg_test]
    fn who_did_it_and_its_trace_travel_with_what_a_handler_writes() {
        create_store();
        run("CREATE SCHEMA app;
             CREATE FUNCTION app.answer(message_store.message) RETURNS void LANGUAGE sql AS
               $$SELECT message_store.write_messages('b-7',
                   '[{\"type\": \"Answered\", \"metadata\": {\"userId\": \"its own\"}}]')$$;
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'A', '{}',
               '{\"traceId\": \"t\", \"userId\": 7, \"traceparent\": null, \"tenant\": {\"id\": [1]}, \"other\": 1}')");
        subscribe("s", "a", r#"{"$any": "app.answer"}"#, "{}");
        tick("s");
        let metadata = "SELECT metadata - array['causationMessageStreamName', \
                          'causationMessagePosition', 'causationMessageGlobalPosition'] \
                        FROM message_store.messages WHERE type = 'Answered'";
        let expected = r#"{"userId": "its own", "traceId": "t", "traceparent": null}"#;
        assert_eq!(rows(metadata), [expected]);
        let follow = "SELECT message_store.follow(m) ->> 'userId', message_store.follow(m) -> 'tenant' \
                      FROM message_store.get_stream_messages('a-1') m";
        assert_eq!(rows(follow), ["7 -"]);
        run("SET LOCAL message_store.inherited_metadata = 'tenant,, other '");
        let follow = "SELECT message_store.follow(m) - array['causationMessageStreamName', \
                        'causationMessagePosition', 'causationMessageGlobalPosition'] \
                      FROM message_store.get_stream_messages('a-1') m";
        assert_eq!(rows(follow), [r#"{"other": 1, "tenant": {"id": [1]}}"#]);
    }

    #[pg_test]
    fn a_handler_runs_with_the_owners_rights() {
        begin(r#"{"$any": "app.message"}"#);
        run("CREATE ROLE test_owner IN ROLE message_store;
             GRANT USAGE ON SCHEMA app TO test_owner;
             CREATE TABLE app.roles (role name); GRANT INSERT ON app.roles TO test_owner;
             CREATE FUNCTION app.role(bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO app.roles SELECT current_user';
             SET LOCAL ROLE test_owner");
        subscribe("t", "a", r#"{"A": "app.role"}"#, "{}");
        run("RESET ROLE");
        tick("t");
        assert_eq!(rows("SELECT DISTINCT role FROM app.roles"), ["test_owner"]);
    }

    /// Two schemas with the same names, and a handler in each that says where it found its table.
    fn begin_with_two_schemas() {
        create_store();
        for schema in ["one", "two"] {
            run(&format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {schema}.seen (position bigint);
                 CREATE FUNCTION {schema}.see(at bigint) RETURNS void LANGUAGE plpgsql AS
                   'BEGIN INSERT INTO seen VALUES (at); END'"
            ));
        }
        write("a-1", "A");
    }

    #[pg_test]
    fn names_in_a_handler_are_found_on_the_path_that_the_subscription_names() {
        begin_with_two_schemas();
        run("SET LOCAL search_path = one");
        subscribe(
            "s",
            "a",
            r#"{"A": "see"}"#,
            r#"{"search_path": "two, public", "read_model": ["seen"]}"#,
        );
        let status = "SELECT handlers ->> 'A', search_path, options ->> 'search_path', \
                      options #>> '{read_model, 0}' FROM message_store.subscription_status";
        let expected = "two.see(bigint) two, public two, public two.seen";
        assert_eq!(rows(status), [expected]);
        tick("s");
        assert_eq!(rows("SELECT position FROM two.seen"), ["1"]);
        assert_eq!(rows("SELECT position FROM one.seen"), [""; 0]);
    }

    #[pg_test]
    fn without_the_option_the_path_is_that_of_the_session_that_declares() {
        begin_with_two_schemas();
        run("SET LOCAL search_path = one");
        subscribe("s", "a", r#"{"A": "see"}"#, "{}");
        let path = "SELECT search_path FROM message_store.subscription_status";
        assert_eq!(rows(path), ["one"]);
        run("SET LOCAL search_path = two;
             SELECT message_store.alter_subscription('s', options => '{\"batch_size\": 5}')");
        assert_eq!(rows(path), ["one"]);
        let alter = |options: &str| {
            run(&format!(
                "SELECT message_store.alter_subscription('s', options => '{options}')"
            ));
        };
        alter(r#"{"search_path": "two"}"#);
        assert_eq!(rows(path), ["two"]);
        alter(r#"{"search_path": null}"#);
        assert_eq!(rows(path), ["two"]);
        run("SET LOCAL search_path = one, pg_catalog");
        alter(r#"{"search_path": null}"#);
        assert_eq!(rows(path), ["one, pg_catalog"]);
    }

    #[pg_test]
    fn a_path_that_is_none_is_refused() {
        begin_with_two_schemas();
        for path in [r#""a,,b""#, "7", "null", r#""\"a""#] {
            let create = format!(
                r#"SELECT message_store.create_subscription('s', 'a', '{{}}', '{{"search_path": {path}}}')"#
            );
            assert_eq!(sqlstate(&create), "22023", "{path}");
        }
    }

    #[pg_test]
    fn a_name_that_is_not_found_is_told_with_the_path() {
        begin_with_two_schemas();
        run("SET LOCAL search_path = pg_catalog");
        subscribe("s", "a", r#"{"A": "one.see"}"#, r#"{"retries": 0}"#);
        let hint = "SELECT sqlstate, error_details ->> 'hint' LIKE \
                      '%search_path pg_catalog.%option search_path%' FROM message_store.tick('s')";
        assert_eq!(rows(hint), ["42P01 true"]);
    }
}
