//! Promise: Debian's Prometheus takes our metrics, every panel of the Grafana dashboard shows
//! something, and every alert's rule works and is told when it must be.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use promises::{Cluster, Prometheus, ask, get, wait_for};
use serde_json::{Value, json};

/// One that works, one that parks, one that stops.
const SUBSCRIPTIONS: &str = r#"
[[services]]
subscriber_id = "services:fine"
category = "jobs"
handlers = { Job = "public.fine" }
[[services]]
subscriber_id = "services:parking"
category = "jobs"
handlers = { Job = "public.broken" }
on_failure = { then = "park", retries = 1, retry_delay_ms = 1 }
[[services]]
subscriber_id = "services:stopping"
category = "jobs"
handlers = { Job = "public.broken" }
on_failure = { then = "stop", retries = 0 }
"#;

const HANDLERS: &str = "
    CREATE FUNCTION public.fine(at bigint) RETURNS void LANGUAGE sql AS $$ SELECT $$;
    CREATE FUNCTION public.broken(m message_store.message) RETURNS void LANGUAGE plpgsql AS
      $$ BEGIN IF (m).type = 'Job' THEN RAISE EXCEPTION 'broken'; END IF; END $$";

fn monitoring(path: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../monitoring").join(path)
}

/// The panels' expressions, each with its panel's title, as Grafana fills them in.
fn panels() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(monitoring("grafana/message_store.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression
                .replace("$job", "message_store")
                .replace("$subscriber_id", ".*")
                .replace("$__rate_interval", "30s");
            assert!(!expression.contains('$'), "{title}: {expression}");
            found.push((title.to_owned(), expression));
        }
    }
    found
}

/// Whether an alert is pending or fires.
fn is_told(rules: &[Value], alert: &str) -> bool {
    rules
        .iter()
        .any(|rule| rule["name"] == alert && rule["alerts"] != json!([]))
}

#[tokio::test]
async fn every_panel_shows_something_and_every_alert_works() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    let running = database.start_watched(SUBSCRIPTIONS);
    get(&running.home_page());
    let alerts = monitoring("prometheus/alerts.yml");
    let prometheus = Prometheus::start(&running.metrics(), &alerts);
    let write =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'jobs-1', 'Job', '{}')";

    let panels = panels();
    assert!(panels.len() > 20, "{panels:#?}");
    let mut empty: Vec<_> = panels.iter().collect();
    let began = std::time::Instant::now();
    while !empty.is_empty() {
        assert!(began.elapsed().as_secs() < 180, "nothing in {empty:#?}");
        session.run(write).await.unwrap();
        empty.retain(|(_, expression)| prometheus.query(expression).is_empty());
    }

    let handled = "sum(message_store_messages_handled_total{subscriber_id=\"services:fine\"})";
    let written = "max(message_store_head_position)";
    wait_for(
        || prometheus.query(&format!("{handled} == {written}")),
        |answer| !answer.is_empty(),
    );

    for (alert, subscriber_id) in [
        ("MessageStoreMessagesParked", "services:parking"),
        ("MessageStoreSubscriptionStopped", "services:stopping"),
    ] {
        let told = format!("ALERTS{{alertname=\"{alert}\", subscriber_id=\"{subscriber_id}\"}}");
        wait_for(|| prometheus.query(&told), |answer| answer.len() == 1);
    }
    // A scrape that was late is told as a target that is down, until the next.
    let rules = wait_for(
        || prometheus.rules(),
        |rules| {
            let told = |name: &&str| is_told(rules, &format!("MessageStore{name}"));
            let (loud, quiet) = (
                ["MessagesParked", "NotReady", "SubscriptionStopped"],
                [
                    "TargetDown",
                    "TargetMissing",
                    "DatabaseAway",
                    "NoOrchestrator",
                ],
            );
            rules.iter().all(|rule| rule["health"] == "ok")
                && loud.iter().all(told)
                && !quiet.iter().any(told)
        },
    );
    assert_eq!(rules.len(), 13);
    for rule in &rules {
        prometheus.query(rule["query"].as_str().unwrap());
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{rule}");
        }
    }
    running.stop();
    let down = "ALERTS{alertname=\"MessageStoreTargetDown\"}";
    wait_for(|| prometheus.query(down), |answer| answer.len() == 1);
}

#[test]
fn the_rules_are_well_formed_and_told_in_time() {
    for (verb, file) in [("check", "alerts.yml"), ("test", "alerts_test.yml")] {
        let mut promtool = Command::new("promtool");
        promtool.args([verb, "rules", file]);
        promtool.current_dir(monitoring("prometheus"));
        let (is_well, said) = ask(&mut promtool, "");
        assert!(is_well, "{said}");
    }
}
