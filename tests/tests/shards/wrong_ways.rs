//! Each step of a read of all shards is needed: left out or done otherwise, a message is skipped, or drawn
//! again, or never delivered. So these are mistakes, and the tests of the right way notice each.

use promises::{Cluster, Session, Shards};

use crate::{positions, write};

/// The read of `merged`, with what a variant changes: where its horizon comes from, what shards advance to, and
/// by which map they are asked.
fn merged(limit: &str, at_least: &str, map: &str) -> String {
    format!(
        "SELECT a.global_position
           FROM message_store_router.get_settled_messages('shelf', 1, 1000, NULL, NULL, NULL, {at_least}, {map}) a
          WHERE a.stream_name IS NOT NULL AND {limit}
          ORDER BY 1"
    )
}

const FURTHEST: &str = "(SELECT max(p) FROM message_store_router.advance_position(0) p)";
const MAP: &str = "message_store_router.map()";

/// Two shards, of which the first has a message in flight below one that the second has committed.
async fn in_flight(shards: &Shards<'_>) -> (Session, Session) {
    let sessions = shards.sessions().await;
    let (one, other) = (
        shards.stream_on(0, "shelf", 0).await,
        shards.stream_on(1, "shelf", 0).await,
    );
    sessions[0].run("BEGIN").await.unwrap();
    sessions[0].run(&write(&one)).await.unwrap();
    sessions[1]
        .run(&format!(
            "SELECT message_store.advance_position(100000); {}",
            write(&other)
        ))
        .await
        .unwrap();
    let writer = sessions.into_iter().next().unwrap();
    (writer, shards.router.connect().await)
}

#[tokio::test]
async fn rows_up_to_each_shards_own_horizon_pass_what_another_has_in_flight() {
    let shards = Cluster::shared().create_shards(2).await;
    let (writer, router) = in_flight(&shards).await;
    let wrong = positions(&router, &merged("true", FURTHEST, MAP)).await;
    writer.run("COMMIT").await.unwrap();
    let right = positions(&router, crate::MERGED).await;
    assert_eq!((wrong.len(), right.len()), (1, 2));
    assert!(
        right[0] < wrong[0],
        "{} was passed at {}",
        right[0],
        wrong[0]
    );
}

#[tokio::test]
async fn without_the_advance_an_idle_shard_holds_everybody_back() {
    let shards = Cluster::shared().create_shards(2).await;
    let client = shards.client().await;
    let stream = shards.stream_on(0, "shelf", 0).await;
    for _ in 0..3 {
        client.run(&write(&stream)).await.unwrap();
    }
    let router = shards.router.connect().await;
    let least = "a.global_position <= (SELECT min(h.global_position) FROM \
                 message_store_router.get_settled_messages('shelf', 1, 0, NULL, NULL, NULL, 0, message_store_router.map()) h)";
    assert_eq!(positions(&router, &merged(least, "0", MAP)).await.len(), 0);
    assert_eq!(positions(&router, crate::MERGED).await.len(), 3);
}

#[tokio::test]
async fn the_horizon_of_a_later_look_passes_what_the_rows_do_not_have() {
    let shards = Cluster::shared().create_shards(2).await;
    let (writer, router) = in_flight(&shards).await;
    router
        .run(&format!(
            "CREATE TABLE public.looked AS {}",
            merged("true", FURTHEST, MAP)
        ))
        .await
        .unwrap();
    writer.run("COMMIT").await.unwrap();
    let later = format!(
        "SELECT l.global_position FROM public.looked l WHERE l.global_position <= (
           SELECT min(h.global_position)
             FROM message_store_router.get_settled_messages('shelf', 1, 0, NULL, NULL, NULL, {FURTHEST}, {MAP}) h)"
    );
    let wrong = positions(&router, &later).await;
    let right = positions(&router, crate::MERGED).await;
    assert_eq!((wrong.len(), right.len()), (1, 2));
    assert!(right[0] < wrong[0]);
}

#[tokio::test]
async fn setval_after_a_comparison_draws_a_position_again_and_an_advance_does_not() {
    let shards = Cluster::shared().create_shards(1).await;
    let session = &shards.sessions().await[0];
    let drawn = "SELECT message_store.advance_position(0)";
    let before = session.bigint(drawn).await;
    // Between a reader's comparison with a target and its setval, somebody writes beyond that.
    let target = before + 10 * 1_024;
    session
        .bigint(&format!(
            "SELECT message_store.advance_position({})",
            target + 1_024
        ))
        .await;
    session.run(&write("shelf-1")).await.unwrap();
    let written = session.bigint(drawn).await;
    assert_eq!(
        session
            .bigint(&format!("SELECT message_store.advance_position({target})"))
            .await,
        written
    );
    session
        .run(&format!(
            "SELECT setval('message_store.messages_global_position_seq', {target})"
        ))
        .await
        .unwrap();
    let refusal = session.error(&write("shelf-1")).await;
    assert!(refusal.message.contains("set back"), "{refusal:?}");
}

#[tokio::test]
async fn an_old_map_that_nobody_compares_misses_what_moved() {
    let shards = Cluster::shared().create_shards(1).await;
    let client = shards.client().await;
    for id in 0..20 {
        client.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    let session = shards.shards[0].connect().await;
    session
        .run("SELECT message_store.become_shard(0, 2, 2)")
        .await
        .unwrap();
    let router = shards.router.connect().await;
    let wrong = positions(&router, &merged("true", FURTHEST, "2")).await;
    assert!(wrong.len() < 20, "{}", wrong.len());
    assert_eq!(client.error(crate::MERGED).await.sqlstate, "40001");
}
