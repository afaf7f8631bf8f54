//! The chapter as a story.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    #[pg_test]
    fn a_store_is_created() {
        create_store();
        assert_eq!(number("SELECT count(*) FROM message_store.messages"), 0);
    }
}
