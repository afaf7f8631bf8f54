//! The test kit in tests like these, as whoever writes handlers with pgrx uses it.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    #[pg_test]
    fn handlers_are_tested_with_the_kit() {
        create_store();
        create_handlers();
        subscribe("aggregators:all", "a", r#"{"Good": "app.message"}"#, "{}");
        run("CREATE EXTENSION message_store_test");
        for _ in 0..2 {
            run("SELECT message_store_test.given_message('a-1', 'Good')");
        }
        assert_eq!(
            number("message_store_test.when_ticked('aggregators:all')"),
            2
        );
        run(
            r#"SELECT message_store_test.then_read_model('app.handled', '[{"type": "Good"}, {"type": "Good"}]')"#,
        );
        assert_eq!(
            sqlstate("SELECT message_store_test.then_read_model('app.handled', '[]')"),
            "P0004"
        );
    }
}
