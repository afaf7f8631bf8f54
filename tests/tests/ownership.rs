//! Promise: a role sees and steers its own subscriptions and nobody else's, unless it has
//! `message_store_admin`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use promises::{Cluster, Database, Session};
use subscriber::{create, create_with, seen, texts, tick, tick_was, with_recorders, write};

const ANY: &str = "{\"$any\": \"public.choosy\"}";

/// Subscriptions `s` and `fetched` of a role of the database's own, with a parked message.
async fn with_owner() -> (Database<'static>, Session, String) {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.install_home_page().await;
    let owner = format!("owner_of_{}", database.name);
    session
        .run(&format!(
            "CREATE ROLE {owner} LOGIN; GRANT message_store TO {owner};
             CREATE ROLE colleague_{owner} LOGIN; GRANT {owner} TO colleague_{owner};
             CREATE ROLE heir_{owner} NOINHERIT LOGIN; GRANT {owner} TO heir_{owner};
             GRANT USAGE ON SCHEMA message_store TO heir_{owner};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA message_store TO heir_{owner};
             GRANT SELECT ON message_store.subscription_status, message_store.parked_messages,
               message_store.subscription_history TO heir_{owner};
             CREATE ROLE other_{owner} LOGIN; GRANT message_store TO other_{owner};
             CREATE ROLE admin_{owner} LOGIN; GRANT message_store_admin TO admin_{owner};
             GRANT INSERT, SELECT ON public.seen TO {owner};
             GRANT USAGE ON SEQUENCE public.seen_entry_seq TO {owner};
             CREATE FUNCTION public.choosy(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               IF (message).type = 'Bad' THEN RAISE EXCEPTION 'bad'; END IF;
               PERFORM public.record(message);
             END $$"
        ))
        .await
        .unwrap();
    let as_owner = database.connect_as(&owner).await;
    let options = "{\"on_failure\": \"park\", \"retries\": 0, \
                    \"read_model\": [\"message_store.video_views\"]}";
    create_with(&as_owner, "s", "a", ANY, options).await;
    create(&as_owner, "fetched", "a", "{}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "Bad").await;
    tick(&as_owner, "s", 10).await;
    (database, session, owner)
}

const VIEWS: [&str; 3] = [
    "SELECT count(*) FROM message_store.subscription_status",
    "SELECT count(*) FROM message_store.parked_messages",
    "SELECT count(*) FROM message_store.subscription_history",
];

/// Everything that steers, and does its work when it is allowed.
const STEERING: [&str; 19] = [
    "alter_subscription('s', options => '{\"retries\": 3}')",
    "start('s')",
    "start('s', at_boot => true)",
    "pause('s', 'why')",
    "stop('s', 'why')",
    "reset('s', 0, 'why')",
    "skip('s', 2, 'why')",
    "continue_from('s', 'subscriberPosition-s')",
    "resize_group('s', 2)",
    "rebuild('s')",
    "rebuild('s', side_by_side => true)",
    "cancel_rebuild('s')",
    "verify('s')",
    "dry_run('s')",
    "retry_parked('s')",
    "discard_parked('s', 'why')",
    "drop_subscription('s')",
    "fetch('fetched', 1, '1 min')",
    "promote('s')",
];

/// What says which code runs with the owner's rights.
const CODE: [&str; 2] = [
    "alter_subscription('s', '{\"A\": \"public.record\"}')",
    "dry_run('s', '{\"A\": \"public.record\"}')",
];

/// Tries and takes it back.
async fn outcome(session: &Session, call: &str) -> Result<(), String> {
    session.run("BEGIN").await.unwrap();
    if call.starts_with("promote") {
        let rebuild = "SELECT message_store.rebuild('s', true)";
        if let Err(error) = session.run(rebuild).await {
            session.run("ROLLBACK").await.unwrap();
            return Err(error.sqlstate);
        }
    }
    let done = session.run(&format!("SELECT message_store.{call}")).await;
    session.run("ROLLBACK").await.unwrap();
    done.map(|_| ()).map_err(|error| error.sqlstate)
}

#[tokio::test]
async fn others_neither_see_nor_steer_a_subscription() {
    let (database, session, owner) = with_owner().await;
    let position = "SELECT message_store.write_message(gen_random_uuid()::varchar, \
                    'subscriberPosition-s', 'Read', '{\"position\": 1}')";
    session.run(position).await.unwrap();
    for (role, may) in [
        ("", true),
        ("colleague_", true),
        ("admin_", true),
        ("heir_", false),
        ("other_", false),
    ] {
        let session = database.connect_as(&format!("{role}{owner}")).await;
        for view in VIEWS {
            assert_eq!(session.bigint(view).await > 0, may, "{role}: {view}");
        }
        for call in STEERING {
            let expected = if may { Ok(()) } else { Err("42501".to_owned()) };
            assert_eq!(outcome(&session, call).await, expected, "{role}: {call}");
        }
    }
    for (role, may) in [
        ("", true),
        ("colleague_", true),
        ("admin_", false),
        ("other_", false),
    ] {
        let session = database.connect_as(&format!("{role}{owner}")).await;
        for call in CODE {
            let expected = if may { Ok(()) } else { Err("42501".to_owned()) };
            assert_eq!(outcome(&session, call).await, expected, "{role}: {call}");
        }
    }
    // A member of the role that does not inherit its rights may take them on.
    let heir = database.connect_as(&format!("heir_{owner}")).await;
    heir.run(&format!("SET ROLE {owner}")).await.unwrap();
    assert_eq!(outcome(&heir, "start('s')").await, Ok(()));
}

#[tokio::test]
async fn an_admin_steers_without_becoming_the_handlers_role() {
    let (database, session, owner) = with_owner().await;
    let admin = database.connect_as(&format!("admin_{owner}")).await;
    admin
        .run("SELECT message_store.reset('s', 0, 'by the admin')")
        .await
        .unwrap();
    // Names mean what the owner may use, whoever gives them.
    session
        .run(&format!(
            "CREATE FUNCTION public.secret(viewed bigint) RETURNS void LANGUAGE sql AS '';
             REVOKE EXECUTE ON FUNCTION public.secret(bigint) FROM PUBLIC;
             GRANT EXECUTE ON FUNCTION public.secret(bigint) TO admin_{owner}"
        ))
        .await
        .unwrap();
    let alter = "SELECT message_store.alter_subscription('s', '{\"A\": \"public.secret\"}')";
    assert_eq!(admin.error(alter).await.sqlstate, "42501");
    assert_eq!(tick(&admin, "s", 10).await.handled, 1);
    let roles = "SELECT DISTINCT by_role FROM public.seen";
    assert_eq!(texts(&session, roles).await, std::slice::from_ref(&owner));
    // Creating again is for the owner alone: a definition must not be taken over.
    let sql = format!("SELECT message_store.create_subscription('s', 'a', '{ANY}')");
    for role in ["admin_", "colleague_", "other_"] {
        let role = database.connect_as(&format!("{role}{owner}")).await;
        assert_eq!(role.error(&sql).await.sqlstate, "42501");
    }
    let history = "SELECT role FROM message_store.subscription_history WHERE action = 'reset'";
    assert_eq!(texts(&session, history).await, [format!("admin_{owner}")]);
}

#[tokio::test]
async fn whoever_may_execute_tick_ticks_everything_as_the_owners() {
    let (database, session, owner) = with_owner().await;
    let other = database.connect_as(&format!("other_{owner}")).await;
    write(&session, "a-3", "A").await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    let list = "SELECT * FROM message_store.started_subscriptions()";
    assert_eq!(texts(&other, list).await, ["s a 1 1000"]);
    assert_eq!(tick(&other, "s", 10).await, tick_was("progressed", 1, 1, 3));
    assert_eq!(seen(&session, "s").await, [1, 3]);
    let roles = "SELECT DISTINCT by_role FROM public.seen";
    assert_eq!(texts(&session, roles).await, [owner]);
    // It reads no error of a handler that it may not see.
    let waited = "SELECT message_store.wait_for('s', 3, '0')";
    assert_eq!(other.value(waited).await.as_deref(), Some("t"));
}

#[tokio::test]
async fn a_viewer_sees_every_subscription_and_steers_none() {
    let (database, session, _) = with_owner().await;
    let viewer = format!("viewer_of_{}", database.name);
    session
        .run(&format!(
            "CREATE ROLE {viewer} LOGIN; GRANT message_store_viewer TO {viewer}"
        ))
        .await
        .unwrap();
    let as_viewer = database.connect_as(&viewer).await;
    for view in VIEWS {
        let all = session.bigint(view).await;
        assert!(all > 0, "{view}");
        assert_eq!(as_viewer.bigint(view).await, all, "{view}");
    }
    let lag = "SELECT count(*) FROM message_store.subscription_status WHERE lag IS NOT NULL";
    assert_eq!(as_viewer.bigint(lag).await, 2);
    for call in STEERING {
        let error = as_viewer
            .error(&format!("SELECT message_store.{call}"))
            .await;
        assert_eq!(error.sqlstate, "42501", "{call}: {error:?}");
    }
}

#[tokio::test]
async fn the_history_names_the_person_an_application_acts_for() {
    let (_database, session, _) = with_owner().await;
    session
        .run(
            "BEGIN; SELECT set_config('message_store.actor', 'Ada '''' <ada@example.org>', true);
             SELECT message_store.pause('s', 'why'); COMMIT;
             SELECT message_store.start('s')",
        )
        .await
        .unwrap();
    let history = "SELECT action, role, actor FROM message_store.subscription_history \
                   WHERE action IN ('pause', 'start') ORDER BY at";
    assert_eq!(
        texts(&session, history).await,
        [
            "pause postgres Ada '' <ada@example.org>",
            "start postgres -"
        ]
    );
}
