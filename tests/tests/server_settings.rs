//! Promise: whatever a server, database or role sets for its sessions, the orchestrator and its commands
//! work, or say at once why they do not.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, DECLARED_HOME_PAGE, Database, HOME_PAGE, Session};

async fn set(session: &Session, database: &Database<'_>, setting: &str) {
    let sql = format!("ALTER DATABASE {} SET {setting}", database.name);
    session.run(&sql).await.unwrap();
}

/// Ends every session of the database but the asking one.
const END_SESSIONS: &str = "SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid() \
       AND backend_type = 'client backend'";

#[tokio::test]
async fn a_database_that_is_serializable_by_default_is_delivered_and_read() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for isolation in ["serializable", "repeatable read"] {
        let setting = format!("default_transaction_isolation = '{isolation}'");
        set(&session, &database, &setting).await;
        let running = database.deploy(DECLARED_HOME_PAGE).start();
        session.write_viewings(2).await;
        let count = session.videos_watched().await;
        session.wait_for_videos_watched(count + 2).await;
        running.stop();
        for command in [
            &["read", "viewings"][..],
            &["tail", "viewings"],
            &["export", "viewings"],
            &["status"],
            &["subscriptions", "verify", "aggregators:home-page"],
            &["subscriptions", "dry-run", "aggregators:home-page"],
        ] {
            let ended = database.command(command);
            let is_declared = !ended.stderr.contains("declares no read model");
            assert!(
                ended.code == Some(0) || !is_declared,
                "{command:?}: {ended:?}"
            );
        }
    }
}

#[tokio::test]
async fn while_a_database_takes_no_writes_it_is_said_and_then_delivery_goes_on() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let running = database.deploy(HOME_PAGE).start();
    session.write_viewings(1).await;
    session.assert_videos_watched(1).await;
    set(&session, &database, "default_transaction_read_only = on").await;
    session.run(END_SESSIONS).await.unwrap();
    running.wait_for_log("until the database takes writes");
    let ready = format!("{}/readyz", running.home_page());
    let error = ureq::get(&ready).call().unwrap_err();
    assert!(matches!(error, ureq::Error::StatusCode(503)), "{error}");
    let doctor = database.command(&["doctor"]);
    assert_eq!(doctor.code, Some(6), "{doctor:?}");
    assert!(
        doctor.stdout.contains("default_transaction_read_only"),
        "{doctor:?}"
    );
    session
        .run(&format!(
            "ALTER DATABASE {} RESET default_transaction_read_only",
            database.name
        ))
        .await
        .unwrap();
    // No session is ended now: those that only read are given up.
    running.wait_for_log("takes writes again");
    session.write_viewings(1).await;
    session.assert_videos_watched(2).await;
    running.stop();
}

#[tokio::test]
async fn limits_of_time_do_not_end_the_wait_for_messages() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for setting in [
        "statement_timeout = '1s'",
        "lock_timeout = '1s'",
        "idle_session_timeout = '1s'",
        "idle_in_transaction_session_timeout = '1s'",
    ] {
        set(&session, &database, setting).await;
    }
    let running = database.deploy(HOME_PAGE).start();
    session.write_viewings(1).await;
    session.assert_videos_watched(1).await;
    // Several of those limits go by, as the server's clock has it.
    let waiting = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'CALL%wait_for_messages%' \
           AND clock_timestamp() - query_start > '3 s'";
    session.wait_until(&format!("SELECT ({waiting}) = 1")).await;
    session.write_viewings(1).await;
    session.assert_videos_watched(2).await;
    let log = running.log();
    assert!(!log.contains("WARN"), "{log}");
    running.stop();
}

#[tokio::test]
async fn a_time_without_zone_is_utc_whatever_the_session_has() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.write_viewings(1).await;
    for (number, zone) in ["America/New_York", "Asia/Tokyo", "UTC"].iter().enumerate() {
        session
            .run(&format!("SET timezone = '{zone}'"))
            .await
            .unwrap();
        let sql = format!(
            "SELECT message_store.create_subscription('s{number}', 'viewings', \
               '{{\"$any\": \"message_store.increment_videos_watched\"}}', \
               jsonb_build_object('start_from', (SELECT time::text FROM message_store.messages)));
             SELECT message_store.start('s{number}')"
        );
        session.run(&sql).await.unwrap();
        let tick = format!("SELECT handled FROM message_store.tick('s{number}')");
        assert_eq!(session.bigint(&tick).await, 1, "{zone}");
    }
    session.run("SET timezone = 'Asia/Tokyo'").await.unwrap();
    let later = "SELECT message_store.create_subscription('later', 'viewings', \
           '{\"$any\": \"message_store.increment_videos_watched\"}', \
           jsonb_build_object('start_from', \
             (SELECT (time + '1 s')::text FROM message_store.messages)));
         SELECT message_store.start('later')";
    session.run(later).await.unwrap();
    let tick = "SELECT handled FROM message_store.tick('later')";
    assert_eq!(session.bigint(tick).await, 0);
    // With a zone it is what it says.
    let zoned = "SELECT message_store.create_subscription('zoned', 'viewings', \
           '{\"$any\": \"message_store.increment_videos_watched\"}', \
           jsonb_build_object('start_from', (SELECT to_char(time + '9 hours', \
             'YYYY-MM-DD HH24:MI:SS.US+09') FROM message_store.messages)));
         SELECT message_store.start('zoned')";
    session.run(zoned).await.unwrap();
    let tick = "SELECT handled FROM message_store.tick('zoned')";
    assert_eq!(session.bigint(tick).await, 1);
}
