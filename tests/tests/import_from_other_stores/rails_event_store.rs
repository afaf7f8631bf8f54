//! A replay of rails_event_store.

use std::collections::BTreeMap;

use promises::Cluster;
use serde_json::json;

use crate::message::{imported, read};
use crate::programs::replay;
use crate::steps::{By, count, follow_page, import, unchanged};

const FROM_RAILS_EVENT_STORE: &str = "From rails_event_store";

#[tokio::test]
async fn a_replay_of_rails_event_store_comes_over_whatever_its_columns_are() {
    let mut all = Vec::new();
    for data_type in ["bytea", "json", "jsonb", "text"] {
        let (old, theirs) = replay("rails_event_store.sql", "data_type", data_type).await;
        let session = import(FROM_RAILS_EVENT_STORE, &old.url("postgres")).await;
        let (messages, kept) = imported(&session, "rails_event_store").await;
        let alone = "SELECT event_id FROM event_store_events e WHERE NOT EXISTS (
                       SELECT FROM event_store_events_in_streams s WHERE s.event_id = e.event_id)";
        let alone = theirs.run(alone).await.unwrap();
        assert_eq!(alone.len(), 18, "two are linked to another stream");
        let alone = alone.into_iter().map(|row| {
            let id = row.into_iter().next().flatten().unwrap();
            (id.clone(), format!("stream-{id}"))
        });
        let named = [
            ("Ordering::Order$1", "Ordering::Order-1"),
            ("e-mail$ann", "e_mail-ann"),
            ("order-9", "order-9"),
            ("Inventory", "stream-Inventory"),
            ("by_hour$1", "by_hour-1"),
        ];
        let named = named.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()));
        let names: BTreeMap<String, String> = named.into_iter().chain(alone).collect();
        let decoded = |column: &str| match data_type {
            "bytea" => format!("convert_from({column}, 'UTF8')"),
            _ => column.to_owned(),
        };
        let sql = format!(
            "SELECT coalesce((SELECT stream FROM event_store_events_in_streams s
                 WHERE s.event_id = e.event_id ORDER BY s.id LIMIT 1), event_id::text),
               event_type, {}, {} FROM event_store_events e ORDER BY id",
            decoded("data"),
            decoded("metadata")
        );
        assert_eq!(messages, read(&theirs, &sql, &names).await);
        assert_eq!(
            kept[0],
            json!({
                "id": 1, "stream": "Ordering::Order$1",
                "created_at": "2026-01-01T10:00:00", "valid_at": "2025-12-01T10:00:00",
                "links": [
                    {"stream": "by_day$2026-01-01", "position": 0},
                    {"stream": "first", "position": 0},
                ],
            })
        );
        all.push(messages);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn what_rails_event_store_has_written_as_yaml_is_refused() {
    let (old, session) = replay("rails_event_store.sql", "data_type", "text").await;
    session
        .run("UPDATE event_store_events SET data = E'---\\n:n: 7\\n' WHERE id = 70")
        .await
        .unwrap();
    let new = Cluster::shared().create_store().await;
    let refused =
        "psql:rails_event_store.sql:…: ERROR:  invalid input syntax for type json\n…\nexit code 3";
    let url = old.url("postgres");
    follow_page(
        FROM_RAILS_EVENT_STORE,
        (&url, By::File, &new),
        unchanged,
        refused,
    )
    .await;
    assert_eq!(count(&new).await, 0);
}

#[tokio::test]
async fn two_streams_whose_names_would_be_the_same_are_refused() {
    let (old, session) = replay("rails_event_store.sql", "data_type", "jsonb").await;
    session
        .run(
            "UPDATE event_store_events_in_streams SET stream = 'order$9'
             WHERE stream = 'Ordering::Order$1'",
        )
        .await
        .unwrap();
    let new = Cluster::shared().create_store().await;
    let refused = "… line 3: \"position\" in order-9 is 0 again, as in line 1: …; nothing is written\nexit code 5";
    let url = old.url("postgres");
    follow_page(
        FROM_RAILS_EVENT_STORE,
        (&url, By::File, &new),
        unchanged,
        refused,
    )
    .await;
    assert_eq!(count(&new).await, 0);
}
