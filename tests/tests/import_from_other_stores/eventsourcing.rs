//! The library eventsourcing writes.

use std::path::PathBuf;
use std::process::Command;

use promises::Cluster;
use serde_json::{Value, json};

use crate::message::{Message, imported};
use crate::programs::{folder, install, run};
use crate::steps::{ALL_WRITTEN, By, count, follow_page, import, unchanged};

/// The Python that has the library.
fn python() -> PathBuf {
    let folder = folder().join("eventsourcing");
    let environment = folder.join(".venv");
    let list = folder.join("requirements.txt");
    let installed = environment.join("installed");
    install(
        &list,
        &installed,
        &mut [
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
            Command::new(environment.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(&list),
            Command::new("touch").arg(&installed),
        ],
    );
    environment.join("bin/python")
}

const FROM_EVENTSOURCING: &str = "From eventsourcing (Python)";

/// What the library has read, as it should be here.
fn as_imported(written: &[Value]) -> Vec<Message> {
    let events = written.iter().map(|event| {
        let topic = event["topic"].as_str().unwrap();
        let (class, message_type) = topic
            .strip_prefix("dog_school:")
            .and_then(|topic| topic.split_once('.'))
            .unwrap();
        Message {
            stream: format!("{class}-{}", event["originator_id"].as_str().unwrap()),
            message_type: message_type.to_owned(),
            data: event["data"].clone(),
            metadata: json!({}),
        }
    });
    events.collect()
}

#[tokio::test]
async fn what_eventsourcing_has_written_comes_over() {
    let program = folder().join("eventsourcing/hundred_events.py");
    let old = Cluster::shared().create_database().await;
    let written = run(Command::new(python()).arg(program), &old);
    let session = import(FROM_EVENTSOURCING, &old.url("postgres")).await;
    let (messages, kept) = imported(&session, "eventsourcing").await;
    assert_eq!(messages, as_imported(&written));
    for (kept, written) in kept.iter().zip(&written) {
        assert_eq!(kept["topic"], written["topic"]);
    }
    assert_eq!(kept[99]["notification_id"], 100);
}

#[tokio::test]
async fn what_eventsourcing_has_compressed_is_refused_until_it_is_copied() {
    let programs = folder().join("eventsourcing");
    let old = Cluster::shared().create_database().await;
    let run_compressed = |program: &str| {
        let mut python = Command::new(python());
        run(
            python
                .arg(programs.join(program))
                .env("COMPRESSOR_TOPIC", "zlib"),
            &old,
        )
    };
    run_compressed("hundred_events.py");
    let new = Cluster::shared().create_store().await;
    let error =
        "psql:eventsourcing.sql:…: ERROR:  invalid byte sequence for encoding \"UTF8\": …\n";
    let url = old.url("postgres");
    for (by, ended) in [
        (By::File, "exit code 3"),
        (By::Pipe, "0 messages written …\nexit code 3"),
    ] {
        let refused = format!("{error}{ended}");
        follow_page(FROM_EVENTSOURCING, (&url, by, &new), unchanged, &refused).await;
    }
    assert_eq!(count(&new).await, 0);

    run_compressed("plain.py");
    let of_the_copy = |query: &str| query.replace("dogschool_events", "plaindogschool_events");
    follow_page(
        FROM_EVENTSOURCING,
        (&url, By::File, &new),
        of_the_copy,
        ALL_WRITTEN,
    )
    .await;
    let (messages, _) = imported(&new.connect().await, "eventsourcing").await;
    let last = messages.last().unwrap();
    assert_eq!(
        (last.message_type.as_str(), &last.data["places"]),
        ("Extended", &json!(18))
    );
}
