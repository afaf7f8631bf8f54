//! Looks that keep nothing: `verify` and `dry_run`.

use super::{COPIES, OWN, OWN_OPTIONS, OWN_READ_MODEL, view, with_aggregators};
use crate::subscriber::{create_with, texts, tick, tick_to_the_end, with_recorders, write};
use promises::Cluster;

#[tokio::test]
async fn verify_finds_every_row_that_differs_and_no_other() {
    let (_database, session) = with_aggregators().await;
    view(&session, 50).await;
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    for subscriber in ["home", "most"] {
        let verify = format!("SELECT * FROM message_store.verify('{subscriber}')");
        assert_eq!(texts(&session, &verify).await, [""; 0]);
    }
    session
        .run(
            "UPDATE message_store.video_views SET views = 77 WHERE video_id = '3';
             DELETE FROM message_store.video_views WHERE video_id = '4';
             INSERT INTO message_store.video_views VALUES ('invented', 1);
             UPDATE message_store.read_model_pages SET page_data = page_data || '{\"x\": 1}'
             WHERE page_name = 'home'",
        )
        .await
        .unwrap();
    let before = session
        .run("SELECT xmin, ctid, * FROM message_store.video_views")
        .await
        .unwrap();
    let verify = "SELECT read_model, difference, expected->>'video_id', expected->>'views', \
                  found->>'video_id', found->>'views' FROM message_store.verify('most') ORDER BY 2";
    assert_eq!(
        texts(&session, verify).await,
        [
            "message_store.video_views different 3 4 3 77",
            "message_store.video_views missing 4 4 - -",
            "message_store.video_views unexpected - - invented 1",
        ]
    );
    let verify = "SELECT difference, found->'page_data'->>'x' FROM message_store.verify('home')";
    assert_eq!(texts(&session, verify).await, ["different 1"]);
    assert_eq!(
        session
            .run("SELECT xmin, ctid, * FROM message_store.video_views")
            .await
            .unwrap(),
        before,
        "it only looks"
    );
    assert_eq!(texts(&session, COPIES).await, [""; 0]);
    let position = "SELECT DISTINCT position FROM message_store.subscription_status";
    assert_eq!(texts(&session, position).await, ["50"]);
}

#[tokio::test]
async fn dry_run_shows_what_a_handler_would_change_and_keeps_nothing() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    session
        .run(
            "ALTER TABLE own.lines ADD PRIMARY KEY (position);
             CREATE FUNCTION own.changed(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               INSERT INTO lines VALUES ((message).global_position, 'new');
               UPDATE lines SET text = 'old' WHERE position = 1;
               DELETE FROM lines WHERE position = 2;
             END $$",
        )
        .await
        .unwrap();
    create_with(&session, "s", "a", OWN, OWN_OPTIONS).await;
    for message_type in ["A", "B", "C", "D"] {
        write(&session, "a-1", message_type).await;
    }
    tick(&session, "s", 2).await;
    let everything = "SELECT 'l', xmin::text, l::text FROM own.lines l UNION ALL
                      SELECT 'p', p.xmin::text, p::text FROM message_store.subscription_progress p";
    let before = session.run(everything).await.unwrap();
    let dry_run = |arguments: &str| {
        format!(
            "SELECT read_model, difference, before->>'text', after->>'text', \
             after->>'position' FROM message_store.dry_run('s'{arguments}) \
             ORDER BY coalesce(before->>'position', after->>'position')"
        )
    };
    assert_eq!(
        texts(&session, &dry_run("")).await,
        ["own.lines added - C 3", "own.lines added - D 4"]
    );
    let changed = ", '{\"$any\": \"own.changed\"}', 1";
    assert_eq!(
        texts(&session, &dry_run(changed)).await,
        [
            "own.lines changed A old 1",
            "own.lines removed B - -",
            "own.lines added - new 3",
        ]
    );
    assert_eq!(session.run(everything).await.unwrap(), before);
    assert_eq!(texts(&session, COPIES).await, [""; 0]);

    // And over parked messages.
    write(&session, "a-2", "Bad").await;
    write(&session, "a-2", "E").await;
    tick_to_the_end(&session, "s").await;
    let failing = session.error(&dry_run(", parked => true")).await;
    assert_eq!(failing.sqlstate, "38000", "{failing:?}");
    assert!(failing.message.contains("bad"), "{failing:?}");
    let repaired = ", '{\"$any\": \"own.changed\"}', parked => true";
    assert_eq!(
        texts(&session, &dry_run(repaired)).await,
        [
            "own.lines changed A old 1",
            "own.lines removed B - -",
            "own.lines added - new 5",
        ]
    );
    let parked = "SELECT global_position, status, attempts FROM message_store.parked_messages \
                  ORDER BY 1";
    assert_eq!(texts(&session, parked).await, ["5 failed 1", "6 waiting 0"]);

    // And over some of them only.
    write(&session, "a-3", "Bad").await;
    tick_to_the_end(&session, "s").await;
    let copies = ", '{\"$any\": \"own.copy\"}', global_positions => ";
    let copy = "CREATE FUNCTION own.copy(message message_store.message) RETURNS void \
         LANGUAGE sql AS $$ INSERT INTO lines VALUES ((message).global_position, 'copy') $$";
    session.run(copy).await.unwrap();
    for (among, added) in [
        ("'{7}'", &["own.lines added - copy 7"][..]),
        ("'{1,7,NULL,99}'", &["own.lines added - copy 7"]),
        ("'{}'", &[]),
        (
            "'{5,7}'",
            &["own.lines added - copy 5", "own.lines added - copy 7"],
        ),
    ] {
        let tried = texts(&session, &dry_run(&format!("{copies}{among}"))).await;
        let added_only: Vec<_> = tried.iter().filter(|row| !row.contains("copy 6")).collect();
        assert_eq!(added_only, added, "{among}");
    }
    assert_eq!(texts(&session, parked).await[2], "7 failed 1");
}
