//! A replay of Marten.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::message::{imported, read};
use crate::programs::replay;
use crate::steps::import;

const FROM_MARTEN: &str = "From Marten";

#[tokio::test]
async fn a_replay_of_marten_comes_over() {
    let by_uuid = [
        ("1", "quest_party"),
        ("2", "quest_party"),
        ("3", "trip"),
        ("4", "stream"),
        ("5", "trip"),
    ]
    .map(|(digit, category)| {
        let id = format!("{}-93f3-4d3e-8f6f-0a1a5b3a7c11", digit.repeat(8));
        (format!("*DEFAULT* {id}"), format!("{category}-{id}"))
    });
    let of_tenants = [
        ("blue moria", "quest_party-moria+blue"),
        ("green moria", "quest_party-moria+green"),
        ("*DEFAULT* trip-7", "trip-7"),
        ("green shire", "stream-shire+green"),
        ("blue trip-7", "trip-trip-7+blue"),
    ]
    .map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()));
    for (identity, names) in [("uuid", by_uuid), ("varchar", of_tenants)] {
        let names = BTreeMap::from(names);
        let (old, theirs) = replay("marten.sql", "identity", identity).await;
        let session = import(FROM_MARTEN, &old.url("postgres")).await;
        let (messages, kept) = imported(&session, "marten").await;
        let sql = "SELECT concat(tenant_id, ' ', stream_id), type, data, coalesce(headers, '{}')
                   FROM mt_events ORDER BY seq_id";
        assert_eq!(messages, read(&theirs, sql, &names).await);
        let rest = "SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'seq_id', seq_id, 'version', version, 'timestamp', timestamp, 'tenant_id', tenant_id,
                'mt_dotnet_type', mt_dotnet_type, 'correlation_id', correlation_id,
                'causation_id', causation_id, 'is_archived', is_archived)) ORDER BY seq_id)
              FROM mt_events";
        let rest = theirs.value(rest).await.unwrap();
        assert_eq!(
            Value::from(kept),
            serde_json::from_str::<Value>(&rest).unwrap()
        );
    }
}

#[tokio::test]
async fn columns_that_marten_lacks_or_has_more_of_are_left_out_or_kept() {
    let (old, theirs) = replay("marten.sql", "identity", "uuid").await;
    theirs
        .run(
            r"ALTER TABLE mt_events ADD COLUMN bdata bytea, DROP COLUMN headers,
                DROP COLUMN correlation_id, DROP COLUMN causation_id;
              UPDATE mt_events SET data = '{}', bdata = '\x0102' WHERE seq_id = 7",
        )
        .await
        .unwrap();
    let session = import(FROM_MARTEN, &old.url("postgres")).await;
    let (messages, kept) = imported(&session, "marten").await;
    assert_eq!(
        (&messages[0].data, &messages[0].metadata),
        (&json!({}), &json!({}))
    );
    assert_eq!(kept[0]["bdata"], r"\x0102");
    assert_eq!(kept[1].get("bdata"), None);
}
