//! Messages out of streams and categories.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    fn begin() {
        create_store();
        for stream in ["a-1", "b-1", "a-2", "a-1", "a-1+x", "a:command-1"] {
            write(stream, "T");
        }
    }

    fn positions(function: &str) -> Vec<String> {
        rows(&format!(
            "SELECT global_position FROM message_store.{function}"
        ))
    }

    #[pg_test]
    fn a_stream_is_read_in_order() {
        begin();
        assert_eq!(positions("get_stream_messages('a-1')"), ["1", "4"]);
    }

    #[pg_test]
    fn a_stream_is_read_from_a_position() {
        begin();
        assert_eq!(positions("get_stream_messages('a-1', 1)"), ["4"]);
        assert_eq!(positions("get_stream_messages('a-1', 2)"), [""; 0]);
    }

    #[pg_test]
    fn a_batch_has_at_most_so_many_messages() {
        begin();
        assert_eq!(positions("get_stream_messages('a-1', 0, 1)"), ["1"]);
        assert_eq!(positions("get_category_messages('a', 1, 2)"), ["1", "3"]);
        assert_eq!(positions("get_stream_messages('a-1', 0, -1)"), ["1", "4"]);
    }

    #[pg_test]
    fn the_last_message_of_a_stream_is_found() {
        begin();
        assert_eq!(positions("get_last_stream_message('a-1')"), ["4"]);
        assert_eq!(positions("get_last_stream_message('none-1')"), [""; 0]);
        assert_eq!(
            positions("get_last_stream_message('a-1', 'Other')"),
            [""; 0]
        );
    }

    #[pg_test]
    fn a_category_is_read_over_its_streams() {
        begin();
        assert_eq!(
            positions("get_category_messages('a')"),
            ["1", "3", "4", "5"]
        );
        assert_eq!(positions("get_category_messages('a', 4)"), ["4", "5"]);
    }

    #[pg_test]
    fn a_category_type_is_a_category_of_its_own() {
        begin();
        assert_eq!(positions("get_category_messages('a:command')"), ["6"]);
    }

    #[pg_test]
    fn the_log_is_read_over_all_categories() {
        begin();
        assert_eq!(
            positions("get_all_messages()"),
            ["1", "2", "3", "4", "5", "6"]
        );
        assert_eq!(positions("get_all_messages(5, 1)"), ["5"]);
    }

    #[pg_test]
    fn a_stream_is_no_category_and_a_category_no_stream() {
        begin();
        let state = |call: &str| sqlstate(&format!("SELECT * FROM message_store.{call}"));
        assert_eq!(state("get_category_messages('a-1')"), "P0001");
        assert_eq!(state("get_stream_messages('a')"), "P0001");
        assert_eq!(state("get_stream_messages(NULL)"), "P0001");
    }

    #[pg_test]
    fn an_entity_belongs_to_one_member_of_a_group() {
        begin();
        let mut all = Vec::new();
        for member in 0..3 {
            let own = positions(&format!(
                "get_category_messages('a', consumer_group_member => {member}, \
                 consumer_group_size => 3)"
            ));
            assert_eq!(own.contains(&"1".to_owned()), own.contains(&"4".to_owned()));
            all.extend(own);
        }
        all.sort();
        assert_eq!(all, ["1", "3", "4", "5"]);
    }

    #[pg_test]
    fn a_cardinal_id_ends_before_the_plus() {
        assert_eq!(text("message_store.cardinal_id('a-1+x')"), "1");
        assert_eq!(text("message_store.id('a-1+x')"), "1+x");
        assert_eq!(text("message_store.category('a:command-1')"), "a:command");
        assert_eq!(text("message_store.is_category('a')"), "true");
        assert_eq!(text("message_store.is_category('a-1')"), "false");
    }

    #[pg_test]
    fn messages_are_found_by_the_category_they_came_from() {
        create_store();
        run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}',
               '{\"correlationStreamName\": \"order-7\"}')",
        );
        write("a-1", "T");
        assert_eq!(
            positions("get_category_messages('a', correlation => 'order')"),
            ["1"]
        );
        let no_category =
            "SELECT * FROM message_store.get_category_messages('a', correlation => 'order-7')";
        assert_eq!(sqlstate(no_category), "P0001");
    }

    #[pg_test]
    fn a_condition_has_to_be_allowed() {
        begin();
        let conditional = "SELECT * FROM message_store.get_stream_messages( \
                           'a-1', condition => 'position = 1')";
        assert_eq!(sqlstate(conditional), "P0001");
        run("SET LOCAL message_store.sql_condition = on");
        assert_eq!(
            positions("get_stream_messages('a-1', condition => 'position = 1')"),
            ["4"]
        );
    }

    #[pg_test]
    fn a_condition_is_one_expression() {
        begin();
        run("SET LOCAL message_store.sql_condition = on");
        let two = "SELECT * FROM message_store.get_stream_messages( \
                   'a-1', condition => 'true); SELECT 1 WHERE (true')";
        assert_eq!(sqlstate(two), "42601");
    }
}
