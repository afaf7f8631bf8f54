//! Promise: where the disk of the private cluster is full, writers are told so, what was acknowledged
//! stays, and everything goes on by itself once there is room.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs;

use promises::SmallDisk;

#[test]
fn a_full_disk_is_named_and_all_goes_on_once_there_is_room() {
    let small = SmallDisk::start();
    let written = small.say(&["write", "viewings-1", "VideoViewed"]);
    assert_eq!(written.code, Some(0), "{written:?}");

    let filler = small.fill();
    // More than what is left of the page at hand, and of little use to compression.
    let data = format!("{{\"text\": \"{}\"}}", noise(60_000));
    let mut acknowledged = 1;
    let refused = loop {
        let ended = small.say(&["write", "noise-1", "Noise", &data]);
        match ended.code {
            Some(0) => acknowledged += 1,
            _ => break ended,
        }
        assert!(acknowledged < 1_000, "the disk is not full");
    };
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    for part in [
        "No space left on device",
        "Free space",
        "what was not acknowledged",
    ] {
        assert!(refused.stderr.contains(part), "no {part:?} in {refused:?}");
    }

    fs::remove_file(filler).unwrap();
    let again = small.say(&["write", "noise-1", "Noise", &data]);
    assert_eq!(again.code, Some(0), "{again:?}");
    acknowledged += 1;
    let read = small.say(&["read", "$all"]);
    assert_eq!(read.stdout.lines().count(), acknowledged, "{}", read.stderr);
    small.up.stop();
}

/// A store as version 0.2 made it.
const STORE_OF_0_2: &str = include_str!("../fixtures/store-0.2.sql");

#[tokio::test]
async fn an_update_on_a_full_disk_changes_nothing_and_is_made_once_there_is_room() {
    const UPDATE: &str = "ALTER EXTENSION message_store UPDATE";
    const VERSION: &str = "SELECT extversion FROM pg_extension WHERE extname = 'message_store'";
    const WRITE: &str =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', 'A', '{}')";
    let small = SmallDisk::start();
    small
        .connect("postgres")
        .await
        .run("CREATE DATABASE old")
        .await
        .unwrap();
    let session = small.connect("old").await;
    // Not by VERSION '0.2.0': PostgreSQL's shortest way there is back from the present version.
    let create = "CREATE EXTENSION message_store VERSION '0.1.0'; \
                  ALTER EXTENSION message_store UPDATE TO '0.2.0'";
    session.run(create).await.unwrap();
    session.run(STORE_OF_0_2).await.unwrap();
    session.run(WRITE).await.unwrap();
    let filler = small.fill();
    let refused = session.error(UPDATE).await;
    assert_eq!(refused.sqlstate, "53100", "{refused:?}");
    assert_eq!(session.value(VERSION).await.as_deref(), Some("0.2.0"));

    fs::remove_file(filler).unwrap();
    session.run(UPDATE).await.unwrap();
    assert_eq!(
        session.value(VERSION).await.as_deref(),
        Some(env!("CARGO_PKG_VERSION"))
    );
    session.run(WRITE).await.unwrap();
    let messages = "SELECT count(*) FROM message_store.get_category_messages('viewings')";
    assert_eq!(session.bigint(messages).await, 2);
    small.up.stop();
}

/// Letters in an order that does not repeat.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from(state >> 33 & 15).unwrap())
    };
    (0..length).map(letter).collect()
}
