//! Promise: what the orchestrator logs names the subscription it is about, is JSON line by line
//! where that is asked for, and never holds a password.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::process::Command;

use promises::{Cluster, Database, Deployment, Session, StopMode, run_to_end};
use serde_json::Value;

const PASSWORD: &str = "not-for-the-log";

const HANDLERS: &str = "
    CREATE FUNCTION public.fine(at bigint) RETURNS void LANGUAGE sql AS $$ SELECT $$;
    CREATE FUNCTION public.broken(at bigint) RETURNS void LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'P4711', DETAIL = 'a part', CONSTRAINT = 'c'; END $$";

const SUBSCRIPTIONS: &str = r#"
[[services]]
subscriber_id = "fine"
category = "jobs"
handlers = { Job = "public.fine" }
[[services]]
subscriber_id = "unknown"
category = "jobs"
handlers = { Job = "public.not_there" }
[[services]]
subscriber_id = "retrying"
category = "jobs"
handlers = { Job = "public.broken" }
on_failure = { retries = 100, retry_delay_ms = 60000, retry_max_delay_ms = 60000 }
[[services]]
subscriber_id = "parking"
category = "jobs"
handlers = { Job = "public.broken" }
on_failure = { then = "park", retries = 0 }
[[services]]
subscriber_id = "stopping"
category = "jobs"
handlers = { Job = "public.broken" }
on_failure = { then = "stop", retries = 0 }
"#;

async fn deploy<'a>(cluster: &'a Cluster, log: &str) -> (Database<'a>, Session, Deployment) {
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    // The server asks for the password in plain, so that it passes through the whole driver.
    let file = cluster.data_dir().join("pg_hba.conf");
    let trusted = std::fs::read_to_string(&file).unwrap();
    let asked = format!("local all message_store password\n{trusted}");
    std::fs::write(&file, asked).unwrap();
    session
        .run(&format!("ALTER ROLE message_store PASSWORD '{PASSWORD}'"))
        .await
        .unwrap();
    session.run("SELECT pg_reload_conf()").await.unwrap();
    let with_password = format!("message_store:{PASSWORD}@");
    let url = database.url("message_store");
    let url = url.replace("message_store@", &with_password);
    assert!(url.contains(PASSWORD));
    let mut deployment = database.deploy(&format!(
        "[log]\n{log}\n[dashboard]\nenabled = true\nlisten = '127.0.0.1:0'\nurl = '{url}'\n\
         viewer_url = '{url}'\n{SUBSCRIPTIONS}"
    ));
    deployment.url = url;
    (database, session, deployment)
}

/// Everything that happens to these subscriptions, and to their database.
async fn let_it_happen(cluster: &Cluster, session: Session, running: &promises::Running) {
    let write =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'jobs-1', 'Job', '{}')";
    session.run(write).await.unwrap();
    for happened in [
        "will try again: broken",
        "stopped by a failure",
        "were parked",
    ] {
        running.wait_for_log(happened);
    }
    running.wait_for_log("not started, will try again");
    session
        .run("SELECT message_store.pause('fine')")
        .await
        .unwrap();
    // That of the one that was stopped, too.
    running.wait_for_logs("no longer delivering", 2);
    drop(session);
    cluster.stop(StopMode::Fast);
    running.wait_for_log("will try again until it works");
    cluster.start_again();
    running.wait_for_logs("connected to", 2);
}

#[tokio::test]
async fn every_line_is_json_and_names_its_subscription() {
    let cluster = Cluster::start(&[]);
    let (_database, session, deployment) = deploy(&cluster, "format = \"json\"").await;
    let running = deployment.start();
    let_it_happen(&cluster, session, &running).await;
    let log = running.log();
    running.stop();
    let said = cluster.log();
    let line = "subscription \"parking\" parked the message at global position 1 (type Job, stream \
                jobs-1): broken (P4711)";
    assert!(said.contains(line), "{said}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for key in ["timestamp", "level", "message", "target"] {
            assert!(line[key].is_string(), "{key} of {line}");
        }
    }
    let find = |level: &str, subscriber_id: &str, message: &str| {
        let found = lines.iter().find(|line| {
            line["level"] == level
                && line["subscriber_id"] == subscriber_id
                && line["message"].as_str().unwrap().contains(message)
        });
        found.unwrap_or_else(|| panic!("no {level} {subscriber_id} {message:?} in\n{log}"))
    };
    find("INFO", "fine", "delivering");
    find("INFO", "fine", "no longer delivering");
    find("WARN", "unknown", "not started");
    assert_eq!(find("WARN", "parking", "were parked")["parked"], 1);
    let parked = find("WARN", "parking", "message was parked: broken");
    for (key, value) in [
        ("type", "Job"),
        ("stream_name", "jobs-1"),
        ("sqlstate", "P4711"),
    ] {
        assert_eq!(parked[key], value);
    }
    assert_eq!(parked["position"], 1);
    let details = parked["details"].as_str().unwrap();
    assert!(
        details.starts_with("detail: a part; constraint: c; context: PL/pgSQL"),
        "{details}"
    );
    let retrying = find("WARN", "retrying", "will try again: broken");
    assert_eq!(retrying["sqlstate"], "P4711");
    assert_eq!(retrying["position"], 0);
    assert!(retrying["retry_at"].is_string(), "{retrying}");
    assert_eq!(find("ERROR", "stopping", "stopped")["sqlstate"], "P4711");
    assert!(!log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn no_format_and_no_level_shows_a_password() {
    for (format, level) in [("human", "trace"), ("json", "trace"), ("human", "info")] {
        let cluster = Cluster::start(&[]);
        let (_database, session, deployment) =
            deploy(&cluster, &format!("format = \"{format}\"")).await;
        let running = promises::Running::start(deployment.run().env("RUST_LOG", level));
        running.home_page();
        let_it_happen(&cluster, session, &running).await;
        let pages = [
            "",
            "/subscriptions",
            "/subscription?id=retrying",
            "/nothing",
        ];
        for page in pages {
            let (_, text) = promises::get(&format!("{}/admin{page}", running.dashboard()));
            assert!(!text.contains(PASSWORD), "{page}: {text}");
        }
        let log = running.log();
        running.stop();
        assert!(log.lines().count() > 10, "{log}");
        assert!(!log.contains(PASSWORD), "{format} at {level}");
    }
}

#[tokio::test]
async fn the_last_line_of_a_failure_is_json_too() {
    let cluster = Cluster::start(&[]);
    let (_database, _session, deployment) = deploy(&cluster, "format = \"json\"").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run_to_end(deployment.run().args(["--listen", &address]));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let line: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(
        line["message"].as_str().unwrap().contains(&address),
        "{line}"
    );
}

#[tokio::test]
async fn a_filter_that_cannot_be_used_is_said_and_left_out() {
    let cluster = Cluster::start(&[]);
    let (_database, _session, deployment) = deploy(&cluster, "format = \"human\"").await;
    let running = promises::Running::start(deployment.run().env("RUST_LOG", "info,a=b=c"));
    running.wait_for_log("RUST_LOG cannot be used");
    running.wait_for_log("connected to");
    running.stop();
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // A warning at the start, then the end.
    let run = format!(
        "{} run --config {} --url postgresql:///store?host=/nonexistent --listen {}",
        promises::orchestrator_program().display(),
        file.display(),
        taken.local_addr().unwrap()
    );
    let is_coloured = |no_color: &str| {
        let mut script = Command::new("script");
        script.args(["--quiet", "--command", &run, "/dev/null"]);
        script
            .env("RUST_LOG", "info,a=b=c")
            .env("NO_COLOR", no_color);
        let (_, said) = promises::ask(&mut script, "");
        assert!(said.contains("RUST_LOG cannot be used"), "{said}");
        said.contains('\x1b')
    };
    assert!(is_coloured(""));
    assert!(!is_coloured("1"));
}
