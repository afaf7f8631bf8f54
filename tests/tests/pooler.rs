//! Promise: through pgbouncer in transaction mode the orchestrator delivers, and nothing that it sets or
//! prepares reaches the transactions of other applications.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, DEMO, Ended, PgBouncer, Session, orchestrator, run_to_end};

/// What an application finds in a session of the pooler's.
const SETTINGS: &str = "SELECT concat_ws(' ', current_setting('search_path'), \
       current_setting('synchronous_commit'), current_setting('statement_timeout'), \
       current_setting('default_transaction_isolation'), \
       (SELECT string_agg(name || ' ' || statement, ';') FROM pg_prepared_statements), \
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))";

/// Transactions of an application that look what was left to it.
const LOOKS: usize = 300;

fn command(url: &str, arguments: &[&str]) -> Ended {
    let mut command = orchestrator();
    run_to_end(command.args(arguments).args(["--url", url]))
}

async fn look(application: &Session) {
    let expected = "\"$user\", public on 0 read committed 0";
    for _ in 0..LOOKS {
        let found = application.value(SETTINGS).await.unwrap();
        assert_eq!(found, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_pooler_everything_is_delivered_and_nothing_is_left_to_others() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.install_home_page().await;
    // Fewer sessions than clients, so that they take turns.
    let pooler = PgBouncer::start(&cluster, 2);
    let url = pooler.url(&database, "message_store");

    let wait_url = database.url("message_store");
    let mut deployment = database.deploy_with_dashboard(DEMO).await;
    deployment.url = url.clone();
    let mut run = deployment.run();
    run.args(["--set", &format!("database.wait_url={wait_url}")]);
    let running = promises::Running::start(&mut run);
    running.home_page();
    let application = pooler.connect(&database, "message_store").await;
    for round in 1..=5 {
        session.write_viewings(20).await;
        look(&application).await;
        session.wait_for_videos_watched(20 * round).await;
    }
    for arguments in [
        &["read", "viewings", "--limit", "3"][..],
        &["tail", "viewings"],
        &["status"],
        &["parked", "list"],
        &["subscriptions", "show", "aggregators:home-page"],
        &["subscriptions", "pause", "aggregators:most-watched"],
        &["subscriptions", "start", "aggregators:most-watched"],
    ] {
        let ended = command(&url, arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        look(&application).await;
    }
    let doctor = command(&url, &["doctor"]).stdout;
    assert!(doctor.contains("leads to a pooler"), "{doctor}");
    session.assert_videos_watched(100).await;
    let log = running.log();
    for unprepared in ["SQLSTATE 26000", "sqlstate=\"26000\"", "ERROR"] {
        assert!(!log.contains(unprepared), "{log}");
    }
    running.stop();
}

#[tokio::test]
async fn what_needs_a_session_of_its_own_says_so_and_what_to_name() {
    let cluster = Cluster::shared();
    let database = cluster.create_store().await;
    let pooler = PgBouncer::start(cluster, 5);
    let url = pooler.url(&database, "message_store");
    let mut deployment = database.deploy("");
    deployment.url = url.clone();
    let ended = run_to_end(&mut deployment.run());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("wait_url"), "{ended:?}");
    let ended = command(&url, &["tail", "viewings", "--follow"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("pooler"), "{ended:?}");
}
