//! What a stranger can do to the pages: keep others out, make a page dear, make one fail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use promises::{Cluster, Database, METRICS, Running, Session, get};

/// More than a listener takes of one address.
const HALF_SENT: usize = 200;
/// How long an answer may take while others keep still: less than they are given.
const ANSWER: Duration = Duration::from_secs(8);
/// What a page may hold, whatever a message does.
const PAGE: usize = 2 << 20;

async fn served() -> (Database<'static>, Session, Running) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
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

#[tokio::test]
async fn requests_that_are_never_finished_keep_nobody_out() {
    let (_database, _session, running) = served().await;
    let (home, dashboard, metrics) = (running.home_page(), running.dashboard(), running.metrics());
    let mut half_sent = Vec::new();
    for url in [&home, &dashboard, &metrics] {
        for number in 0..HALF_SENT {
            let mut stream = TcpStream::connect(address(url)).unwrap();
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
    drop(half_sent);
}

#[tokio::test]
async fn a_nul_in_an_address_is_a_bad_request() {
    let (_database, _session, running) = served().await;
    let dashboard = running.dashboard();
    let site = dashboard.trim_end_matches("/admin").to_owned();
    for path in [
        "/admin/categories/search?q=%00",
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
    ] {
        let set = format!("UPDATE message_store.read_model_pages SET page_data = {data}");
        session.run(&set).await.unwrap();
        let (status, page) = get(&running.home_page());
        assert_eq!(status, 200, "{data}: {page:.300}");
        assert!(page.contains("videos watched"), "{data}");
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
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("at its highest the orchestrator had {peak_kb} kB");
    assert!(peak_kb < 200_000, "the orchestrator had {peak_kb} kB");
    drop(unread);
}
