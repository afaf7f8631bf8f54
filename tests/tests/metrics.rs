//! Promise: `/metrics` follows Prometheus' conventions and tells the truth, `/healthz` and
//! `/readyz` say what runs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::BTreeSet;
use std::process::Command;

use promises::{Cluster, Database, METRICS, Scrape, Session, StopMode, ask, get, wait_for};

/// `public.record` takes all, `public.picky` fails at every fifth position of a stream.
const HANDLERS: &str = "
    CREATE TABLE public.handled (at bigint);
    GRANT INSERT ON public.handled TO message_store;
    CREATE FUNCTION public.record(at bigint) RETURNS void LANGUAGE sql AS
      $$ INSERT INTO public.handled VALUES (at) $$;
    CREATE FUNCTION public.picky(m message_store.message) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        IF (m).position % 5 = 4 THEN RAISE EXCEPTION 'not this one'; END IF;
      END $$";

const RECORD: &str = r#"
[[services]]
subscriber_id = "services:record"
category = "jobs"
handlers = { Job = "public.record" }
"#;

const PICKY: &str = r#"
[[services]]
subscriber_id = "services:picky"
category = "jobs"
handlers = { Job = "public.picky" }
on_failure = { then = "park", park = "message", retries = 1, retry_delay_ms = 1 }
"#;

async fn store(cluster: &Cluster) -> (Database<'_>, Session) {
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    (database, session)
}

#[tokio::test]
async fn every_number_is_true_and_named_by_the_conventions() {
    let (database, session) = store(Cluster::shared()).await;
    let watched = format!("{METRICS}{RECORD}{PICKY}");
    let running = database.deploy_with_dashboard(&watched).await.start();
    session.write_jobs(25).await;
    let browsing = format!("{}/admin/messages/1", running.dashboard());
    assert_eq!(get(&browsing).0, 200);
    assert_eq!(get(&running.home_page()).0, 200);
    assert_eq!(get(&format!("{}/made-up", running.home_page())).0, 404);

    let page = running.scrape_until(|page| {
        page.of(
            "message_store_subscription_parked_messages",
            "services:picky",
        ) == Some(5.0)
            && page.of("message_store_messages_handled_total", "services:record") == Some(25.0)
            && page.value("message_store_head_position") == Some(25.0)
            && page.value("message_store_messages_written_total").is_some()
            && page
                .value("message_store_epoch_unconfirmed_seconds")
                .is_none()
            && page.of("message_store_subscription_position", "services:record") == Some(25.0)
    });
    let (is_clean, said) = ask(Command::new("promtool").args(["check", "metrics"]), &page.0);
    assert!(is_clean && said.is_empty(), "{said}");

    for (series, value) in [
        ("connected", 1.0),
        ("ready", 1.0),
        ("reconnects_total", 0.0),
        ("database_up", 1.0),
        ("orchestrators", 1.0),
        ("horizon_blockers", 0.0),
        ("horizon_oldest_blocker_age_seconds", 0.0),
    ] {
        let found = page.value(&format!("message_store_{series}"));
        assert_eq!(found, Some(value), "{series}");
    }
    for (name, subscriber_id, value) in [
        ("messages_parked_total", "services:picky", 5.0),
        ("messages_parked_total", "services:record", 0.0),
        ("handler_failures_total", "services:record", 0.0),
        ("subscription_lag_messages", "services:record", 0.0),
        ("subscription_lag_seconds", "services:record", 0.0),
        ("subscription_head_position", "services:record", 25.0),
        ("subscription_failed_attempts", "services:record", 0.0),
    ] {
        let found = page.of(&format!("message_store_{name}"), subscriber_id);
        assert_eq!(found, Some(value), "{name} of {subscriber_id}");
    }
    // A first failure of each of the five is retried.
    let failures = page.of("message_store_handler_failures_total", "services:picky");
    assert_eq!(failures, Some(5.0));
    for (state, value) in [("started", 1.0), ("paused", 0.0), ("stopped", 0.0)] {
        let labels = format!("{{subscriber_id=\"services:picky\",state=\"{state}\"}}");
        let found = page.value(&format!("message_store_subscription_state{labels}"));
        assert_eq!(found, Some(value), "{state}");
    }
    let requests = |route, status| {
        let labels = format!("{{method=\"GET\",route=\"{route}\",status=\"{status}\"}}");
        page.value(&format!(
            "message_store_http_request_duration_seconds_count{labels}"
        ))
    };
    assert_eq!(requests("/", 200), Some(1.0));
    assert_eq!(requests("/admin/messages/{position}", 200), Some(1.0));
    assert_eq!(requests("none", 404), Some(1.0));
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("message_store_build_info{{version=\"{version}\"}}");
    assert_eq!(page.value(&build), Some(1.0));
    running.stop();
}

#[tokio::test]
async fn the_page_lists_every_metric_with_its_type() {
    let (database, session) = store(Cluster::shared()).await;
    // Those of shards are there where it is one.
    let become_shard = format!(
        "SELECT message_store.become_shard(0, 1, 1, ARRAY['{}'])",
        database.address()
    );
    session.run(&become_shard).await.unwrap();
    session
        .run("SELECT message_store.begin_epoch('a disk was put back')")
        .await
        .unwrap();
    let running = database.start_watched(RECORD);
    get(&running.home_page());
    let page = running.scrape_until(|page| page.0.contains("subscription_lag_messages{"));
    let types = page
        .0
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let there: BTreeSet<String> = types.map(str::to_owned).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(folder.join("../docs/monitoring.md")).unwrap();
    let listed: BTreeSet<String> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `message_store_")?.split('|');
            let name = cells.next()?.trim().trim_end_matches('`').to_owned();
            Some(format!("message_store_{name} {}", cells.next()?.trim()))
        })
        .collect();
    assert_eq!(listed, there);
    running.stop();
}

#[tokio::test]
async fn ticks_are_counted_by_what_they_came_to() {
    let (database, session) = store(Cluster::shared()).await;
    let running = database.start_watched(RECORD);
    session.write_jobs(7).await;
    let outcome = |outcome: &str| {
        let labels = format!("{{subscriber_id=\"services:record\",outcome=\"{outcome}\"}}");
        format!("message_store_ticks_total{labels}")
    };
    let words = [
        "progressed",
        "idle",
        "held_back",
        "busy",
        "retrying",
        "stopped",
        "paused",
        "refused",
        "disconnected",
    ];
    // A tick that ends while a page is written may be in one of the two only.
    let page = running.scrape_until(|page| {
        let all = words.iter().filter_map(|word| page.value(&outcome(word)));
        let timed = page.of(
            "message_store_tick_duration_seconds_count",
            "services:record",
        );
        page.of("message_store_messages_scanned_total", "services:record") == Some(7.0)
            && page.value(&outcome("idle")) > Some(0.0)
            && timed == Some(all.sum())
    });
    assert!(page.value(&outcome("progressed")) >= Some(1.0));
    assert_eq!(page.value(&outcome("refused")), Some(0.0));
    running.stop();
}

#[tokio::test]
async fn what_keeps_messages_back_is_told_with_its_age() {
    let cluster = Cluster::start(&[]);
    let (database, session) = store(&cluster).await;
    let running = database.start_watched(RECORD);
    let writer = database.connect().await;
    writer.run("BEGIN").await.unwrap();
    writer.write_jobs(1).await;
    write_jobs_elsewhere(&session).await;
    let age = "message_store_horizon_oldest_blocker_age_seconds";
    let page = running.scrape_until(|page| page.value(age) > Some(0.0));
    assert_eq!(page.value("message_store_horizon_blockers"), Some(1.0));
    writer.run("ROLLBACK").await.unwrap();
    running.scrape_until(|page| page.value(age) == Some(0.0));
    running.stop();
}

async fn write_jobs_elsewhere(session: &Session) {
    let write =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'jobs-2', 'Job', '{}')";
    session.run(write).await.unwrap();
}

#[tokio::test]
async fn a_dropped_subscription_leaves_no_series() {
    let (database, session) = store(Cluster::shared()).await;
    let running = database.start_watched(RECORD);
    let id = "services:record";
    let has_it = |page: &Scrape| page.0.contains(id);
    running.scrape_until(|page| page.of("message_store_subscription_position", id).is_some());
    session
        .run("SELECT message_store.pause('services:record')")
        .await
        .unwrap();
    let paused =
        "message_store_subscription_state{subscriber_id=\"services:record\",state=\"paused\"}";
    let page = running.scrape_until(|page| page.value(paused) == Some(1.0));
    let handled = page.of("message_store_messages_handled_total", id);
    assert_eq!(handled, Some(0.0), "paused it keeps its numbers");
    session
        .run("SELECT message_store.drop_subscription('services:record')")
        .await
        .unwrap();
    running.scrape_until(|page| !has_it(page));
    running.stop();
}

#[tokio::test]
async fn ready_is_connected_with_every_subscription_started() {
    let cluster = Cluster::start(&[]);
    let (database, session) = store(&cluster).await;
    session.run("DROP FUNCTION public.picky").await.unwrap();
    let running = database.start_watched(&format!("{RECORD}{PICKY}"));
    let both = [running.home_page(), running.metrics()];
    let ask = |path: &str| {
        both.each_ref()
            .map(|address| get(&format!("{address}{path}")))
    };
    let answer = |status: u16, text: &str| {
        let answer = (status, text.to_owned());
        [answer.clone(), answer]
    };
    let wait_until_ready_says = |status, text| {
        let wanted = answer(status, text);
        wait_for(|| ask("/readyz"), |found| *found == wanted);
    };
    wait_until_ready_says(503, "the subscription services:picky is not started\n");
    session
        .run(
            HANDLERS
                .split_at(HANDLERS.find("CREATE FUNCTION public.picky").unwrap())
                .1,
        )
        .await
        .unwrap();
    wait_until_ready_says(200, "ready\n");
    session
        .run("SELECT message_store.stop('services:record')")
        .await
        .unwrap();
    wait_until_ready_says(503, "the subscription services:record is not started\n");
    session
        .run("SELECT message_store.start('services:record')")
        .await
        .unwrap();
    wait_until_ready_says(200, "ready\n");
    running.scrape_until(|page| page.0.contains("_lag_messages{"));

    drop(session);
    cluster.stop(StopMode::Fast);
    wait_until_ready_says(503, "not connected to the database\n");
    assert_eq!(ask("/healthz"), answer(200, "ok\n"));
    let page = running.scrape_until(|page| page.value("message_store_database_up") == Some(0.0));
    assert_eq!(page.value("message_store_connected"), Some(0.0));
    assert!(
        !page.0.contains("_lag_messages{"),
        "old numbers as new ones: {}",
        page.0
    );
    cluster.start_again();
    wait_until_ready_says(200, "ready\n");
    assert_eq!(
        running.scrape().value("message_store_reconnects_total"),
        Some(1.0)
    );
    running.stop();
}

#[tokio::test]
async fn metrics_are_not_served_unless_asked_for() {
    let (database, _session) = store(Cluster::shared()).await;
    let running = database.deploy(RECORD).start();
    let (status, _) = get(&format!("{}/metrics", running.home_page()));
    assert_eq!(status, 404);
    running.stop();
}

#[tokio::test]
async fn a_taken_address_is_named_with_the_key_that_chooses_another() {
    let (database, _session) = store(Cluster::shared()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let deployment = database.deploy(&format!("[metrics]\nlisten = \"{address}\"\n"));
    let ended = promises::run_to_end(&mut deployment.run());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let problem = format!(
        "orchestrator: cannot listen on {address} for metrics; choose another address with \
         [metrics] listen: "
    );
    assert!(ended.stderr.starts_with(&problem), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}
