//! Promise: the home page counts as the chapter's own SQL counts, whatever order positions come
//! in and however often.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Session, check_property};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::runtime::Runtime;

/// The reference: one conditional UPDATE of the chapter's page, with bigint for its numbers.
const REFERENCE: &str = "
    CREATE TABLE public.pages AS TABLE message_store.read_model_pages;
    CREATE FUNCTION public.count_viewing(viewed bigint) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE public.pages
         SET page_data = jsonb_set(
               jsonb_set(page_data, '{videosWatched}',
                         to_jsonb((page_data->>'videosWatched')::bigint + 1)),
               '{lastViewProcessed}', to_jsonb(viewed))
       WHERE page_name = 'home' AND (page_data->>'lastViewProcessed')::bigint < viewed;
      RETURN FOUND;
    END $$";

/// A page that only other applications know the rest of.
const EXTRA_KEYS: &str = "{\"lastViewProcessed\": 0, \"videosWatched\": 0, \"title\": \"Größe\", \
     \"nested\": {\"a\": [1, null]}, \"n\": 1.50}";

async fn page(session: &Session) -> serde_json::Value {
    let page = "SELECT page_data FROM message_store.read_model_pages WHERE page_name = 'home'";
    serde_json::from_str(&session.value(page).await.unwrap()).unwrap()
}

/// A session in a store with a home page and the reference beside it.
async fn with_reference() -> Session {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run("SELECT message_store.ensure_home_page()")
        .await
        .unwrap();
    session.run(REFERENCE).await.unwrap();
    session
}

fn positions() -> impl Strategy<Value = Vec<i64>> {
    let position = prop_oneof![
        8 => 0..30_i64,
        2 => (1_i64 << 31) - 3..(1_i64 << 31) + 3,
        1 => i64::MAX - 3..=i64::MAX,
        1 => i64::MIN..=0,
    ];
    prop::collection::vec(position, 0..25)
}

#[test]
fn any_order_of_positions_counts_as_the_chapters_update_counts() {
    let runtime = Runtime::new().unwrap();
    let session = runtime.block_on(with_reference());
    let strategy = (positions(), any::<bool>());
    check_property(&runtime, 300, &strategy, |(positions, extra_keys)| {
        let session = &session;
        async move {
            let page = if extra_keys {
                EXTRA_KEYS
            } else {
                "{\"lastViewProcessed\": 0, \"videosWatched\": 0}"
            };
            for table in ["message_store.read_model_pages", "public.pages"] {
                let reset = format!("UPDATE {table} SET page_data = '{page}'");
                session.run(&reset).await.unwrap();
            }
            for position in positions {
                let both = format!(
                    "SELECT message_store.increment_videos_watched('{position}'::bigint), \
                            public.count_viewing('{position}')"
                );
                let answers = session.run(&both).await.unwrap().remove(0);
                prop_assert_eq!(&answers[0], &answers[1], "at position {}", position);
            }
            let pages = "SELECT ours.page_data, reference.page_data \
                         FROM message_store.read_model_pages ours, public.pages reference";
            let pages = session.run(pages).await.unwrap().remove(0);
            prop_assert_eq!(&pages[0], &pages[1]);
            Ok::<(), TestCaseError>(())
        }
    });
}

#[test]
fn a_run_of_positions_counts_as_one_after_the_other() {
    let runtime = Runtime::new().unwrap();
    let session = runtime.block_on(with_reference());
    let strategy = prop::collection::vec(positions(), 1..5);
    check_property(&runtime, 300, &strategy, |runs| {
        let session = &session;
        async move {
            for table in ["message_store.read_model_pages", "public.pages"] {
                let reset = format!(
                    "UPDATE {table} SET page_data = '{{\"lastViewProcessed\": 0, \"videosWatched\": 0}}'"
                );
                session.run(&reset).await.unwrap();
            }
            for run in runs {
                let both = format!(
                    "SELECT message_store.increment_videos_watched(positions), \
                            coalesce((SELECT bool_or(public.count_viewing(position)) \
                                        FROM unnest(positions) position), false) \
                       FROM (VALUES ('{{{}}}'::bigint[])) run (positions)",
                    run.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
                );
                let answers = session.run(&both).await.unwrap().remove(0);
                prop_assert_eq!(&answers[0], &answers[1], "run {:?}", run);
            }
            let pages = "SELECT ours.page_data, reference.page_data \
                         FROM message_store.read_model_pages ours, public.pages reference";
            let pages = session.run(pages).await.unwrap().remove(0);
            prop_assert_eq!(&pages[0], &pages[1]);
            Ok::<(), TestCaseError>(())
        }
    });
}

#[tokio::test]
async fn counts_and_positions_go_on_beyond_31_bits() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "INSERT INTO message_store.read_model_pages VALUES \
             ('home', '{\"lastViewProcessed\": 2147483647, \"videosWatched\": 2147483647}')",
        )
        .await
        .unwrap();
    let count = "SELECT message_store.increment_videos_watched(2147483648)";
    assert_eq!(session.value(count).await.as_deref(), Some("t"));
    assert_eq!(session.value(count).await.as_deref(), Some("f"));
    let expected = serde_json::json!({
        "lastViewProcessed": 2_147_483_648_i64, "videosWatched": 2_147_483_648_i64
    });
    assert_eq!(page(&session).await, expected);
}

#[tokio::test]
async fn keys_of_others_survive_a_count() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let insert =
        format!("INSERT INTO message_store.read_model_pages VALUES ('home', '{EXTRA_KEYS}')");
    session.run(&insert).await.unwrap();
    session
        .run("SELECT message_store.increment_videos_watched(7)")
        .await
        .unwrap();
    let mut expected: serde_json::Value = serde_json::from_str(EXTRA_KEYS).unwrap();
    expected["lastViewProcessed"] = 7.into();
    expected["videosWatched"] = 1.into();
    assert_eq!(page(&session).await, expected);
}

#[tokio::test]
async fn without_its_row_nothing_is_counted() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let insert = "INSERT INTO message_store.read_model_pages VALUES ('other', '{}')";
    session.run(insert).await.unwrap();
    let counted = session
        .value("SELECT message_store.increment_videos_watched(1)")
        .await;
    assert_eq!(counted.as_deref(), Some("f"));
    let rows = session
        .run("SELECT * FROM message_store.read_model_pages")
        .await
        .unwrap();
    assert_eq!(
        rows,
        vec![vec![Some("other".to_owned()), Some("{}".to_owned())]]
    );
}

#[tokio::test]
async fn making_the_page_again_changes_nothing() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run("SELECT message_store.ensure_home_page()")
        .await
        .unwrap();
    let empty = serde_json::json!({ "lastViewProcessed": 0, "videosWatched": 0 });
    assert_eq!(page(&session).await, empty);
    session
        .run("SELECT message_store.increment_videos_watched(5)")
        .await
        .unwrap();
    let row = "SELECT xmin, ctid, * FROM message_store.read_model_pages";
    let before = session.run(row).await.unwrap();
    session
        .run("SELECT message_store.ensure_home_page()")
        .await
        .unwrap();
    assert_eq!(
        session.run(row).await.unwrap(),
        before,
        "not even rewritten"
    );
}

/// Gives the handler a run of viewings by their positions.
fn show_viewings(positions: &[i64]) -> String {
    let messages: Vec<String> = positions
        .iter()
        .map(|position| {
            format!(
                "(gen_random_uuid(), 'viewings-{}', 'VideoViewed', 0, {position}, '{{}}', NULL, \
                 '2026-01-01'::timestamp + {position} * '1 s'::interval)::message_store.message",
                position % 3
            )
        })
        .collect();
    format!(
        "SELECT message_store.count_views_per_video(ARRAY[{}])",
        messages.join(", ")
    )
}

/// The positions of the last viewings, as the page has them.
async fn recent(session: &Session) -> Vec<i64> {
    let page = "SELECT page_data -> 'recent' FROM message_store.read_model_pages \
                WHERE page_name = 'most-watched'";
    let recent: serde_json::Value =
        serde_json::from_str(&session.value(page).await.unwrap()).unwrap();
    let viewings = recent.as_array().unwrap();
    let position = |viewing: &serde_json::Value| viewing["globalPosition"].as_i64().unwrap();
    viewings.iter().map(position).collect()
}

#[tokio::test]
async fn the_last_viewings_are_the_same_in_whatever_runs_they_come() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.install_home_page().await;
    session
        .run("SELECT message_store.ensure_most_watched()")
        .await
        .unwrap();
    assert_eq!(recent(&session).await, [0; 0]);
    // A parked message comes late, and members of a group in no common order.
    for (run, expected) in [
        (vec![5, 6], vec![6, 5]),
        (vec![2], vec![6, 5, 2]),
        ((10..30).collect(), (20..30).rev().collect()),
        (vec![7, 25_000_000_000], {
            let mut expected: Vec<i64> = (21..30).rev().collect();
            expected.insert(0, 25_000_000_000);
            expected
        }),
    ] {
        session.run(&show_viewings(&run)).await.unwrap();
        assert_eq!(recent(&session).await, expected, "after {run:?}");
    }
    let newest = "SELECT page_data -> 'recent' -> 1 FROM message_store.read_model_pages \
                  WHERE page_name = 'most-watched'";
    let newest: serde_json::Value =
        serde_json::from_str(&session.value(newest).await.unwrap()).unwrap();
    let expected = serde_json::json!({
        "videoId": "2", "globalPosition": 29, "time": "2026-01-01T00:00:29.000000Z"
    });
    assert_eq!(newest, expected);
}

#[tokio::test]
async fn a_page_that_somebody_broke_is_made_whole_by_the_next_viewing() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.install_home_page().await;
    for broken in [
        "NULL",
        "'{}'",
        "'[]'",
        "'7'",
        "'{\"videos\": [], \"recent\": 7}'",
        "'{\"recent\": [null, 7, [], {}, {\"globalPosition\": \"x\"}]}'",
    ] {
        let page = format!(
            "INSERT INTO message_store.read_model_pages VALUES ('most-watched', {broken}) \
             ON CONFLICT (page_name) DO UPDATE SET page_data = excluded.page_data"
        );
        session.run(&page).await.unwrap();
        session.run(&show_viewings(&[3, 4])).await.unwrap();
        assert_eq!(recent(&session).await, [4, 3], "after {broken}");
    }
}
