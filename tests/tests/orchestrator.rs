//! Promise: `orchestrator run` delivers what its configuration lists and whatever else is started
//! in the database, one failure does not stop the rest, several may run at once, and a signal ends
//! it in good order.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use nix::sys::signal::Signal;
use promises::{Cluster, DECLARED_HOME_PAGE, Database, HOME_PAGE, Running, Session, run_to_end};

/// `public.slow` waits for the advisory lock 42; `public.record` does not.
const HANDLERS: &str = "
    CREATE TABLE public.handled (handler text, at_position bigint);
    GRANT INSERT ON public.handled TO message_store;
    CREATE FUNCTION public.record(at bigint) RETURNS void LANGUAGE sql AS
      $$ INSERT INTO public.handled VALUES ('record', at) $$;
    CREATE FUNCTION public.slow(at bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_advisory_xact_lock_shared(42);
      INSERT INTO public.handled VALUES ('slow', at);
    END $$";

const SLOW: &str = r#"
[[services]]
subscriber_id = "services:slow"
category = "jobs"
handlers = { Job = "public.slow" }
"#;

async fn store_with_handlers() -> (Database<'static>, Session) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    (database, session)
}

async fn wait_until_at_the_end(session: &Session, subscriber_id: &str) {
    let sql = format!(
        "SELECT coalesce((SELECT position = head FROM message_store.subscription_status \
         WHERE subscriber_id = '{subscriber_id}'), false)"
    );
    session.wait_until(&sql).await;
}

/// Positions given to a handler more than once, or never.
async fn assert_handled_once(session: &Session, handler: &str, category: &str) {
    let sql = format!(
        "SELECT count(*) FROM message_store.messages m LEFT JOIN ( \
           SELECT at_position, count(*) AS times FROM public.handled \
           WHERE handler = '{handler}' GROUP BY 1) h ON h.at_position = m.global_position \
         WHERE message_store.category(m.stream_name) = '{category}' \
           AND h.times IS DISTINCT FROM 1"
    );
    assert_eq!(session.bigint(&sql).await, 0, "{handler}");
}

/// An orchestrator in the middle of a tick of three jobs, which goes on when `session` lets go
/// of the lock.
async fn start_in_a_tick(database: &Database<'_>, session: &Session) -> Running {
    session.run("SELECT pg_advisory_lock(42)").await.unwrap();
    session.write_jobs(3).await;
    let running = database.deploy(SLOW).start();
    session
        .wait_until(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .await;
    running
}

/// The connection that waits for messages.
const WAITER: &str = "SELECT FROM pg_stat_activity WHERE datname = current_database() \
     AND state = 'active' AND query LIKE 'CALL message_store.wait_for_messages%'";

async fn signal_finishes_the_tick(signal: Signal) {
    let (database, session) = store_with_handlers().await;
    let mut running = start_in_a_tick(&database, &session).await;
    session
        .wait_until(&format!("SELECT EXISTS ({WAITER})"))
        .await;
    running.signal(signal);
    // It has begun to end, and yet it waits for the tick.
    session
        .wait_until(&format!("SELECT NOT EXISTS ({WAITER})"))
        .await;
    assert!(running.is_running());
    assert!(!running.log().contains("INFO stopped"));
    session.run("SELECT pg_advisory_unlock(42)").await.unwrap();
    assert_eq!(running.wait_for_exit().code(), Some(0), "{}", running.log());
    running.wait_for_log("INFO stopped");
    assert_handled_once(&session, "slow", "jobs").await;
    wait_until_at_the_end(&session, "services:slow").await;
    let clients = "SELECT count(*) FROM pg_stat_activity \
                   WHERE application_name = 'orchestrator' AND datname = current_database()";
    session.wait_until(&format!("SELECT ({clients}) = 0")).await;
}

#[tokio::test]
async fn sigterm_finishes_the_tick_and_exits_0() {
    signal_finishes_the_tick(Signal::SIGTERM).await;
}

#[tokio::test]
async fn ctrl_c_finishes_the_tick_and_exits_0() {
    signal_finishes_the_tick(Signal::SIGINT).await;
}

#[tokio::test]
async fn a_second_signal_is_obeyed_at_once() {
    let (database, session) = store_with_handlers().await;
    let mut running = start_in_a_tick(&database, &session).await;
    running.signal(Signal::SIGTERM);
    running.wait_for_log("finishing what runs");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait_for_exit().code(), Some(130));
    // The tick was the server's by then: it is done all the same, and once.
    session.run("SELECT pg_advisory_unlock(42)").await.unwrap();
    let again = database.deploy(SLOW).start();
    wait_until_at_the_end(&session, "services:slow").await;
    assert_handled_once(&session, "slow", "jobs").await;
    again.stop();
}

#[tokio::test]
async fn a_failing_subscription_stops_nobody_and_recovers_when_repaired() {
    const BROKEN: &str = r#"
        [[aggregators]]
        subscriber_id = "broken:unknown"
        category = "viewings"
        handlers = { VideoViewed = "public.unknown" }
        [[services]]
        subscriber_id = "broken:raising"
        category = "viewings"
        handlers = { VideoViewed = "public.raising" }
        on_failure = { retries = 1000, retry_delay_ms = 20, retry_max_delay_ms = 100 }
    "#;
    let (database, session) = store_with_handlers().await;
    session
        .run(
            "CREATE FUNCTION public.raising(at bigint) RETURNS void LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'not today'; END $$",
        )
        .await
        .unwrap();
    let mut running = database.deploy(&(BROKEN.to_owned() + HOME_PAGE)).start();
    session.write_viewings(2_500).await;
    session.assert_videos_watched(2_500).await;
    let raised = running.wait_for_log("handler failed, will try again: not today");
    assert!(
        raised.contains("subscriber_id=\"broken:raising\""),
        "{raised}"
    );
    assert!(raised.contains("sqlstate=\"P0001\""), "{raised}");
    let unknown = running.wait_for_log("not started, will try again");
    assert!(unknown.contains("broken:unknown"), "{unknown}");
    assert!(unknown.contains("public.unknown"), "{unknown}");
    // Still there, and still counting.
    session.write_viewings(1).await;
    session.assert_videos_watched(2_501).await;
    assert!(running.is_running());
    assert_eq!(
        session.bigint("SELECT count(*) FROM public.handled").await,
        0
    );

    for name in ["unknown", "raising"] {
        let repair = format!(
            "CREATE OR REPLACE FUNCTION public.{name}(at bigint) RETURNS void LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO public.handled VALUES ('{name}', at); END $$"
        );
        session.run(&repair).await.unwrap();
        wait_until_at_the_end(&session, &format!("broken:{name}")).await;
        assert_handled_once(&session, name, "viewings").await;
    }
    running.wait_for_log("delivering again subscriber_id=\"broken:raising\"");
    session.assert_videos_watched(2_501).await;
    // Each trouble is said once, however often it is tried again.
    for said in ["not today", "not started, will try again"] {
        assert_eq!(running.log().matches(said).count(), 1, "{}", running.log());
    }
    running.stop();
}

#[tokio::test]
async fn services_may_be_empty_or_absent_and_so_may_aggregators() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for (round, services) in [(1, "services = []\n"), (2, "")] {
        let running = database.deploy(&format!("{services}{HOME_PAGE}")).start();
        session.write_viewings(1).await;
        session.assert_videos_watched(round).await;
        running.stop();
    }
    let running = database.deploy("aggregators = []\nservices = []\n").start();
    running.wait_for_log("delivering what the database has started");
    running.home_page();
    running.stop();
}

#[tokio::test]
async fn two_orchestrators_share_one_configuration_and_count_once() {
    const BOTH: &str = r#"
        [[services]]
        subscriber_id = "services:recorder"
        category = "viewings"
        handlers = { "$any" = "public.record" }
    "#;
    let (database, session) = store_with_handlers().await;
    let deployment = database.deploy(&(BOTH.to_owned() + HOME_PAGE));
    let first = deployment.start();
    let second = deployment.start();
    for _ in 0..20 {
        session.write_viewings(1_000).await;
    }
    session.assert_videos_watched(20_000).await;
    wait_until_at_the_end(&session, "services:recorder").await;
    assert_handled_once(&session, "record", "viewings").await;
    first.kill();
    session.write_viewings(1_000).await;
    session.assert_videos_watched(21_000).await;
    wait_until_at_the_end(&session, "services:recorder").await;
    assert_handled_once(&session, "record", "viewings").await;
    second.stop();
}

/// Without an entry in any configuration; the owner is the superuser.
const DECLARE_BY_SQL: &str = "
    SELECT message_store.create_subscription('sql:recorder', 'jobs', '{\"Job\": \"public.record\"}');
    SELECT message_store.start('sql:recorder')";

async fn jobs_handled(session: &Session, at_least: i64) {
    let sql = format!("SELECT count(*) >= {at_least} FROM public.handled");
    session.wait_until(&sql).await;
}

#[tokio::test]
async fn what_is_started_paused_and_dropped_by_sql_is_followed_without_a_restart() {
    let (database, session) = store_with_handlers().await;
    let running = database.deploy("").start();
    running.wait_for_log("delivering what the database has started");
    session.write_jobs(3).await;
    session.run(DECLARE_BY_SQL).await.unwrap();
    wait_until_at_the_end(&session, "sql:recorder").await;
    running.wait_for_log("delivering subscriber_id=\"sql:recorder\" source=\"jobs\"");

    let steer = |call: &str| format!("SELECT message_store.{call}");
    let rounds = [("pause('sql:recorder')", 3), ("stop('sql:recorder')", 4)];
    for (round, (end, handled)) in rounds.into_iter().enumerate() {
        session.run(&steer(end)).await.unwrap();
        running.wait_for_logs("no longer delivering", round + 1);
        session.write_jobs(1).await;
        let count = "SELECT count(*) FROM public.handled";
        assert_eq!(session.bigint(count).await, handled, "after {end}");
        session.run(&steer("start('sql:recorder')")).await.unwrap();
        jobs_handled(&session, handled + 1).await;
        // A tick that ran while it was paused may have been the one.
        running.wait_for_logs("INFO delivering subscriber_id", round + 2);
    }
    session
        .run(&steer("reset('sql:recorder', 0, 'once more')"))
        .await
        .unwrap();
    jobs_handled(&session, 10).await;
    session
        .run(&steer("drop_subscription('sql:recorder')"))
        .await
        .unwrap();
    running.wait_for_logs("no longer delivering", 3);
    running.stop();
}

#[tokio::test]
async fn what_belongs_to_another_role_is_ticked_all_the_same() {
    const THEIRS: &str = r#"
        [[services]]
        subscriber_id = "sql:recorder"
        category = "jobs"
        handlers = { Job = "public.record" }
    "#;
    let (database, session) = store_with_handlers().await;
    session.run(DECLARE_BY_SQL).await.unwrap();
    session.write_jobs(3).await;
    let running = database.deploy(THEIRS).start();
    let refused = running.wait_for_log("not started, will try again");
    assert!(refused.contains("42501"), "{refused}");
    jobs_handled(&session, 3).await;
    running.stop();
}

#[tokio::test]
async fn a_subscription_that_failed_for_good_stays_stopped_until_somebody_starts_it() {
    const STOPS: &str = r#"
        [[services]]
        subscriber_id = "services:raising"
        category = "jobs"
        handlers = { Job = "public.raising" }
        on_failure = { retries = 2, retry_delay_ms = 10, retry_max_delay_ms = 20 }
    "#;
    let (database, session) = store_with_handlers().await;
    let handler = |body: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION public.raising(at bigint) RETURNS void LANGUAGE plpgsql AS \
             $$ BEGIN {body} END $$"
        )
    };
    let raise = handler("RAISE EXCEPTION 'not ever' USING ERRCODE = '22012';");
    session.run(&raise).await.unwrap();
    session.write_jobs(1).await;
    let deployment = database.deploy(STOPS);
    let running = deployment.start();
    let stopped = running.wait_for_log("ERROR stopped by a failure");
    assert!(stopped.contains("services:raising"), "{stopped}");
    assert!(
        stopped.contains("22012") && stopped.contains("not ever"),
        "{stopped}"
    );
    running.stop();

    let insert = handler("INSERT INTO public.handled VALUES ('raising', at);");
    session.run(&insert).await.unwrap();
    let running = deployment.start();
    let left = running.wait_for_log("declared subscriber_id=\"services:raising\"");
    assert!(left.contains("state=\"stopped\""), "{left}");
    let state = "SELECT state FROM message_store.subscription_status";
    assert_eq!(session.value(state).await.as_deref(), Some("stopped"));
    session
        .run("SELECT message_store.start('services:raising')")
        .await
        .unwrap();
    wait_until_at_the_end(&session, "services:raising").await;
    assert_handled_once(&session, "raising", "jobs").await;
    running.stop();
}

#[tokio::test]
async fn members_of_a_group_work_side_by_side_even_in_one_orchestrator() {
    const GROUP: &str = r#"
        [[services]]
        subscriber_id = "services:group"
        category = "jobs"
        handlers = { Job = "public.slow" }
        group_size = 3
    "#;
    let (database, session) = store_with_handlers().await;
    session.run("SELECT pg_advisory_lock(42)").await.unwrap();
    session
        .run(
            "SELECT count(message_store.write_message(gen_random_uuid()::varchar, 'jobs-' || n, \
             'Job', '{}')) FROM generate_series(1, 100) n",
        )
        .await
        .unwrap();
    let running = database.deploy(GROUP).start();
    session
        .wait_until(
            "SELECT count(*) = 3 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
    session.run("SELECT pg_advisory_unlock(42)").await.unwrap();
    jobs_handled(&session, 100).await;
    assert_handled_once(&session, "slow", "jobs").await;
    running.stop();
}

#[tokio::test]
async fn a_frozen_orchestrator_holds_nobody_up_and_does_no_harm_when_it_wakes() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let deployment = database.deploy(HOME_PAGE);
    let (first, second) = (deployment.start(), deployment.start());
    for round in 1..=10 {
        first.signal(Signal::SIGSTOP);
        session.write_viewings(500).await;
        session.assert_videos_watched(round * 500).await;
        first.signal(Signal::SIGCONT);
    }
    first.stop();
    second.stop();
}

#[tokio::test]
async fn a_superuser_ticks_only_where_the_configuration_says_so() {
    let (database, session) = store_with_handlers().await;
    let mut deployment = database.deploy(SLOW);
    deployment.url = database.url("postgres");
    let ended = run_to_end(&mut deployment.run());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("is a superuser"), "{ended:?}");
    assert!(ended.stderr.contains("CREATE ROLE"), "{ended:?}");

    let mut run = deployment.run();
    run.env("ORCHESTRATOR__DATABASE__ALLOW_SUPERUSER", "true");
    let running = Running::start(&mut run);
    running.wait_for_log("ticks and has SUPERUSER");
    session.write_jobs(1).await;
    wait_until_at_the_end(&session, "services:slow").await;
    assert_handled_once(&session, "slow", "jobs").await;
    running.stop();
}

/// A role of this test's own that may tick, and log in.
async fn create_ticker(database: &Database<'_>, session: &Session, attributes: &str) -> String {
    let role = format!("ticker_of_{}", database.name);
    let create = format!("CREATE ROLE {role} LOGIN {attributes}; GRANT message_store TO {role}");
    session.run(&create).await.unwrap();
    role
}

#[tokio::test]
async fn a_superuser_is_refused_before_there_is_a_store() {
    let database = Cluster::shared().create_database().await;
    let mut deployment = database.deploy(SLOW);
    deployment.url = database.url("postgres");
    let ended = run_to_end(&mut deployment.run());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("is a superuser"), "{ended:?}");
    let session = database.connect().await;
    session.run("CREATE EXTENSION message_store").await.unwrap();
    let ended = run_to_end(&mut deployment.run());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let has_store = "SELECT to_regclass('message_store.messages') IS NOT NULL";
    assert_eq!(session.value(has_store).await.as_deref(), Some("f"));
}

#[tokio::test]
async fn who_acts_as_another_or_may_become_a_superuser_is_refused_too() {
    let (database, session) = store_with_handlers().await;
    let role = create_ticker(&database, &session, "NOINHERIT").await;
    let grant = format!("GRANT postgres TO {role}");
    session.run(&grant).await.unwrap();
    let as_another = format!("{}&options=-c%20role%3D", database.url("postgres"));
    for (url, who) in [
        (database.url(&role), role.as_str()),
        (as_another.clone() + "message_store", "postgres"),
    ] {
        let mut deployment = database.deploy(SLOW);
        deployment.url = url;
        let ended = run_to_end(&mut deployment.run());
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let refusal = format!("the role {who} is a superuser, or may become one");
        assert!(ended.stderr.contains(&refusal), "{ended:?}");
    }
    session
        .run(&format!("REVOKE postgres FROM {role}; DROP ROLE {role}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_ticking_role_could_become_is_warned_of() {
    let (database, session) = store_with_handlers().await;
    let role = create_ticker(&database, &session, "NOINHERIT CREATEROLE").await;
    let grant = format!("GRANT pg_write_server_files TO {role}");
    session.run(&grant).await.unwrap();
    let mut deployment = database.deploy(SLOW);
    deployment.url = database.url(&role);
    let running = deployment.start();
    let warning = format!("the role {role} ticks and has CREATEROLE, pg_write_server_files");
    // It may not wait for messages, so it connects again and again.
    running.wait_for_logs("connected to", 2);
    assert_eq!(running.log().matches(&warning).count(), 1);
    running.stop();
}

#[tokio::test]
async fn nothing_is_ticked_while_the_role_cannot_be_looked_at() {
    let (database, session) = store_with_handlers().await;
    session
        .run("REVOKE SELECT ON pg_catalog.pg_roles FROM PUBLIC")
        .await
        .unwrap();
    session.write_jobs(1).await;
    let running = database.deploy(SLOW).start();
    running.wait_for_logs("permission denied for view pg_roles", 2);
    let declared = "SELECT count(*) FROM message_store.subscriptions";
    assert_eq!(session.bigint(declared).await, 0);
    session
        .run("GRANT SELECT ON pg_catalog.pg_roles TO PUBLIC")
        .await
        .unwrap();
    wait_until_at_the_end(&session, "services:slow").await;
    assert_handled_once(&session, "slow", "jobs").await;
    running.stop();
}

#[tokio::test]
async fn a_role_that_has_become_a_superuser_ticks_no_more_after_a_reconnect() {
    let (database, session) = store_with_handlers().await;
    let role = create_ticker(&database, &session, "").await;
    session
        .run(&format!("GRANT INSERT ON public.handled TO {role}"))
        .await
        .unwrap();
    let mut deployment = database.deploy(SLOW);
    deployment.url = database.url(&role);
    let running = deployment.start();
    running.wait_for_log("connected to");
    let disconnect =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    let alter = format!("ALTER ROLE {role} SUPERUSER");
    session.run(&alter).await.unwrap();
    session.run(&disconnect).await.unwrap();
    running.wait_for_log(&format!("the role {role} is a superuser"));
    session.write_jobs(1).await;
    running.wait_for_log("services:slow");
    let handled = "SELECT count(*) FROM public.handled";
    assert_eq!(session.bigint(handled).await, 0);

    let alter = format!("ALTER ROLE {role} NOSUPERUSER CREATEROLE");
    session.run(&alter).await.unwrap();
    wait_until_at_the_end(&session, "services:slow").await;
    assert_handled_once(&session, "slow", "jobs").await;
    running.wait_for_log(&format!("the role {role} ticks and has CREATEROLE"));
    running.stop();
}

#[tokio::test]
async fn powers_of_the_dashboards_role_are_warned_of() {
    let (database, _session) = store_with_handlers().await;
    let running = database
        .deploy(&format!(
            "[dashboard]\nenabled = true\nlisten = \"127.0.0.1:0\"\nurl = \"{}\"\n",
            database.url("postgres")
        ))
        .start();
    running.wait_for_log("the role postgres serves the dashboard and has SUPERUSER");
    running.stop();
}

#[tokio::test]
async fn a_copy_that_is_promoted_is_no_trouble() {
    const ID: &str = "aggregators:home-page";
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let running = database.deploy(DECLARED_HOME_PAGE).start();
    session.write_viewings(3).await;
    session.assert_videos_watched(3).await;
    for _ in 1..=4 {
        session
            .run(&format!("SELECT message_store.rebuild('{ID}', true)"))
            .await
            .unwrap();
        let is_filled =
            format!("SELECT lag = 0 FROM message_store.subscription_status WHERE copy_of = '{ID}'");
        session.wait_until(&is_filled).await;
        session
            .run(&format!("SELECT message_store.promote('{ID}')"))
            .await
            .unwrap();
        // Whoever still knows the copy finds it gone, before or when the next list is made.
        session.write_viewings(1).await;
    }
    running.wait_for_log("no longer delivering");
    session.assert_videos_watched(7).await;
    let log = running.log();
    assert!(!log.contains("WARN"), "{log}");
    running.stop();
}
