//! Read models made anew, looked at, and tried.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    const LINES: &str = "SELECT position FROM lines.lines ORDER BY 1";

    /// A read model whose handler leaves the schema out, so that a rebuild can lead it to a copy.
    fn begin() {
        create_store();
        run("
            CREATE SCHEMA lines;
            CREATE TABLE lines.lines (position bigint PRIMARY KEY, word text);
            CREATE FUNCTION lines.append(message message_store.message) RETURNS void
            LANGUAGE plpgsql AS $$
            BEGIN
              INSERT INTO lines VALUES (message.global_position, message.data::jsonb ->> 'word');
            END $$;
            CREATE FUNCTION lines.shout(message message_store.message) RETURNS void
            LANGUAGE plpgsql AS $$
            BEGIN
              INSERT INTO lines VALUES (message.global_position, upper(message.data::jsonb ->> 'word'));
            END $$;
            SET LOCAL search_path = lines, public");
        for word in ["one", "two", "three"] {
            write_data("a-1", "T", &format!("{{\"word\": \"{word}\"}}"));
        }
        subscribe(
            "s",
            "a",
            r#"{"$any": "lines.append"}"#,
            r#"{"read_model": ["lines.lines"]}"#,
        );
        tick("s");
    }

    #[pg_test]
    fn in_place_the_read_model_is_emptied_and_comes_again() {
        begin();
        run("SELECT message_store.rebuild('s')");
        assert_eq!(rows(LINES), [""; 0]);
        tick("s");
        assert_eq!(rows(LINES), ["1", "2", "3"]);
    }

    #[pg_test]
    fn side_by_side_the_live_rows_stay_until_the_copy_is_promoted() {
        begin();
        run("INSERT INTO lines.lines VALUES (99); SELECT message_store.rebuild('s', true)");
        tick("s#rebuild");
        assert_eq!(rows(LINES), ["1", "2", "3", "99"]);
        run("SELECT message_store.promote('s')");
        assert_eq!(rows(LINES), ["1", "2", "3"]);
    }

    #[pg_test]
    fn a_promotion_catches_up() {
        begin();
        run("SELECT message_store.rebuild('s', true)");
        write("a-1", "T");
        tick("s");
        run("SELECT message_store.promote('s')");
        assert_eq!(rows(LINES), ["1", "2", "3", "4"]);
    }

    #[pg_test]
    fn a_cancelled_rebuild_leaves_nothing_behind() {
        begin();
        run("SELECT message_store.rebuild('s', true)");
        assert_eq!(text("message_store.cancel_rebuild('s')"), "true");
        assert_eq!(text("message_store.cancel_rebuild('s')"), "false");
        let copies = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'message_store_copy%'";
        assert_eq!(rows(copies), [""; 0]);
    }

    #[pg_test]
    fn without_a_copy_nothing_is_promoted() {
        begin();
        assert_eq!(sqlstate("SELECT message_store.promote('s')"), "55000");
    }

    #[pg_test]
    fn a_read_model_has_to_be_declared() {
        begin();
        subscribe("t", "a", r#"{"$any": "lines.append"}"#, "{}");
        for call in ["rebuild('t', true)", "verify('t')", "dry_run('t')"] {
            let state = sqlstate(&format!("SELECT message_store.{call}"));
            assert_eq!(state, "55000", "{call}");
        }
    }

    #[pg_test]
    fn verify_says_nothing_of_a_right_read_model() {
        begin();
        assert_eq!(rows("SELECT * FROM message_store.verify('s')"), [""; 0]);
    }

    #[pg_test]
    fn verify_names_every_row_that_differs() {
        begin();
        run("DELETE FROM lines.lines WHERE position = 1;
             UPDATE lines.lines SET word = 'other' WHERE position = 2;
             INSERT INTO lines.lines VALUES (99)");
        let differences = "SELECT difference, coalesce(expected, found) ->> 'position' \
                           FROM message_store.verify('s') ORDER BY 2";
        assert_eq!(
            rows(differences),
            ["missing 1", "different 2", "unexpected 99"]
        );
    }

    #[pg_test]
    fn verify_changes_nothing() {
        begin();
        run("INSERT INTO lines.lines VALUES (99)");
        rows("SELECT * FROM message_store.verify('s')");
        assert_eq!(rows(LINES), ["1", "2", "3", "99"]);
    }

    #[pg_test]
    fn dry_run_shows_what_the_next_messages_would_change_and_keeps_nothing() {
        begin();
        write_data("a-1", "T", r#"{"word": "four"}"#);
        let changes = "SELECT difference, after ->> 'word' FROM message_store.dry_run('s')";
        assert_eq!(rows(changes), ["added four"]);
        assert_eq!(rows(LINES), ["1", "2", "3"]);
    }

    #[pg_test]
    fn dry_run_tries_other_handlers() {
        begin();
        write_data("a-1", "T", r#"{"word": "four"}"#);
        let changes = "SELECT after ->> 'word' FROM message_store.dry_run( \
                       's', '{\"$any\": \"lines.shout\"}')";
        assert_eq!(rows(changes), ["FOUR"]);
    }
}
