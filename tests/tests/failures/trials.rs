//! Messages that are only tried: which would fail, and why.

use promises::Cluster;
use serde_json::{Value, json};

use crate::subscriber::{create_with, texts, tick, write};

const COUNTED: &str = "
    CREATE TABLE public.counted (position bigint PRIMARY KEY);
    GRANT ALL ON public.counted TO message_store;
    CREATE FUNCTION public.picky(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF (message).type = 'Bad' THEN
        RAISE 'bad message' USING ERRCODE = 'ZZ001', DETAIL = 'of ' || (message).stream_name;
      END IF;
      IF (message).type = 'Busy' THEN RAISE 'later' USING ERRCODE = '40001'; END IF;
      INSERT INTO counted VALUES ((message).global_position);
    END $$";

const TRIED: &str = "
    SELECT read_model, difference, coalesce(after->>'global_position', after->>'messages',
        after->>'position'), after->>'stream_name', after->>'type', after->>'sqlstate',
      after->>'error', after->'error_details'->>'detail'
    FROM message_store.dry_run('s', past_failures => true";

fn options(on_failure: &str) -> String {
    let mut options: Value = serde_json::from_str(on_failure).unwrap();
    options["read_model"] = json!(["public.counted"]);
    options.to_string()
}

#[tokio::test]
async fn a_trial_goes_on_behind_what_fails_whatever_the_subscription_would_do() {
    for on_failure in [
        r#"{"on_failure": "stop"}"#,
        r#"{"on_failure": "park", "retries": 3}"#,
    ] {
        let database = Cluster::shared().create_store().await;
        let session = database.connect().await;
        session.run(COUNTED).await.unwrap();
        let handlers = r#"{"$any": "public.picky"}"#;
        create_with(&session, "s", "a", handlers, &options(on_failure)).await;
        for (stream, message_type) in [
            ("a-1", "Good"),
            ("a-1", "Bad"),
            ("a-2", "Busy"),
            ("a-1", "Good"),
            ("a-3", "Good"),
        ] {
            write(&session, stream, message_type).await;
        }
        assert_eq!(
            texts(&session, &format!("{TRIED})")).await,
            [
                "- failed 2 a-1 Bad ZZ001 bad message of a-1",
                "- failed 3 a-2 Busy 40001 later -",
                "- waiting 4 a-1 Good - - -",
                "- handled 2 - - - - -",
                "public.counted added 1 - - - - -",
                "public.counted added 5 - - - - -",
            ]
        );
        let left = "SELECT (SELECT count(*) FROM message_store.parked_messages), \
                      s.position, s.last_error, (SELECT count(*) FROM public.counted) \
                    FROM message_store.subscription_status s";
        assert_eq!(texts(&session, left).await, ["0 0 - 0"], "{on_failure}");
        let of_first = format!("{TRIED}, n => 1)");
        assert_eq!(
            texts(&session, &of_first).await,
            ["- handled 1 - - - - -", "public.counted added 1 - - - - -"]
        );
        let stops = session.error("SELECT message_store.dry_run('s')").await;
        assert_eq!(stops.sqlstate, "38000", "{stops:?}");
    }
}

#[tokio::test]
async fn a_trial_of_parked_messages_counts_only_those_it_was_asked_for() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(COUNTED).await.unwrap();
    let options = options(r#"{"on_failure": "park", "retries": 0, "park": "message"}"#);
    create_with(&session, "s", "a", r#"{"$any": "public.picky"}"#, &options).await;
    for (stream, message_type) in [
        ("a-1", "Bad"),
        ("a-1", "Bad"),
        ("a-2", "Bad"),
        ("a-3", "Good"),
    ] {
        write(&session, stream, message_type).await;
    }
    tick(&session, "s", 100).await;
    session
        .run(
            "CREATE OR REPLACE FUNCTION public.picky(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               IF (message).stream_name = 'a-1' THEN RAISE 'still bad'; END IF;
               INSERT INTO counted VALUES ((message).global_position);
             END $$",
        )
        .await
        .unwrap();
    assert_eq!(
        texts(&session, &format!("{TRIED}, parked => true)")).await,
        [
            "- failed 1 a-1 Bad P0001 still bad -",
            "- waiting 2 a-1 Bad ZZ001 bad message of a-1",
            "- handled 1 - - - - -",
            "public.counted added 3 - - - - -",
        ]
    );
    for (among, rows) in [
        (
            "'{3}'",
            &["- handled 1 - - - - -", "public.counted added 3 - - - - -"][..],
        ),
        ("'{}'", &["- handled 0 - - - - -"]),
        ("'{4,99,NULL}'", &["- handled 0 - - - - -"]),
    ] {
        let tried = format!("{TRIED}, global_positions => {among})");
        assert_eq!(texts(&session, &tried).await, rows, "{among}");
    }
}
