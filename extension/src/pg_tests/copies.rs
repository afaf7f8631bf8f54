//! A copy of a read model is faithful, or it is refused.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    /// Three messages of `a`, read by `s` whose handler `app.fill` runs `body`.
    fn begin(tables: &str, body: &str, read_model: &str) {
        create_store();
        run(&format!(
            "CREATE SCHEMA app; SET LOCAL search_path = app, public;
             {tables};
             CREATE FUNCTION app.fill(at bigint) RETURNS void LANGUAGE plpgsql AS
               $$ BEGIN {body}; END $$"
        ));
        for _ in 0..3 {
            write("a-1", "A");
        }
        let options = format!(r#"{{"read_model": [{read_model}], "retries": 0}}"#);
        subscribe("s", "a", r#"{"A": "app.fill"}"#, &options);
        assert_eq!(tick("s"), "progressed 3 3");
    }

    fn rebuild_beside() {
        run("SELECT message_store.rebuild('s', true)");
        tick("s#rebuild");
    }

    const VERIFY: &str = "SELECT difference, expected, found FROM message_store.verify('s')";

    #[pg_test]
    fn what_the_database_fills_by_itself_is_not_compared_unless_asked() {
        begin(
            "CREATE TABLE seen (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number serial,
               at bigint, stored timestamptz DEFAULT clock_timestamp(), token uuid DEFAULT gen_random_uuid(),
               day date DEFAULT now(), twice bigint GENERATED ALWAYS AS (number * 2) STORED,
               kind text DEFAULT 'plain')",
            "INSERT INTO seen (at) VALUES (at)",
            r#""seen""#,
        );
        run(
            "SELECT setval('app.seen_id_seq', 100); DELETE FROM seen WHERE at = 1;
             INSERT INTO seen (at) VALUES (1)",
        );
        assert_eq!(rows(VERIFY), [""; 0]);
        let all = "SELECT count(*) FROM message_store.verify('s', all_columns => true)";
        assert_eq!(rows(all), ["4"]);
        run("UPDATE seen SET kind = 'other' WHERE at = 2");
        let differences = "SELECT difference, coalesce(expected, found) ->> 'kind' \
                           FROM message_store.verify('s') ORDER BY 1";
        assert_eq!(rows(differences), ["missing plain", "unexpected other"]);
    }

    #[pg_test]
    fn a_key_that_messages_decide_still_tells_rows_apart() {
        begin(
            "CREATE TABLE seen (at bigint PRIMARY KEY, id serial, word text DEFAULT 'one')",
            "INSERT INTO seen (at) VALUES (at)",
            r#""seen""#,
        );
        run("UPDATE seen SET word = 'two', id = 77 WHERE at = 2");
        assert_eq!(
            rows(VERIFY),
            [r#"different {"at": 2, "word": "one"} {"at": 2, "word": "two"}"#]
        );
    }

    #[pg_test]
    fn a_dry_run_goes_on_behind_the_rows_that_are_there() {
        begin(
            "CREATE TABLE seen (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint)",
            "INSERT INTO seen (at) VALUES (at)",
            r#""seen""#,
        );
        write("a-1", "A");
        let changes = "SELECT difference, after FROM message_store.dry_run('s')";
        assert_eq!(rows(changes), [r#"added {"at": 4, "id": 4}"#]);
    }

    const PARENTS: &str = "CREATE TABLE parents (id bigint PRIMARY KEY, word text UNIQUE);
         CREATE TABLE children (at bigint PRIMARY KEY, parent bigint REFERENCES parents)";
    const FAMILY: &str = "INSERT INTO parents VALUES (at % 2, 'of ' || at % 2) ON CONFLICT DO NOTHING; \
                          INSERT INTO children VALUES (at, at % 2)";

    #[pg_test]
    fn parents_that_change_are_promoted_under_their_children() {
        begin(PARENTS, FAMILY, r#""parents", "children""#);
        run(
            "CREATE OR REPLACE FUNCTION app.fill(at bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               INSERT INTO parents VALUES (at % 3, 'of ' || (at + 1) % 3) ON CONFLICT DO NOTHING;
               INSERT INTO children VALUES (at, at % 3);
             END $$",
        );
        rebuild_beside();
        let dry = "SELECT * FROM message_store.promote('s', dry => true)";
        let expected = ["app.parents 1 0 2", "app.children 0 0 2"];
        assert_eq!(rows(dry), expected);
        assert_eq!(rows("SELECT * FROM parents"), ["1 of 1", "0 of 0"]);
        assert_eq!(rows("SELECT * FROM message_store.promote('s')"), expected);
        let parents = "SELECT * FROM parents ORDER BY id";
        assert_eq!(rows(parents), ["0 of 1", "1 of 2", "2 of 0"]);
        let children = "SELECT * FROM children ORDER BY at";
        assert_eq!(rows(children), ["1 1", "2 2", "3 0"]);
        let reason =
            "SELECT reason FROM message_store.subscription_history WHERE action = 'promote'";
        let expected = "app.parents: 1 rows added, 0 removed, 2 changed; \
                        app.children: 0 rows added, 0 removed, 2 changed";
        assert_eq!(rows(reason), [expected]);
    }

    #[pg_test]
    fn rows_without_a_key_are_counted_as_they_come_and_go() {
        begin(
            "CREATE TABLE seen (at bigint)",
            "INSERT INTO seen VALUES (at), (at)",
            r#""seen""#,
        );
        run("DELETE FROM seen WHERE at = 1; INSERT INTO seen VALUES (9)");
        rebuild_beside();
        assert_eq!(
            rows("SELECT * FROM message_store.promote('s')"),
            ["app.seen 2 1 0"]
        );
        let seen = "SELECT at, count(*) FROM seen GROUP BY 1 ORDER BY 1";
        assert_eq!(rows(seen), ["1 2", "2 2", "3 2"]);
    }

    #[pg_test]
    fn a_look_at_a_promotion_of_no_rows_says_how_many_would_go() {
        begin(
            "CREATE TABLE seen (at bigint PRIMARY KEY)",
            "PERFORM 1",
            r#""seen""#,
        );
        run("INSERT INTO seen VALUES (1), (2)");
        rebuild_beside();
        assert_eq!(
            rows("SELECT * FROM message_store.promote('s', dry => true)"),
            ["app.seen 0 2 0"]
        );
        assert_eq!(sqlstate("SELECT message_store.promote('s')"), "55000");
    }

    #[pg_test]
    fn a_table_that_was_altered_since_it_was_copied_is_refused() {
        begin(
            "CREATE TABLE seen (at bigint PRIMARY KEY)",
            "INSERT INTO seen VALUES (at)",
            r#""seen""#,
        );
        rebuild_beside();
        run("ALTER TABLE seen ADD COLUMN word text");
        assert_eq!(sqlstate("SELECT message_store.promote('s')"), "55000");
        run("ALTER TABLE seen DROP COLUMN word");
        assert_eq!(sqlstate("SELECT message_store.promote('s')"), "00000");
    }

    #[pg_test]
    fn rows_that_others_would_lose_are_not_replaced() {
        begin(
            "CREATE TABLE seen (at bigint PRIMARY KEY)",
            "INSERT INTO seen VALUES (at)",
            r#""seen""#,
        );
        rebuild_beside();
        for (action, refused) in [
            ("CASCADE", "0A000"),
            ("SET NULL", "0A000"),
            ("RESTRICT", "0A000"),
            ("NO ACTION", "00000"),
        ] {
            run(&format!(
                "DROP TABLE IF EXISTS notes;
                 CREATE TABLE notes (about bigint REFERENCES seen ON DELETE {action});
                 INSERT INTO notes VALUES (1)"
            ));
            assert_eq!(
                sqlstate("SELECT message_store.promote('s')"),
                refused,
                "{action}"
            );
            if refused != "00000" {
                assert_eq!(sqlstate("SELECT message_store.rebuild('s')"), "55000");
                assert_eq!(sqlstate("SELECT message_store.verify('s')"), "00000");
            }
            assert_eq!(rows("SELECT about FROM notes"), ["1"]);
        }
        run(
            "DROP TABLE notes; CREATE TABLE notes (about bigint REFERENCES seen ON DELETE CASCADE)",
        );
        assert_eq!(sqlstate("SELECT message_store.rebuild('s')"), "0A000");
    }

    #[pg_test]
    fn exclusion_constraints_and_deferred_keys_hold_in_a_copy_too() {
        begin(
            "CREATE TABLE seen (at bigint PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, during int8range,
               CONSTRAINT alone EXCLUDE USING gist (during WITH &&))",
            "INSERT INTO seen VALUES (at, int8range(at, at + 1)) ON CONFLICT ON CONSTRAINT alone DO NOTHING",
            r#""seen""#,
        );
        assert_eq!(rows(VERIFY), [""; 0]);
        run("UPDATE seen SET during = int8range(at + 10, at + 11)");
        rebuild_beside();
        assert_eq!(
            rows("SELECT * FROM message_store.promote('s')"),
            ["app.seen 0 0 3"]
        );
        assert_eq!(
            rows("SELECT lower(during) FROM seen ORDER BY 1"),
            ["1", "2", "3"]
        );
    }
}
