//! The user's own columns, constraints and triggers on the table of messages.

use super::{LOG, element, store, write};

#[tokio::test]
async fn triggers_columns_and_constraints_of_the_user_see_every_row() {
    let (_database, session) = store().await;
    session
        .run(
            "ALTER TABLE message_store.messages
               ADD size integer GENERATED ALWAYS AS (length(data::text)) STORED,
               ADD note text DEFAULT 'none',
               ADD CONSTRAINT not_forbidden CHECK (type <> 'Forbidden');
             CREATE TABLE seen (what text, count bigint);
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
               IF TG_LEVEL = 'ROW' THEN
                 INSERT INTO seen VALUES (TG_WHEN || ' ' || NEW.type, NEW.position);
                 RETURN NEW;
               END IF;
               INSERT INTO seen SELECT 'STATEMENT', count(*) FROM new_rows;
               RETURN NULL;
             END $$;
             CREATE TRIGGER after_row AFTER INSERT ON message_store.messages
               FOR EACH ROW EXECUTE FUNCTION see();
             CREATE TRIGGER after_statement AFTER INSERT ON message_store.messages
               REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION see();",
        )
        .await
        .unwrap();
    let batch = [
        element("thing-2", "A", None, None),
        element("thing-1", "B", None, None),
    ];
    let one_by_one = "CREATE TRIGGER before_row BEFORE INSERT ON message_store.messages
                      FOR EACH ROW EXECUTE FUNCTION see()";
    let mut expected = vec!["AFTER A 0", "AFTER B 0", "STATEMENT 2"];
    for prepare in ["SELECT 1", one_by_one] {
        session
            .run("TRUNCATE message_store.messages, seen")
            .await
            .unwrap();
        session.run(prepare).await.unwrap();
        session.run(&write(&batch, "error")).await.unwrap();
        let seen = session
            .run("SELECT what || ' ' || count FROM seen ORDER BY 1")
            .await
            .unwrap();
        let seen: Vec<String> = seen.into_iter().flatten().flatten().collect();
        assert_eq!(seen, expected);
        expected = vec![
            "AFTER A 0",
            "AFTER B 0",
            "BEFORE A 0",
            "BEFORE B 0",
            "STATEMENT 2",
        ];
        let computed =
            "SELECT count(*) FROM message_store.messages WHERE size = 2 AND note = 'none'";
        assert_eq!(session.bigint(computed).await, 2);
    }
    let forbidden = [
        batch[0].clone(),
        element("thing-1", "Forbidden", None, None),
    ];
    let error = session.error(&write(&forbidden, "error")).await;
    assert_eq!(error.sqlstate, "23514", "{error:?}");
}

#[tokio::test]
async fn a_trigger_that_moves_or_drops_a_message_is_an_error() {
    let (_database, session) = store().await;
    for (action, text) in [
        ("NEW.stream_name := 'other-1'; RETURN NEW", "stream_name"),
        ("NEW.position := 7; RETURN NEW", "position"),
        ("RETURN NULL", "kept the message"),
    ] {
        session
            .run(&format!(
                "CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN {action}; END $$;
                 CREATE OR REPLACE TRIGGER meddle BEFORE INSERT ON message_store.messages
                   FOR EACH ROW WHEN (NEW.type = 'B') EXECUTE FUNCTION meddle()"
            ))
            .await
            .unwrap();
        let batch = [
            element("thing-1", "A", None, None),
            element("thing-1", "B", None, None),
        ];
        let error = session.error(&write(&batch, "error")).await;
        assert_eq!(error.sqlstate, "39P01", "{error:?}");
        assert!(error.message.contains(text), "{error:?}");
    }
    assert!(session.run(LOG).await.unwrap().is_empty());
}
