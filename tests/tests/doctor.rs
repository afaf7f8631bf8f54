//! Promise: `doctor` finds what endangers a store, says what to do, and finds nothing where nothing
//! is wrong.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Database, Ended, Running, orchestrator, run_to_end};
use serde_json::Value;

fn doctor(database: &Database<'_>, role: &str, more: &[&str]) -> Ended {
    let mut command = orchestrator();
    command.args(["doctor", "--url", &database.url(role)]);
    run_to_end(command.args(more))
}

/// What it found that is not as it should be, but for the durability that clusters of tests do
/// without.
fn found(database: &Database<'_>, role: &str) -> Vec<String> {
    let mut found = all_found(database, role);
    found.retain(|finding| !finding.starts_with("durability"));
    found
}

/// `check, level: finding | repair`.
fn all_found(database: &Database<'_>, role: &str) -> Vec<String> {
    let ended = doctor(database, role, &["--json", "--blocked-for", "0"]);
    let findings: Vec<Value> =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let problems = findings
        .iter()
        .filter(|finding| finding["level"] == "problem")
        .count();
    let code = if problems == 0 { 0 } else { 6 };
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let text = |finding: &Value| {
        let part = |name: &str| finding[name].as_str().unwrap().to_owned();
        let [check, level] = ["check", "level"].map(part);
        format!("{check}, {level}: {} | {}", part("finding"), part("repair"))
    };
    let unwell = findings.iter().filter(|finding| finding["level"] != "ok");
    unwell.map(text).collect()
}

fn assert_found(found: &[String], parts: &[&str]) {
    let is_it = |finding: &&String| parts.iter().all(|part| finding.contains(part));
    assert!(found.iter().any(|one| is_it(&one)), "{parts:?}: {found:#?}");
}

#[tokio::test]
async fn a_store_that_is_well_has_no_finding() {
    let cluster = Cluster::start(&[
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("autovacuum", "on"),
    ]);
    let database = cluster.create_store().await;
    assert_eq!(all_found(&database, "message_store"), [""; 0]);
    let people = doctor(&database, "message_store", &[]);
    assert_eq!(people.code, Some(0), "{people:?}");
    for check in ["versions", "durability", "clock", "sequence", "privileges"] {
        assert!(people.stdout.contains(check), "{check}: {people:?}");
    }
}

#[tokio::test]
async fn settings_that_lose_data_are_problems() {
    let cluster = Cluster::start(&[("fsync", "off"), ("full_page_writes", "off")]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session
        .run("ALTER ROLE message_store SET synchronous_commit = off")
        .await
        .unwrap();
    let found = all_found(&database, "message_store");
    let fix = "ALTER SYSTEM SET fsync = on";
    assert_found(&found, &["problem: fsync is off", fix]);
    assert_found(&found, &["problem: full_page_writes is off"]);
    assert_found(
        &found,
        &["role message_store", "synchronous_commit=off", "RESET"],
    );

    let cluster = Cluster::start(&[("synchronous_commit", "off"), ("autovacuum", "off")]);
    let database = cluster.create_store().await;
    let found = all_found(&database, "message_store");
    for setting in ["synchronous_commit", "autovacuum"] {
        let repair = format!("ALTER SYSTEM SET {setting} = on");
        assert_found(&found, &[&format!("{setting} is off"), &repair]);
    }
}

#[tokio::test]
async fn an_extension_or_a_store_that_is_missing_is_a_problem() {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    let create = "CREATE EXTENSION message_store";
    assert_found(&found(&database, "postgres"), &["problem", create]);
    session.run(create).await.unwrap();
    let repair = "SELECT message_store.create_store()";
    assert_found(&found(&database, "postgres"), &["problem", repair]);
}

#[tokio::test]
async fn an_extension_of_another_version_is_a_problem() {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    let older = "CREATE EXTENSION message_store VERSION '0.1.1'";
    session.run(older).await.unwrap();
    let update = "ALTER EXTENSION message_store UPDATE TO";
    let of_older = found(&database, "postgres");
    assert_found(&of_older, &["problem", "SQL is 0.1.1", update]);

    // The functions refuse to be asked, and it does not ask them.
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let newer = "SET allow_system_table_mods = on;
        UPDATE pg_extension SET extversion = '99.0.0' WHERE extname = 'message_store'";
    session.run(newer).await.unwrap();
    let of_newer = found(&database, "postgres");
    let install = "Install the extension 99.0.0";
    assert_found(&of_newer, &["problem", "SQL is 99.0.0", install]);
    assert!(!of_newer.concat().contains(update), "{of_newer:?}");
}

#[tokio::test]
async fn what_the_functions_refuse_on_the_table_of_messages_is_a_problem() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for (make, repair) in [
        (
            "CREATE TABLE public.archive () INHERITS (message_store.messages)",
            "ALTER TABLE public.archive NO INHERIT message_store.messages;",
        ),
        (
            "CREATE RULE never AS ON UPDATE TO message_store.messages DO INSTEAD NOTHING",
            "DROP RULE never ON message_store.messages;",
        ),
        (
            "ALTER TABLE message_store.messages ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE message_store.messages DISABLE ROW LEVEL SECURITY;",
        ),
    ] {
        session.run(make).await.unwrap();
        let found = found(&database, "message_store");
        assert_found(&found, &["problem", repair]);
        session.run(repair).await.unwrap();
    }
}

#[tokio::test]
async fn a_sequence_that_writers_refuse_is_a_problem() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let write = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')";
    for _ in 0..3 {
        session.run(write).await.unwrap();
    }
    let sequence = "message_store.messages_global_position_seq";
    let alter = format!("ALTER SEQUENCE {sequence} CACHE 10 CYCLE; SELECT setval('{sequence}', 1)");
    session.run(&alter).await.unwrap();
    let unwell = found(&database, "message_store");
    assert_found(&unwell, &["problem", "CACHE 10", "ALTER SEQUENCE"]);
    assert_found(&unwell, &["problem", "CYCLE", "NO CYCLE"]);
    assert_found(&unwell, &["problem", "set back to 1", "setval"]);
    // What it says to do is all there is to do.
    for finding in &unwell {
        let repair = finding.rsplit_once(" | ").unwrap().1;
        session.run(repair).await.unwrap();
    }
    assert_eq!(found(&database, "message_store"), [""; 0]);
    session.run(write).await.unwrap();
}

#[tokio::test]
async fn too_few_and_too_many_rights_are_found() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let role = format!("reader_{}", database.name);
    session
        .run(&format!("CREATE ROLE {role} LOGIN"))
        .await
        .unwrap();
    let none = found(&database, &role);
    assert_found(&none, &["problem", "may not use the schema"]);
    session
        .run(&format!(
            "GRANT USAGE ON SCHEMA message_store TO {role};
             GRANT SELECT ON message_store.messages TO {role}"
        ))
        .await
        .unwrap();
    let few = found(&database, &role);
    assert_found(
        &few,
        &["problem", "may not call", "tick(", "GRANT message_store"],
    );
    let grant =
        format!("GRANT message_store TO {role}; GRANT INSERT ON message_store.messages TO {role}");
    session.run(&grant).await.unwrap();
    let many = found(&database, &role);
    assert_found(&many, &["warning", "INSERT on message_store.messages"]);
    assert_found(
        &found(&database, "postgres"),
        &["problem", "is a superuser"],
    );
    session
        .run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn powers_that_must_not_tick_and_open_doors_are_found() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let role = format!("ticker_{}", database.name);
    session
        .run(&format!(
            "CREATE ROLE {role} LOGIN BYPASSRLS CREATEROLE; GRANT message_store TO {role}"
        ))
        .await
        .unwrap();
    assert_found(
        &found(&database, &role),
        &["warning", "BYPASSRLS, CREATEROLE", "must not tick"],
    );
    session
        .run(&format!(
            "ALTER ROLE {role} NOBYPASSRLS NOCREATEROLE; GRANT pg_read_server_files TO {role}"
        ))
        .await
        .unwrap();
    assert_found(
        &found(&database, &role),
        &["warning", "pg_read_server_files", "must not tick"],
    );
    session
        .run(&format!("REVOKE pg_read_server_files FROM {role}"))
        .await
        .unwrap();
    assert_eq!(found(&database, &role), [""; 0]);

    session
        .run(&format!(
            "GRANT CREATE ON SCHEMA message_store TO {role};
             GRANT SELECT ON message_store.messages TO PUBLIC"
        ))
        .await
        .unwrap();
    session
        .run(
            "SELECT message_store.create_subscription('a:s', 'a', \
             '{\"T\": \"message_store.increment_videos_watched\"}')",
        )
        .await
        .unwrap();
    let open = found(&database, "postgres");
    let may_create = format!("role {role} may create in schema message_store");
    assert_found(&open, &["warning", &may_create, "REVOKE"]);
    assert_found(&open, &["warning", "everybody has SELECT", "REVOKE"]);
    assert_found(&open, &["warning", "a:s belongs to the superuser postgres"]);
    session
        .run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_ticking_role_may_become_or_do_past_the_functions_is_found() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let role = format!("heir_{}", database.name);
    session
        .run(&format!(
            "CREATE ROLE between_{role} NOINHERIT; GRANT pg_write_server_files TO between_{role};
             CREATE ROLE {role} LOGIN; GRANT message_store, between_{role}, postgres TO {role}"
        ))
        .await
        .unwrap();
    assert_found(
        &found(&database, &role),
        &["problem", "may become one (SUPERUSER of postgres"],
    );
    session
        .run(&format!(
            "REVOKE postgres FROM {role};
             GRANT UPDATE (data), DELETE, TRIGGER, TRUNCATE ON message_store.messages TO {role}"
        ))
        .await
        .unwrap();
    let many = found(&database, &role);
    assert_found(&many, &["warning", "has pg_write_server_files"]);
    assert_found(
        &many,
        &[
            "warning",
            "DELETE, TRIGGER, TRUNCATE, UPDATE on message_store.messages",
        ],
    );
    session
        .run(&format!(
            "DROP OWNED BY {role}; DROP ROLE {role}, between_{role}"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn doors_that_stand_open_to_everybody_are_found_whoever_asks() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "GRANT USAGE, CREATE ON SCHEMA message_store TO PUBLIC;
             GRANT EXECUTE ON FUNCTION message_store.pause TO PUBLIC;
             GRANT SELECT (data) ON message_store.messages TO PUBLIC;
             GRANT SELECT ON message_store.parked TO PUBLIC;
             CREATE ROLE stranger_to_doctor LOGIN",
        )
        .await
        .unwrap();
    for role in ["postgres", "message_store", "stranger_to_doctor"] {
        let open = found(&database, role);
        for (door, repair) in [
            (
                "everybody may create in schema message_store",
                "REVOKE CREATE",
            ),
            (
                "everybody may look into schema message_store",
                "REVOKE USAGE",
            ),
            ("everybody may call message_store.pause(", "REVOKE EXECUTE"),
            (
                "everybody has SELECT on message_store.messages",
                "REVOKE ALL",
            ),
            ("everybody has SELECT on message_store.parked", "REVOKE ALL"),
        ] {
            assert_found(&open, &["warning", door, repair]);
        }
        // What the extension leaves open is none.
        assert!(!open.iter().any(|one| one.contains("hash_64")), "{open:#?}");
    }
    for finding in found(&database, "postgres") {
        let repair = finding.rsplit_once(" | ").unwrap().1;
        if repair.starts_with("REVOKE") {
            session.run(repair).await.unwrap();
        }
    }
    assert_eq!(found(&database, "message_store"), [""; 0]);
    session.run("DROP ROLE stranger_to_doctor").await.unwrap();
}

#[tokio::test]
async fn a_role_of_the_store_that_is_more_than_a_role_is_a_problem() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE ROLE maker CREATEROLE; GRANT maker TO message_store;
             GRANT postgres TO message_store_viewer; ALTER ROLE message_store_admin BYPASSRLS",
        )
        .await
        .unwrap();
    for asked_by in ["message_store", "postgres"] {
        let found = found(&database, asked_by);
        for (role, power) in [
            ("message_store", "CREATEROLE of maker"),
            ("message_store_viewer", "SUPERUSER of postgres"),
            ("message_store_admin", "BYPASSRLS"),
        ] {
            let role = format!("role {role}, which others are granted, has");
            assert_found(&found, &["problem", &role, power]);
        }
    }
}

#[tokio::test]
async fn a_store_that_was_brought_up_to_date_has_no_open_door() {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE EXTENSION message_store VERSION '0.1.1';
             ALTER EXTENSION message_store UPDATE; SELECT message_store.create_store()",
        )
        .await
        .unwrap();
    assert_eq!(found(&database, "message_store"), [""; 0]);
}

#[tokio::test]
async fn beside_a_running_orchestrator_its_role_is_judged_and_not_who_asks() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let mut deployment = database.deploy("");
    let running = deployment.start();
    running.wait_for_log("connected to");
    assert_eq!(found(&database, "postgres"), [""; 0]);
    running.stop();
    session.wait_until(NOBODY_TICKS).await;

    deployment.url = database.url("postgres");
    let mut run = deployment.run();
    run.env("ORCHESTRATOR__DATABASE__ALLOW_SUPERUSER", "true");
    let running = Running::start(&mut run);
    running.wait_for_log("connected to");
    assert_found(
        &found(&database, "message_store"),
        &["problem", "role postgres is a superuser"],
    );
    running.stop();
}

/// The last session of an orchestrator is gone.
const NOBODY_TICKS: &str = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity \
    WHERE application_name = 'orchestrator' AND datname = current_database())";

#[tokio::test]
async fn a_transaction_that_holds_readers_back_is_named_with_its_session() {
    let database = Cluster::shared().create_store().await;
    let writer = database.connect().await;
    writer.run("BEGIN").await.unwrap();
    let write = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')";
    writer.run(write).await.unwrap();
    let pid = writer.bigint("SELECT pg_backend_pid()").await;
    let terminate = format!("pg_terminate_backend({pid})");
    assert_found(
        &found(&database, "postgres"),
        &["problem", "keeps messages behind 0", &terminate],
    );
    // A role that may not see since when.
    assert_found(
        &found(&database, "message_store"),
        &["warning", "more than a second", &terminate],
    );
    writer.run("COMMIT").await.unwrap();
    assert_eq!(found(&database, "message_store"), [""; 0]);
}

#[tokio::test]
async fn a_prepared_transaction_that_holds_readers_back_is_named() {
    let cluster = Cluster::start(&[("max_prepared_transactions", "2")]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session
        .run(
            "BEGIN; SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T',
               '{}'); PREPARE TRANSACTION 'half way'",
        )
        .await
        .unwrap();
    let unwell = found(&database, "message_store");
    assert_found(&unwell, &["problem", "COMMIT PREPARED 'half way'"]);
}

#[tokio::test]
async fn an_index_whose_collation_has_changed_is_a_problem() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            r#"CREATE INDEX by_type ON message_store.messages (type COLLATE "en-x-icu");
               UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'en-x-icu'"#,
        )
        .await
        .unwrap();
    let unwell = found(&database, "message_store");
    assert_found(
        &unwell,
        &[
            "problem",
            "by_type",
            "was 1.0",
            "REINDEX INDEX",
            "REFRESH VERSION",
        ],
    );
}

#[tokio::test]
async fn tables_that_a_crash_empties_or_nobody_vacuums_are_found() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "ALTER TABLE message_store.read_model_pages SET UNLOGGED;
             ALTER TABLE message_store.subscription_progress SET (autovacuum_enabled = off)",
        )
        .await
        .unwrap();
    let unwell = found(&database, "message_store");
    assert_found(&unwell, &["problem", "read_model_pages is unlogged"]);
    assert_found(&unwell, &["warning", "subscription_progress is left alone"]);
}
