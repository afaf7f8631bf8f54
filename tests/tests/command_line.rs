//! Promise: the orchestrator's commands do what they say, and a mistake is named with its place, by
//! an exit code of its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use promises::{
    Cluster, Database, Ended, HOME_PAGE, Running, orchestrator, run_to_end, wait_for_end,
};
use serde_json::{Value, json};

fn lines_of(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_written_is_read_back_to_the_digit() {
    let database = Cluster::shared().create_store().await;
    let id = "9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11";
    let data = r#"{"n": 12345678901234567890123, "s": "it's \"ä\""}"#;
    let write = [
        "write",
        "viewings-1",
        "VideoViewed",
        data,
        "--id",
        id,
        "--metadata",
        "{\"m\":1}",
    ];
    let written = lines_of(&database.command(&write));
    assert_eq!(
        written,
        [json!({"id": id, "stream": "viewings-1", "position": 0})]
    );
    lines_of(&database.command(&["write", "other-2", "T"]));
    lines_of(&database.command(&["write", "viewings-2", "VideoViewed"]));

    let stream = database.command(&["read", "viewings-1"]);
    assert!(
        stream.stdout.contains("12345678901234567890123"),
        "{stream:?}"
    );
    let messages = lines_of(&stream);
    let message = messages[0].as_object().unwrap();
    assert_eq!(
        (messages.len(), &message["type"]),
        (1, &json!("VideoViewed"))
    );
    assert_eq!(
        (&message["position"], &message["globalPosition"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (&message["data"]["s"], &message["metadata"]),
        (&json!("it's \"ä\""), &json!({"m": 1}))
    );

    let positions = |arguments: &[&str]| -> Vec<i64> {
        let messages = lines_of(&database.command(arguments));
        messages
            .iter()
            .map(|m| m["globalPosition"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(positions(&["read", "viewings"]), [1, 3]);
    assert_eq!(positions(&["read", "$all"]), [1, 2, 3]);
    assert_eq!(
        positions(&["read", "$all", "--position", "2", "--limit", "1"]),
        [2]
    );
    assert_eq!(positions(&["read", "viewings", "--position", "2"]), [3]);
    assert!(positions(&["read", "nothing"]).is_empty());
}

#[tokio::test]
async fn a_category_longer_than_a_batch_is_read_whole() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.write_viewings(2_500).await;
    assert_eq!(
        lines_of(&database.command(&["read", "viewings"])).len(),
        2_500
    );
    let limited = database.command(&["read", "$all", "--limit", "1500"]);
    assert_eq!(lines_of(&limited).len(), 1_500);
}

#[tokio::test]
async fn an_expected_version_is_met_or_refused() {
    let database = Cluster::shared().create_store().await;
    let write = |version: &str| {
        database.command(&["write", "account-1", "T", "--expected-version", version])
    };
    assert_eq!(write("-1").code, Some(0));
    assert_eq!(write("0").code, Some(0));
    let refused = write("0");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    let text = "Wrong expected version: 0 (Stream: account-1, Stream Version: 1)";
    assert!(refused.stderr.contains(text), "{refused:?}");
    assert_eq!(lines_of(&database.command(&["read", "account-1"])).len(), 2);
}

#[tokio::test]
async fn status_shows_where_each_subscription_is() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let running = database.deploy(HOME_PAGE).start();
    session.write_viewings(3).await;
    session.assert_videos_watched(3).await;
    running.stop();
    session.write_viewings(2).await;
    let status = lines_of(&database.command(&["status", "--json"])).remove(0);
    let row = &status[0];
    assert_eq!(row["subscriber_id"], "aggregators:home-page");
    assert_eq!(
        (&row["position"], &row["head"], &row["lag"]),
        (&json!(3), &json!(5), &json!(2))
    );
    let table = database.command(&["status"]);
    let rows: Vec<Vec<&str>> = table
        .stdout
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows[0][..3], ["subscriber_id", "member", "state"]);
    assert_eq!(rows[1][..3], ["aggregators:home-page", "0", "started"]);
    assert_eq!(rows[1].len(), rows[0].len(), "{table:?}");
}

#[tokio::test]
async fn a_bad_line_is_named_and_the_load_goes_on_after_its_repair() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("viewings.jsonl");
    let lines = |bad: &str| {
        (1..=1_500).fold(String::new(), |mut text, number| {
            if number == 1_234 {
                writeln!(text, "{bad}").unwrap();
            } else {
                writeln!(
                    text,
                    r#"{{"stream":"viewings-{number}","type":"VideoViewed"}}"#
                )
                .unwrap();
            }
            text
        })
    };
    let load = |skip: &str| {
        database.command(&[
            "write",
            "--from",
            file.to_str().unwrap(),
            "--skip-lines",
            skip,
        ])
    };
    // One that cannot be read, and one that the database refuses: it is there already.
    std::fs::write(&file, lines("{\"stream\": \"viewings-1\"}")).unwrap();
    let ended = load("0");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("line 1234"), "{ended:?}");
    assert!(
        ended.stderr.contains("lines 1 to 1233 are written"),
        "{ended:?}"
    );
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(session.bigint(count).await, 1_233);

    let first = "SELECT id::varchar FROM message_store.messages ORDER BY 1 LIMIT 1";
    let id = session.value(first).await.unwrap();
    let again = format!(r#"{{"stream":"viewings-1","type":"VideoViewed","id":"{id}"}}"#);
    std::fs::write(&file, lines(&again)).unwrap();
    let ended = load("1233");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("line 1234"), "{ended:?}");
    assert!(ended.stderr.contains("--skip-lines 1233"), "{ended:?}");
    assert_eq!(session.bigint(count).await, 1_233);

    std::fs::write(
        &file,
        lines(r#"{"stream":"viewings-1","type":"VideoViewed"}"#),
    )
    .unwrap();
    let ended = load("1233");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(session.bigint(count).await, 1_500);
}

#[tokio::test]
async fn an_address_nobody_answers_at_is_exit_code_4() {
    let missing = "postgresql://message_store@/store?host=/nonexistent";
    for arguments in [["status", "--json"], ["read", "viewings"]] {
        let ended = run_to_end(orchestrator().args(arguments).args(["--url", missing]));
        assert_eq!(ended.code, Some(4), "{ended:?}");
        assert!(ended.stderr.contains("/nonexistent"), "{ended:?}");
    }
    let database = Cluster::shared().create_database().await;
    let url = database
        .url("message_store")
        .replace(&database.name, "no_such_database");
    let ended = run_to_end(orchestrator().args(["status", "--url", &url]));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let folder = tempfile::tempdir().unwrap();
    let nothing = run_to_end(orchestrator().arg("status").current_dir(folder.path()));
    assert_eq!(nothing.code, Some(4), "{nothing:?}");
    assert!(nothing.stderr.contains("orchestrator up"), "{nothing:?}");
}

#[test]
fn a_bad_configuration_is_exit_code_3_with_the_key_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let one = "[[aggregators]]\nsubscriber_id='a'\ncategory='c'\nhandlers={X='f'}\n";
    for (text, named) in [
        ("[database]\npool_sizes = 4".to_owned(), "pool_sizes"),
        ("[database]\npool_size = 'many'".to_owned(), "pool_size"),
        (format!("{one}batch_size = 0"), "batch_size"),
        (format!("{one}{one}"), "subscriber_id"),
        (one.replace("'c'", "'c-1'"), "category"),
        (one.replace("category='c'\n", ""), "category"),
        (one.replace("category='c'\n", "stream='c'\n"), "stream"),
        (format!("{one}all = true"), "exactly one of category"),
        (format!("{one}on_failure = {{then = 'halt'}}"), "halt"),
        (one.to_owned(), "[database] url"),
        ("[web]\nlisten = 'here'".to_owned(), "listen"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let ended = run_to_end(orchestrator().args(["run", "--config"]).arg(&file));
        assert_eq!(ended.code, Some(3), "{text}\n{ended:?}");
        assert!(ended.stderr.contains(named), "{text}\n{ended:?}");
        assert!(ended.stderr.contains("config.toml"), "{text}\n{ended:?}");
    }
    let ended = run_to_end(orchestrator().args(["run", "--config", "/nonexistent.toml"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[tokio::test]
async fn a_configuration_is_checked_with_its_database_where_that_is_asked_for() {
    let database = Cluster::shared().create_store().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let check = |url: &str, more: &[&str]| {
        std::fs::write(&file, format!("[database]\nurl = '{url}'\n")).unwrap();
        let mut check = orchestrator();
        run_to_end(check.args(["config", "check"]).arg(&file).args(more))
    };
    let url = database.url("message_store");
    done(&check(&url, &["--connect"]), ": answers, message_store 0.");
    let nobody = "postgresql://anna:geheim@/store?host=/nonexistent";
    let unasked = check(nobody, &[]);
    done(&unasked, "/nonexistent");
    assert!(!unasked.stdout.contains("geheim"), "{unasked:?}");
    let asked = check(nobody, &["--connect"]);
    assert_eq!(asked.code, Some(4), "{asked:?}");
    assert!(!asked.stderr.contains("geheim"), "{asked:?}");
    let above = check(nobody, &["--connect", "--url", &url]);
    done(&above, ": answers, message_store 0.");

    // What `run` would refuse.
    std::fs::write(&file, "[dashboard]\nenabled = true\n").unwrap();
    let mut check = orchestrator();
    check.args(["config", "check"]).arg(&file);
    let refused = run_to_end(check.env("DATABASE_URL", &url));
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        refused.stderr.contains("[dashboard] url is missing"),
        "{refused:?}"
    );
    std::fs::write(&file, "").unwrap();
    let taken = run_to_end(&mut check);
    done(&taken, &database.name);
    let no_key = run_to_end(check.env("ORCHESTRATOR__DATABASE_POOL_SIZE", "9"));
    assert_eq!(no_key.code, Some(3), "{no_key:?}");
    assert!(no_key.stderr.contains("names no key"), "{no_key:?}");
}

/// Handlers that fail on a number they have seen. They name no schema, so that a rebuild can send
/// them to a copy of the table.
async fn store_with_recorder() -> (Database<'static>, promises::Session) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE TABLE public.recorded (n bigint PRIMARY KEY);
             GRANT ALL ON public.recorded TO message_store;
             CREATE FUNCTION public.record(message message_store.message) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO recorded VALUES ((message.data::jsonb ->> 'n')::bigint) $$;
             CREATE FUNCTION public.record_tenfold(message message_store.message) RETURNS void
               LANGUAGE sql AS
               $$ INSERT INTO recorded VALUES ((message.data::jsonb ->> 'n')::bigint * 10) $$",
        )
        .await
        .unwrap();
    (database, session)
}

async fn write_numbers(session: &promises::Session, numbers: &[&str]) {
    for number in numbers {
        let sql = format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'numbers-' || {number}, \
             'Number', '{{\"n\": {number}}}')"
        );
        session.run(&sql).await.unwrap();
    }
}

fn done(ended: &Ended, said: &str) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // What there is nothing of is said beside the output that a program reads.
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(all.contains(said), "{ended:?}");
}

const RECORDER: [&str; 8] = [
    "subscriptions",
    "create",
    "aggregators:recorder",
    "numbers",
    "--handlers",
    r#"{"Number": "public.record"}"#,
    "--options",
    r#"{"read_model": ["public.recorded"]}"#,
];

#[tokio::test]
async fn a_subscription_is_declared_steered_and_dropped() {
    let (database, session) = store_with_recorder().await;
    let say = |verb: &[&str]| {
        let words = [&["subscriptions"], verb].concat();
        database.command(&words)
    };
    let id = "aggregators:recorder";
    done(&database.command(&RECORDER), "is declared");
    done(&database.command(&RECORDER), "is as it was");
    let state = || async {
        session
            .value("SELECT state FROM message_store.subscriptions")
            .await
    };
    assert_eq!(state().await.as_deref(), Some("created"));
    done(&say(&["start", id]), "is started");
    assert_eq!(state().await.as_deref(), Some("started"));
    done(&say(&["pause", id, "--reason", "lunch"]), "is paused");
    done(&say(&["show", id]), "lunch");
    done(&say(&["stop", id]), "is stopped");
    assert_eq!(state().await.as_deref(), Some("stopped"));
    done(
        &say(&["alter", id, "--options", r#"{"batch_size": 7}"#]),
        "is altered",
    );
    done(&say(&["start", id]), "is started");

    write_numbers(&session, &["1", "2", "3"]).await;
    let tick = format!("SELECT position FROM message_store.tick('{id}')");
    assert_eq!(session.bigint(&tick).await, 3);
    done(
        &say(&["reset", id, "1", "--reason", "tried"]),
        "goes on after 1",
    );
    done(
        &say(&["skip", id, "3", "--reason", "took it back"]),
        "goes on after 3",
    );
    let shown = lines_of(&say(&["show", id, "--json", "--history", "1"])).remove(0);
    assert_eq!(shown["status"][0]["position"], 3, "{shown}");
    assert_eq!(shown["history"][0]["reason"], "took it back", "{shown}");
    let listed = lines_of(&say(&["list", "--json"])).remove(0);
    assert_eq!(listed[0]["subscriber_id"], id);
    done(&say(&["list"]), id);
    done(&say(&["resize", id, "2"]), "has 2 members");

    done(&say(&["drop", id]), "is dropped");
    for verb in [&["drop", id][..], &["show", id], &["start", id]] {
        let missing = say(verb);
        assert_eq!(missing.code, Some(1), "{missing:?}");
        assert!(missing.stderr.contains(id), "{missing:?}");
    }
}

#[tokio::test]
async fn a_read_model_is_verified_tried_and_rebuilt() {
    let (database, session) = store_with_recorder().await;
    let id = "aggregators:recorder";
    let say = |verb: &[&str]| {
        let words = [&["subscriptions"], verb].concat();
        database.command(&words)
    };
    done(&database.command(&RECORDER), "is declared");
    done(&say(&["start", id]), "is started");
    write_numbers(&session, &["1", "2"]).await;
    session
        .run(&format!("SELECT message_store.tick('{id}')"))
        .await
        .unwrap();
    done(&say(&["verify", id]), "is what its messages make of it");
    session
        .run("UPDATE public.recorded SET n = 5 WHERE n = 2")
        .await
        .unwrap();
    let differs = say(&["verify", id, "--json"]);
    assert_eq!(differs.code, Some(1), "{differs:?}");
    assert!(differs.stderr.contains("2 rows differ"), "{differs:?}");
    let rows: Value = serde_json::from_str(&differs.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");

    write_numbers(&session, &["3"]).await;
    let handlers = r#"{"Number": "public.record_tenfold"}"#;
    let tried = say(&["dry-run", id, "--handlers", handlers, "--json"]);
    let rows = lines_of(&tried).remove(0);
    assert_eq!(rows[0]["after"]["messages"], 1, "{rows}");
    assert_eq!(rows[1]["after"]["n"], 30, "{rows}");
    session
        .run(
            "CREATE FUNCTION public.record_small(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$ BEGIN
               IF ((message).data::jsonb->>'n')::int > 3 THEN RAISE EXCEPTION 'too large'; END IF;
               PERFORM public.record_tenfold(message);
             END $$",
        )
        .await
        .unwrap();
    write_numbers(&session, &["4"]).await;
    let choosy = r#"{"Number": "public.record_small"}"#;
    let fails = say(&["dry-run", id, "--handlers", choosy]);
    assert_eq!(fails.code, Some(1), "{fails:?}");
    for (text, part) in [
        (&fails.stderr, "of 2 messages"),
        (&fails.stderr, "1 would succeed and 1 would fail"),
        (&fails.stdout, "too large"),
        (&fails.stdout, "added"),
    ] {
        assert!(text.contains(part), "no {part}: {fails:?}");
    }
    let count = "SELECT count(*) FROM public.recorded";
    assert_eq!(session.bigint(count).await, 2);

    let running = database.deploy("").start();
    done(&say(&["rebuild", id]), "is rebuilt");
    session
        .wait_until("SELECT array_agg(n ORDER BY n) = '{1,2,3,4}' FROM public.recorded")
        .await;
    let alter = ["alter", id, "--handlers", handlers];
    done(&say(&alter), "is altered");
    done(
        &say(&["rebuild", id, "--side-by-side"]),
        "beside the live read model",
    );
    session
        .wait_until(
            "SELECT coalesce((SELECT lag = 0 FROM message_store.subscription_status \
             WHERE subscriber_id = 'aggregators:recorder#rebuild'), false)",
        )
        .await;
    done(&say(&["promote", id]), "has the rebuilt read model");
    let numbers = "SELECT array_agg(n ORDER BY n)::text FROM public.recorded";
    assert_eq!(
        session.value(numbers).await.as_deref(),
        Some("{10,20,30,40}")
    );
    let none = say(&["cancel-rebuild", id]);
    assert_eq!(none.code, Some(1), "{none:?}");
    done(&say(&["verify", id]), "is what its messages make of it");
    running.stop();
}

#[tokio::test]
async fn parked_messages_are_listed_retried_and_discarded() {
    let (database, session) = store_with_recorder().await;
    let id = "aggregators:recorder";
    let options = r#"{"on_failure": "park", "retries": 0}"#;
    let parks = [&RECORDER[..7], &[options]].concat();
    done(&database.command(&parks), "is declared");
    done(
        &database.command(&["subscriptions", "start", id]),
        "is started",
    );
    session
        .run("INSERT INTO public.recorded VALUES (1), (2)")
        .await
        .unwrap();
    let running = database.deploy("").start();
    write_numbers(&session, &["1", "2", "3"]).await;
    session
        .wait_until("SELECT count(*) = 3 FROM public.recorded")
        .await;
    let parked = lines_of(&database.command(&["parked", "list", id, "--json"])).remove(0);
    assert_eq!(parked.as_array().unwrap().len(), 2, "{parked}");
    assert_eq!(parked[0]["sqlstate"], "23505", "{parked}");
    done(&database.command(&["parked", "list"]), "numbers-2");
    done(&database.command(&["parked", "show", id, "1"]), "\"n\": 1");
    let shown = lines_of(&database.command(&["parked", "show", id, "1", "--json"])).remove(0);
    assert_eq!(shown["message"]["data"], json!({"n": 1}), "{shown}");
    assert_eq!(shown["parked"]["sqlstate"], "23505", "{shown}");
    let none = database.command(&["parked", "show", id, "3"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.stderr.contains("parked list"), "{none:?}");

    session
        .run("DELETE FROM public.recorded WHERE n = 1")
        .await
        .unwrap();
    let retry = [
        "parked",
        "retry",
        id,
        "--stream",
        "numbers-1",
        "--sqlstate",
        "23505",
    ];
    done(&database.command(&retry), "1 message will be handled again");
    session
        .wait_until("SELECT EXISTS (SELECT FROM public.recorded WHERE n = 1)")
        .await;
    let discard = [
        "parked",
        "discard",
        id,
        "--position",
        "2",
        "--reason",
        "there already",
    ];
    done(&database.command(&discard), "1 message given up");
    let nothing = ["parked", "retry", id];
    done(
        &database.command(&nothing),
        "0 messages will be handled again",
    );
    running.stop();
}

#[tokio::test]
async fn a_watched_status_is_printed_again_until_ctrl_c() {
    let (database, _session) = store_with_recorder().await;
    let url = database.url("message_store");
    let mut watch = orchestrator();
    watch.args(["status", "--watch=1", "--json", "--url", &url]);
    let mut watch = Running::start(&mut watch);
    watch.wait_for_print("[]");
    done(&database.command(&RECORDER), "is declared");
    let line = watch.wait_for_print("aggregators:recorder");
    assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.wait_for_exit().code(), Some(0), "{}", watch.log());
    assert!(
        !watch.printed().contains('\x1b'),
        "a pipe gets plain lines: {}",
        watch.printed()
    );
}

#[tokio::test]
async fn a_command_ends_when_nobody_reads_what_it_prints() {
    const PATIENCE: Duration = Duration::from_secs(30);
    let (database, session) = store_with_recorder().await;
    done(&database.command(&RECORDER), "is declared");
    session.write_viewings(3).await;
    let url = database.url("message_store");
    // What it found is told by the exit code all the same: these clusters do not fsync.
    for (command, code) in [
        (&["status", "--watch=1"][..], 0),
        (&["status", "--watch=1", "--json"], 0),
        (&["tail", "viewings", "--follow"], 0),
        (&["subscriptions", "show", "aggregators:recorder"], 0),
        (&["read", "viewings"], 0),
        (&["export", "viewings"], 0),
        (&["doctor"], 6),
        (&["doctor", "--json"], 6),
    ] {
        let mut writer = orchestrator();
        writer.args(command).args(["--url", &url]);
        let mut child = writer.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        // What a reader left may only be noticed with the next thing that is printed.
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            session.write_viewings(1).await;
            assert!(started.elapsed() < PATIENCE, "{command:?} does not end");
        };
        assert_eq!(status.code(), Some(code), "{command:?}");
    }
}

fn assert_ends(child: &mut Child, what: &str, code: i32) {
    let status = wait_for_end(child);
    assert_eq!(status.code(), Some(code), "{what}");
}

#[tokio::test]
async fn what_waits_ends_when_its_reader_leaves_though_there_is_nothing_to_print() {
    let (database, session) = store_with_recorder().await;
    done(&database.command(&RECORDER), "is declared");
    session.write_viewings(1).await;
    let url = database.url("message_store");
    for words in [
        "tail viewings --follow",
        "status --watch=86400",
        "status --watch=86400 --json",
    ] {
        let mut writer = orchestrator();
        writer.args(words.split(' ')).args(["--url", &url]);
        let mut child = writer.stdout(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(
            child.try_wait().unwrap().is_none(),
            "{words} ends by itself: {line}"
        );
        drop(reader);
        assert_ends(&mut child, words, 0);
    }
}

#[tokio::test]
async fn nobody_who_reads_errors_is_no_error() {
    let (database, session) = store_with_recorder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("messages.jsonl");
    std::fs::write(&file, "{\"stream\": \"a-1\", \"type\": \"T\"}\n{}\n").unwrap();
    let import = format!("import {} --keep-going", file.display());
    let url = database.url("message_store");
    for (words, code) in [
        ("status", 0),
        ("export a", 0),
        (import.as_str(), 5),
        ("subscriptions show nobody", 1),
        ("doctor", 6),
        ("status --nonsense", 2),
    ] {
        let mut command = orchestrator();
        command.args(words.split(' ')).args(["--url", &url]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stderr.take());
        assert_ends(&mut child, words, code);
    }

    // Not even for what runs on and on.
    let deployment = database.deploy(HOME_PAGE);
    let mut run = deployment.run();
    let mut child = run
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    session.write_viewings(2).await;
    session.assert_videos_watched(2).await;
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_ends(&mut child, "run", 0);
}

#[tokio::test]
async fn a_subscription_that_is_not_there_is_answered_with_the_nearest() {
    let (database, _session) = store_with_recorder().await;
    done(&database.command(&RECORDER), "is declared");
    for words in [
        "subscriptions show ID",
        "subscriptions start ID",
        "subscriptions stop ID",
        "subscriptions pause ID",
        "subscriptions alter ID --options {}",
        "subscriptions rebuild ID",
        "subscriptions promote ID",
        "subscriptions cancel-rebuild ID",
        "subscriptions resize ID 2",
        "subscriptions reset ID 0 --reason why",
        "subscriptions skip ID 0 --reason why",
        "subscriptions verify ID",
        "subscriptions dry-run ID",
        "subscriptions drop ID",
        "parked list ID",
        "parked show ID 1",
        "parked retry ID",
        "parked discard ID --reason why",
    ] {
        let words: Vec<_> = words.split(' ').collect();
        for id in ["aggregators:recodrer", "recorder"] {
            let words: Vec<_> = words.iter().map(|word| word.replace("ID", id)).collect();
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let ended = database.command(&words);
            assert_eq!(ended.code, Some(1), "{words:?}: {ended:?}");
            let proposal = format!(
                "orchestrator: there is no subscription {id} that this role may see; did you mean \
                 aggregators:recorder? (`orchestrator subscriptions list` has them all)\n"
            );
            assert_eq!(ended.stderr, proposal, "{words:?}");
        }
    }
}

#[tokio::test]
async fn on_a_terminal_people_are_asked_before_something_is_gone() {
    let (database, session) = store_with_recorder().await;
    let id = "aggregators:recorder";
    let parks = [&RECORDER[..7], &[r#"{"on_failure": "park", "retries": 0}"#]].concat();
    done(&database.command(&parks), "is declared");
    done(
        &database.command(&["subscriptions", "start", id]),
        "is started",
    );
    session
        .run("INSERT INTO public.recorded VALUES (1)")
        .await
        .unwrap();
    write_numbers(&session, &["1"]).await;
    let parked = "SELECT count(*) FROM message_store.parked_messages WHERE status = 'failed'";
    session
        .run(&format!("SELECT message_store.tick('{id}')"))
        .await
        .unwrap();
    assert_eq!(session.bigint(parked).await, 1);

    let on_a_terminal = |words: &str, answer: &str| {
        let command = format!(
            "{} {words} --url '{}'",
            promises::orchestrator_program().display(),
            database.url("message_store")
        );
        // `script` gives a program a terminal, and ends as it did.
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        promises::ask(&mut script, answer)
    };
    let discard = format!("parked discard {id} --reason why");
    let (went_on, said) = on_a_terminal(&discard, "n\n");
    assert!(
        !went_on && said.contains("1 message to be given up"),
        "{said}"
    );
    assert_eq!(session.bigint(parked).await, 1);
    let (went_on, said) = on_a_terminal(&discard, "y\n");
    assert!(went_on && said.contains("1 message given up"), "{said}");
    assert_eq!(session.bigint(parked).await, 0);

    let subscriptions = "SELECT count(*) FROM message_store.subscriptions";
    for verb in [
        "drop ID",
        "rebuild ID",
        "reset ID 0 --reason why",
        "skip ID 1 --reason why",
    ] {
        let verb = format!("subscriptions {}", verb.replace("ID", id));
        let (went_on, said) = on_a_terminal(&verb, "\n");
        assert!(!went_on && said.contains("Go on? [y/N]"), "{verb}: {said}");
    }
    let drawn = on_a_terminal("status", "").1;
    assert!(drawn.contains(id) && !drawn.contains('\t'), "{drawn}");
    let drop = format!("subscriptions drop {id} --yes");
    let (went_on, said) = on_a_terminal(&drop, "");
    assert!(went_on && !said.contains("Go on?"), "{said}");
    assert_eq!(session.bigint(subscriptions).await, 0);
}

#[test]
fn every_shell_and_the_manual_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run_to_end(orchestrator().args(["completions", shell]));
        for word in ["subscriptions", "cancel-rebuild", "--side-by-side"] {
            // fish leaves the dashes of an option out.
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.stdout.contains(word), "{shell} lacks {word}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let manual = run_to_end(orchestrator().arg("man").arg(folder.path()));
    assert_eq!(manual.code, Some(0), "{manual:?}");
    for page in [
        "orchestrator",
        "orchestrator-subscriptions-rebuild",
        "orchestrator-doctor",
    ] {
        let text = std::fs::read_to_string(folder.path().join(format!("{page}.1"))).unwrap();
        assert!(
            text.contains(".SH SYNOPSIS") && text.contains("Exit codes"),
            "{page}"
        );
    }
}

#[test]
fn a_missing_reason_is_wrong_usage() {
    for words in [
        "subscriptions skip a 7",
        "subscriptions reset a 7",
        "parked discard a",
        "subscriptions alter a",
    ] {
        let ended = run_to_end(orchestrator().args(words.split(' ')));
        assert_eq!(ended.code, Some(2), "{words}: {ended:?}");
    }
}
