//! What a stranger can do to the pages: keep others out, make a page dear, make one fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use promises::{Cluster, Database, HOME_PAGE, METRICS, Running, Session, get, literal};

/// More than a listener takes of one address.
const HALF_SENT: usize = 200;
/// How long an answer may take while others keep still: less than they are given.
const ANSWER: Duration = Duration::from_secs(8);
/// How long an event may be waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a page may hold, whatever a message does.
const PAGE: usize = 2 << 20;

/// What a session of the server may take for a page, its part of the shared memory included.
const BACKEND_KB: u64 = 300_000;

async fn served() -> (Database<'static>, Session, Running) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.install_home_page().await;
    session
        .run("SELECT message_store.ensure_home_page(), message_store.ensure_most_watched()")
        .await
        .unwrap();
    let deployment = database.deploy_with_dashboard(METRICS).await;
    let running = deployment.start();
    (database, session, running)
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://").split('/').next().unwrap()
}

/// Asks by hand, so that every listener is met by a connection of its own.
fn answers(url: &str, path: &str) -> String {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address(url)).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    let host = address(url);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    assert!(
        began.elapsed() < ANSWER,
        "{url}{path} took {:?}",
        began.elapsed()
    );
    String::from_utf8_lossy(&text).into_owned()
}

/// Connections that begin a request and never end it, to every listener.
fn half_sent(running: &Running) -> Vec<TcpStream> {
    let mut half_sent = Vec::new();
    for url in [running.home_page(), running.dashboard(), running.metrics()] {
        for number in 0..HALF_SENT {
            let mut stream = TcpStream::connect(address(&url)).unwrap();
            // Some send a part of the head, some of the body, some nothing.
            let part: &[u8] = match number % 3 {
                0 => b"GET / HTTP/1.1\r\nHost: ",
                1 => b"POST /videos/x/viewings HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
                _ => b"",
            };
            // Those that make room for others are closed already.
            let _ = stream.write_all(part);
            half_sent.push(stream);
        }
    }
    half_sent
}

fn require_answers(running: &Running) {
    let (home, dashboard, metrics) = (running.home_page(), running.dashboard(), running.metrics());
    for (url, path) in [
        (&home, "/healthz"),
        (&metrics, "/healthz"),
        (&metrics, "/metrics"),
        (&home, "/"),
        (&dashboard, "/admin"),
    ] {
        let answer = answers(url, path);
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{url}{path}: {answer:.200}"
        );
    }
}

#[tokio::test]
async fn requests_that_are_never_finished_keep_nobody_out() {
    let (_database, _session, running) = served().await;
    let half_sent = half_sent(&running);
    require_answers(&running);
    drop(half_sent);
}

/// A command that may open no more than so many files.
fn with_few_files(command: &Command, files: u32) -> Command {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={files}:{files}")).arg("--");
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

#[tokio::test]
async fn nor_do_they_where_few_files_can_be_opened() {
    let database = Cluster::shared().create_store().await;
    let deployment = database.deploy_with_dashboard(METRICS).await;
    let running = Running::start(&mut with_few_files(&deployment.run(), 256));
    let half_sent = half_sent(&running);
    require_answers(&running);
    drop(half_sent);
}

#[tokio::test]
async fn health_is_told_where_every_seat_is_at_work() {
    let database = Cluster::shared().create_store().await;
    let deployment = database.deploy(HOME_PAGE);
    let running = Running::start(deployment.run().args(["--set", "web.connections=2"]));
    let home = running.home_page();
    let watchers: Vec<_> = (0..2).map(|_| watch(&home)).collect();
    for path in ["/healthz", "/readyz"] {
        let answer = answers(&home, path);
        assert!(!answer.contains("Too many"), "{path}: {answer}");
    }
    let answer = answers(&home, "/");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    drop(watchers);
}

/// Follows the home page's numbers; returns when the first of them have come.
fn watch(home: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address(home)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut events = BufReader::new(stream);
    next_event(&mut events);
    events
}

fn next_event(events: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    while !line.starts_with("data:") {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "the events ended");
    }
    line
}

#[tokio::test]
async fn who_takes_too_long_is_let_go_and_who_listens_is_not() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let deployment = database.deploy(HOME_PAGE);
    let running = Running::start(
        deployment
            .run()
            .args(["--set", "web.client_timeout_ms=2000"]),
    );
    let home = running.home_page();
    let mut listener = watch(&home);
    for part in [
        "GET / HTTP/1.1\r\nHost: x",
        "",
        // A whole request, and then nothing.
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /videos/x/viewings HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(address(&home)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(part.as_bytes()).unwrap();
        let mut text = Vec::new();
        // The end of the connection, whether it was closed or reset.
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let status = text.split(' ').nth(1).unwrap_or_default();
        let expected = match part {
            part if part.starts_with("GET /healthz") => "200",
            part if part.starts_with("POST") => "408",
            _ => "",
        };
        assert_eq!(status, expected, "{part:?}: {text}");
    }
    session.write_viewings(1).await;
    assert!(next_event(&mut listener).contains("\"videosWatched\":1"));
}

#[tokio::test]
async fn a_nul_in_an_address_is_a_bad_request() {
    let (_database, _session, running) = served().await;
    let dashboard = running.dashboard();
    let site = dashboard.trim_end_matches("/admin").to_owned();
    for path in [
        "/admin/search?q=%00",
        "/admin/browse?source=a%00b",
        "/admin/subscription?id=%00",
        "/admin/parked?id=a%00",
        "/admin/read-model?name=%00",
    ] {
        let (status, text) = get(&format!("{site}{path}"));
        assert_eq!(status, 400, "{path}: {text:.200}");
    }
    let answer = answers(&running.home_page(), "/videos/%00/viewings");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer:.200}");
    for (url, path, kind, body) in [
        (
            &dashboard,
            "/admin/login",
            "application/x-www-form-urlencoded",
            "token=a%00",
        ),
        (
            &dashboard,
            "/admin/subscription/act",
            "application/x-www-form-urlencoded",
            "id=\0",
        ),
        (
            &running.home_page(),
            "/videos/x/viewings",
            "application/json",
            "{\"userId\": \"\\u0000\"}",
        ),
    ] {
        let mut stream = TcpStream::connect(address(url)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (host, length) = (address(url), body.len());
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer:.200}");
    }
}

#[tokio::test]
async fn whatever_the_home_page_s_row_holds_the_page_is_shown() {
    let (_database, session, running) = served().await;
    for data in [
        r#"'{"videosWatched": 7, "lastViewProcessed": 1e400}'"#,
        r#"'{"videosWatched": 1e400, "lastViewProcessed": 1e400}'"#,
        "'null'",
        "'[]'",
        "'\"x\"'",
        "(repeat('[', 5000) || repeat(']', 5000))::jsonb",
        "jsonb_build_object('videosWatched', repeat('x', 10000000))",
        "jsonb_build_object('videosWatched', ('[' || repeat('1e131000,', 20000) || '1]')::jsonb)",
    ] {
        let set = format!("UPDATE message_store.read_model_pages SET page_data = {data}");
        session.run(&set).await.unwrap();
        let (status, page) = get(&running.home_page());
        assert_eq!(status, 200, "{data}: {page:.300}");
        assert!(page.contains("videos watched"), "{data}");
        let is_read = page.contains("value=\"7\"");
        let is_told = page.contains("We cannot show at the moment: how many videos");
        assert_ne!(is_read, is_told, "{data}: {page}");
    }
    require_small_sessions(&session).await;
}

/// No session that serves pages has taken much memory at any time.
async fn require_small_sessions(session: &Session) {
    let sessions = session
        .run(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
               AND usename IN ('message_store', 'operator')",
        )
        .await
        .unwrap();
    let most = sessions
        .into_iter()
        .flatten()
        .flatten()
        .map(|pid| peak_kb(pid.parse().unwrap()))
        .max();
    println!("at its highest a session of the server had {most:?} kB");
    assert!(most.unwrap() < BACKEND_KB, "a session had {most:?} kB");
}

fn peak_kb(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn what_a_few_bytes_grow_to_is_not_made_for_a_page() {
    let (_database, session, running) = served().await;
    // Each a few kilobytes as stored: a gigabyte of digits, and tens of megabytes of one letter.
    session
        .run(
            "CREATE FUNCTION pg_temp.write(data jsonb) RETURNS bigint LANGUAGE sql AS $$
               SELECT message_store.write_message(gen_random_uuid()::varchar, 'grow-1', 'T', data,
                 data) $$;
             SELECT pg_temp.write(('[' || repeat('1e131000,', 8000) || '1]')::jsonb);
             SELECT pg_temp.write(('[' || repeat('1e-16000,', 60000) || '1]')::jsonb);
             SELECT pg_temp.write(('[' || rpad('1.', 16000, '0') || ']')::jsonb);
             SELECT pg_temp.write(jsonb_build_object('x', repeat('y', 20000000)));
             SELECT pg_temp.write(jsonb_build_object('correlationStreamName', 'y-' || repeat('y', 20000000)));
             SELECT pg_temp.write((repeat('{\"a\":', 2000) || '1' || repeat('}', 2000))::jsonb)",
        )
        .await
        .unwrap();
    let dashboard = running.dashboard();
    for path in [
        "/admin/browse?source=grow",
        "/admin/browse?source=grow&correlation=x",
        "/admin/categories",
        "/admin/messages/1",
        "/admin/messages/2",
        "/admin/messages/3",
        "/admin/messages/4",
        "/admin/messages/5",
        "/admin/messages/6",
        "/admin/messages/1/data",
        "/admin/messages/2/metadata",
        "/admin/messages/4/data",
    ] {
        let answer = answers(&dashboard, path);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["200", "413"].contains(&status), "{path}: {answer:.400}");
        assert!(answer.len() < PAGE, "{path} has {} bytes", answer.len());
    }
    require_small_sessions(&session).await;
}

#[tokio::test]
async fn what_a_name_hides_a_page_shows() {
    let (_database, session, running) = served().await;
    let name = "a\u{202e}b\u{9b}31m";
    let id = literal(Some(name));
    session
        .run(&format!(
            "SELECT message_store.create_subscription({id}, 'a', '{{}}'); \
             SELECT message_store.write_message(gen_random_uuid()::varchar, {id} || '-1', {id}, \
               to_jsonb({id}::text))"
        ))
        .await
        .unwrap();
    let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let dashboard = running.dashboard();
    for path in [
        format!("/admin/subscription?id={encoded}"),
        format!("/admin/browse?source={encoded}"),
        "/admin/messages/1".to_owned(),
        "/admin/messages/1/data".to_owned(),
    ] {
        let (status, page) = get(&format!("{dashboard}{path}"));
        assert_eq!(status, 200, "{path}: {page:.300}");
        assert!(page.contains("a\\u202eb\\u009b31m"), "{path}: {page}");
        // A form sends back what it was given.
        let attributes = page.matches(&format!("value=\"{name}\"")).count();
        let hidden = page.matches('\u{202e}').count();
        assert_eq!(hidden, attributes, "{path}: {page}");
    }
}

#[tokio::test]
async fn what_a_page_costs_does_not_depend_on_what_a_message_holds() {
    let (_database, session, running) = served().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'big-1', 'T',
               jsonb_build_object('x', repeat('0123456789', 5000000)));
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'big-1', 'T',
               (repeat('[', 4000) || repeat(']', 4000))::jsonb)",
        )
        .await
        .unwrap();
    let dashboard = running.dashboard();
    let site = dashboard.trim_end_matches("/admin").to_owned();
    for path in [
        "/admin/messages/1",
        "/admin/messages/2",
        "/admin/messages/1/data",
        "/admin/messages/2/data",
        "/admin/browse?source=big",
    ] {
        let (_, page) = get(&format!("{site}{path}"));
        assert!(page.len() < PAGE, "{path} has {} bytes", page.len());
    }
    // Asked for, and not taken.
    let host = address(&dashboard).to_owned();
    let unread: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(&host).unwrap();
            write!(
                stream,
                "GET /admin/messages/1/data HTTP/1.1\r\nHost: {host}\r\n\r\n"
            )
            .unwrap();
            stream
        })
        .collect();
    let answer = answers(&dashboard, "/admin/messages/1");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.200}");
    let peak_kb = peak_kb(running.pid());
    println!("at its highest the orchestrator had {peak_kb} kB");
    assert!(peak_kb < 200_000, "the orchestrator had {peak_kb} kB");
    require_small_sessions(&session).await;
    drop(unread);
}
