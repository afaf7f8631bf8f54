//! Promise: a prepared transaction holds readers until it is committed, even when the server
//! ends without a farewell in between.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Session, StopMode};

const POLL: &str = "SELECT type FROM message_store.get_category_messages('shelf')";
const POLL_ALL: &str = "SELECT type FROM message_store.get_all_messages()";

#[tokio::test]
async fn prepared_transaction_holds_readers_through_an_immediate_stop() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let name = database.name.clone();
    let session = database.connect().await;
    write(&session, "shelf-1", "Before").await;
    session.run("BEGIN").await.unwrap();
    write(&session, "shelf-1", "Prepared").await;
    // One category more than a transaction holds locks for: the common lock is prepared too.
    for number in 1..=40 {
        write(&session, &format!("c{number}-1"), "PreparedToo").await;
    }
    session.run("PREPARE TRANSACTION 'order'").await.unwrap();
    write(&session, "shelf-2", "After").await;
    write(&session, "attic-1", "After").await;
    assert_eq!(types(&session, POLL).await, ["Before"]);

    drop(session);
    cluster.restart(StopMode::Immediate);
    let session = cluster.connect(&name, "postgres").await;
    assert_eq!(
        session
            .run("SELECT pid, is_prepared, count(*) FROM message_store.horizon_blockers() GROUP BY 1, 2")
            .await
            .unwrap(),
        [[None, Some("t".to_owned()), Some("33".to_owned())]]
    );
    write(&session, "shelf-2", "AfterRestart").await;
    assert_eq!(types(&session, POLL).await, ["Before"]);
    assert_eq!(types(&session, POLL_ALL).await, ["Before"]);
    let attic = "SELECT type FROM message_store.get_category_messages('attic')";
    assert!(types(&session, attic).await.is_empty());
    // Its stream is still being written.
    session.run("SET lock_timeout = '50ms'").await.unwrap();
    let refused = session
        .error(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'shelf-1', 'T', '{}')",
        )
        .await;
    assert_eq!(refused.sqlstate, "55P03");

    session.run("RESET lock_timeout").await.unwrap();
    session.run("COMMIT PREPARED 'order'").await.unwrap();
    let all = ["Before", "Prepared", "After", "AfterRestart"];
    assert_eq!(types(&session, POLL).await, all);
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.get_all_messages()")
            .await,
        1 + 1 + 40 + 2 + 1
    );
    write(&session, "shelf-1", "Last").await;
    let positions = session
        .run(
            "SELECT type, position FROM message_store.messages \
             WHERE stream_name = 'shelf-1' ORDER BY global_position",
        )
        .await
        .unwrap();
    let expected = [("Before", "0"), ("Prepared", "1"), ("Last", "2")];
    assert_eq!(
        positions,
        expected.map(|(kind, position)| vec![Some(kind.to_owned()), Some(position.to_owned())])
    );
}

async fn write(session: &Session, stream: &str, kind: &str) {
    session
        .run(&format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', '{kind}', '{{}}')"
        ))
        .await
        .unwrap();
}

async fn types(session: &Session, sql: &str) -> Vec<String> {
    let rows = session.run(sql).await.unwrap();
    rows.into_iter()
        .map(|mut row| row.remove(0).unwrap())
        .collect()
}
