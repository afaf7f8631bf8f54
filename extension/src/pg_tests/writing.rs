//! Messages into streams.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    const ID: &str = "'11111111-1111-4111-8111-111111111111'";

    fn written(arguments: &str) -> String {
        sqlstate(&format!("SELECT message_store.write_message({arguments})"))
    }

    #[pg_test]
    fn the_first_message_of_a_stream_has_position_0() {
        create_store();
        assert_eq!(write("account-1", "Opened"), 0);
        assert_eq!(write("account-1", "Closed"), 1);
        assert_eq!(write("account-2", "Opened"), 0);
    }

    #[pg_test]
    fn global_positions_rise_over_all_streams() {
        create_store();
        for stream in ["a-1", "b-1", "a-1"] {
            write(stream, "T");
        }
        let log = "SELECT global_position, stream_name, position FROM message_store.messages \
                   ORDER BY 1";
        assert_eq!(rows(log), ["1 a-1 0", "2 b-1 0", "3 a-1 1"]);
    }

    #[pg_test]
    fn a_message_is_read_as_it_was_written() {
        create_store();
        run(&format!(
            "SELECT message_store.write_message({ID}, 'a-1', 'T', '{{\"b\": [1, null]}}', '{{\"c\": \"d\"}}')"
        ));
        let message =
            "SELECT id, type, data, metadata FROM message_store.get_stream_messages('a-1')";
        assert_eq!(
            rows(message),
            [format!(
                "{} T {{\"b\": [1, null]}} {{\"c\": \"d\"}}",
                &ID[1..37]
            )]
        );
    }

    #[pg_test]
    fn metadata_may_be_left_out() {
        create_store();
        write("a-1", "T");
        let metadata = "SELECT metadata FROM message_store.get_stream_messages('a-1')";
        assert_eq!(rows(metadata), ["-"]);
    }

    #[pg_test]
    fn the_expected_version_of_a_new_stream_is_minus_1() {
        create_store();
        assert_eq!(
            written(&format!("{ID}, 'a-1', 'T', '{{}}', NULL, -1")),
            "00000"
        );
        assert_eq!(number("message_store.stream_version('a-1')"), 0);
    }

    #[pg_test]
    fn a_wrong_expected_version_writes_nothing() {
        create_store();
        write("a-1", "T");
        for version in [-1, 1, 7] {
            let arguments = format!("{ID}, 'a-1', 'T', '{{}}', NULL, {version}");
            assert_eq!(written(&arguments), "P0001", "{version}");
        }
        assert_eq!(number("message_store.stream_version('a-1')"), 0);
    }

    #[pg_test]
    fn a_stream_that_is_not_there_has_no_version() {
        create_store();
        assert_eq!(text("message_store.stream_version('a-1')"), "-");
    }

    #[pg_test]
    fn an_id_is_written_once() {
        create_store();
        assert_eq!(written(&format!("{ID}, 'a-1', 'T', '{{}}'")), "00000");
        assert_eq!(written(&format!("{ID}, 'a-2', 'T', '{{}}'")), "23505");
    }

    #[pg_test]
    fn what_is_no_id_is_refused() {
        create_store();
        assert_eq!(written("'one', 'a-1', 'T', '{}'"), "22P02");
    }

    #[pg_test]
    fn what_is_no_json_is_refused() {
        create_store();
        assert_eq!(written(&format!("{ID}, 'a-1', 'T', '{{'")), "22P02");
    }

    #[pg_test]
    fn without_a_store_nothing_is_written() {
        assert_eq!(written(&format!("{ID}, 'a-1', 'T', '{{}}'")), "55000");
    }

    #[pg_test]
    fn a_batch_of_json_is_written_in_its_order() {
        create_store();
        let batch = "SELECT stream_name, position, global_position FROM message_store.write_messages( \
                     'a-1', '[{\"type\": \"A\"}, {\"type\": \"B\", \"data\": {\"n\": 1}}]'::jsonb)";
        assert_eq!(rows(batch), ["a-1 0 1", "a-1 1 2"]);
    }

    #[pg_test]
    fn a_batch_over_several_streams_counts_each() {
        create_store();
        let batch = "SELECT stream_name, position FROM message_store.write_messages(ARRAY[ \
                       ('a-1', 'T', '{}', NULL, NULL, NULL), ('b-1', 'T', '{}', NULL, NULL, NULL), \
                       ('a-1', 'T', '{}', NULL, NULL, NULL)]::message_store.new_message[])";
        assert_eq!(rows(batch), ["a-1 0", "b-1 0", "a-1 1"]);
    }

    #[pg_test]
    fn a_batch_is_all_or_nothing() {
        create_store();
        let batch = format!(
            "SELECT message_store.write_messages('a-1', '[{{\"type\": \"A\"}}, \
             {{\"type\": \"B\", \"id\": \"{id}\"}}, {{\"type\": \"C\", \"id\": \"{id}\"}}]'::jsonb)",
            id = &ID[1..37]
        );
        assert_eq!(sqlstate(&batch), "23505");
        assert_eq!(number("SELECT count(*) FROM message_store.messages"), 0);
    }

    #[pg_test]
    fn a_duplicate_in_a_batch_may_be_ignored() {
        create_store();
        let batch = format!(
            "SELECT position, is_duplicate FROM message_store.write_messages('a-1', \
             '[{{\"type\": \"A\", \"id\": \"{}\"}}]'::jsonb, on_duplicate => 'ignore')",
            &ID[1..37]
        );
        assert_eq!(rows(&batch), ["0 false"]);
        assert_eq!(rows(&batch), ["0 true"]);
        assert_eq!(number("message_store.stream_version('a-1')"), 0);
    }

    #[pg_test]
    fn a_batch_has_an_expected_version() {
        create_store();
        let batch = |version: i64| {
            sqlstate(&format!(
                "SELECT message_store.write_messages('a-1', '[{{\"type\": \"A\"}}]'::jsonb, {version})"
            ))
        };
        assert_eq!(batch(3), "P0001");
        assert_eq!(batch(-1), "00000");
        assert_eq!(batch(0), "00000");
    }
}
