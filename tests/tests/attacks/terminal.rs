//! What somebody wrote into a name, a message or an error is shown by logs and terminals, not obeyed.

use promises::{Cluster, literal};

/// Would forge a line, colour a terminal, and turn round what is shown.
const HOSTILE: &str = "a\n2026-01-01T00:00:00Z  INFO forged\u{1b}[31m\u{9b}32m\u{202e}z";

fn require_plain(text: &str, of: &str) {
    for sign in ['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}'] {
        assert!(!text.contains(sign), "{of} holds {sign:?}: {text:?}");
    }
    let forged = text
        .lines()
        .any(|line| line.starts_with("2026-01-01T00:00:00Z"));
    assert!(!forged, "{of} holds a forged line: {text:?}");
}

#[tokio::test]
async fn names_messages_and_errors_are_shown_and_not_obeyed() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let id = literal(Some(HOSTILE));
    session
        .run(&format!(
            "CREATE FUNCTION public.fails(bigint) RETURNS void LANGUAGE plpgsql AS $$
               BEGIN RAISE EXCEPTION '%', {id}; END $$;
             SET ROLE message_store;
             SELECT message_store.create_subscription({id}, 'a', '{{\"$any\": \"public.fails\"}}',
               '{{\"on_failure\": \"park\", \"retries\": 0}}');
             SELECT message_store.create_subscription('stops', 'a', '{{\"$any\": \"public.fails\"}}',
               '{{\"retries\": 0}}');
             SELECT message_store.start({id}), message_store.start('stops');
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', {id},
               to_jsonb({id}::text));
             RESET ROLE"
        ))
        .await
        .unwrap();
    for format in ["human", "json"] {
        // The reason why one is not started names it.
        let declared = serde_json::to_string(&format!("{HOSTILE}!")).unwrap();
        let running = database
            .deploy(&format!(
                "[log]\nformat = \"{format}\"\n[[services]]\nsubscriber_id = {declared}\n\
                 category = \"a\"\nhandlers = {{ X = \"public.none\" }}\n"
            ))
            .start();
        running.wait_for_log("not started");
        running.wait_for_log("forged");
        session
            .wait_until("SELECT count(*) > 0 FROM message_store.parked_messages")
            .await;
        let logged = running.log();
        running.stop();
        require_plain(&logged, &format!("the log for {format}"));
        session
            .run(&format!(
                "SELECT message_store.reset({id}, 0, 'again'), message_store.start({id}), \
                 message_store.start('stops')"
            ))
            .await
            .unwrap();
    }
    session
        .run(&format!("SELECT message_store.tick({id})"))
        .await
        .unwrap();
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["subscriptions", "list"],
        &["subscriptions", "show", HOSTILE],
        &["parked", "list", HOSTILE],
        &["parked", "show", HOSTILE, "1"],
        &["read", "a"],
        &["tail", "a"],
        &["doctor"],
        &["subscriptions", "show", "no\u{1b}[31m\u{202e}such"],
        &["read", "a\u{202e}-1", "--position", "x"],
    ] {
        let ended = database.command(command);
        require_plain(&ended.stdout, &format!("what {command:?} prints"));
        require_plain(&ended.stderr, &format!("what {command:?} says"));
    }
}
