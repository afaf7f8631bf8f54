//! Promise: a handler has its owner's rights and no others, whoever ticks, and what it means
//! cannot be changed by whoever ticks.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Database, Session};

/// A role that may subscribe, with a schema of its own and a table that says who was there.
async fn with_role(name: &str) -> (Database<'static>, Session, String) {
    let database = Cluster::shared().create_store().await;
    let admin = database.connect().await;
    let role = format!("{name}_{}", database.name);
    admin
        .run(&format!(
            "CREATE ROLE {role} LOGIN; GRANT message_store TO {role};
             CREATE SCHEMA {role} AUTHORIZATION {role}; SET ROLE {role};
             CREATE TABLE {role}.seen (who text, what text); RESET ROLE;
             GRANT INSERT ON {role}.seen TO PUBLIC; GRANT USAGE ON SCHEMA {role} TO PUBLIC;
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'v-1', 'T', '{{}}')"
        ))
        .await
        .unwrap();
    (database, admin, role)
}

async fn seen(session: &Session, role: &str) -> Vec<String> {
    let rows = session
        .run(&format!(
            "SELECT who || ' ' || what FROM {role}.seen ORDER BY 1"
        ))
        .await
        .unwrap();
    rows.into_iter()
        .map(|mut row| row.remove(0).unwrap())
        .collect()
}

#[tokio::test]
async fn deferred_triggers_fire_inside_as_the_owner() {
    let (database, admin, role) = with_role("deferring").await;
    let owner = database.connect_as(&role).await;
    owner
        .run(&format!(
            "CREATE TABLE {role}.t (i bigint);
             CREATE FUNCTION {role}.spy() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN INSERT INTO {role}.seen VALUES (current_user, 'deferred'); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER later AFTER INSERT ON {role}.t
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {role}.spy();
             CREATE FUNCTION {role}.h(bigint) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO {role}.t VALUES ($1) $$;
             SELECT message_store.create_subscription('s', 'v', '{{\"T\": \"{role}.h\"}}')"
        ))
        .await
        .unwrap();
    admin.run("SELECT message_store.tick('s')").await.unwrap();
    assert_eq!(seen(&admin, &role).await, [format!("{role} deferred")]);
}

#[tokio::test]
async fn a_cursor_that_would_outlive_the_tick_is_refused() {
    let (database, admin, role) = with_role("holding").await;
    let owner = database.connect_as(&role).await;
    owner
        .run(&format!(
            "CREATE FUNCTION {role}.spy() RETURNS int LANGUAGE plpgsql AS $$
               BEGIN INSERT INTO {role}.seen VALUES (current_user, 'cursor'); RETURN 1; END $$;
             CREATE FUNCTION {role}.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
               BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT {role}.spy()'; END $$;
             SELECT message_store.create_subscription('s', 'v', '{{\"T\": \"{role}.h\"}}')"
        ))
        .await
        .unwrap();
    assert_eq!(
        admin.error("SELECT message_store.tick('s')").await.sqlstate,
        "42501"
    );
    assert_eq!(seen(&admin, &role).await, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_ticks_cannot_shadow_what_a_handler_means() {
    let (database, admin, role) = with_role("shadowed").await;
    let owner = database.connect_as(&role).await;
    owner
        .run(&format!(
            "SET search_path = {role};
             CREATE TABLE counts (n int); INSERT INTO counts VALUES (0);
             CREATE FUNCTION h(bigint) RETURNS void LANGUAGE sql AS 'UPDATE counts SET n = n + 1';
             SELECT message_store.create_subscription('s', 'v', '{{\"T\": \"h\"}}')"
        ))
        .await
        .unwrap();
    let ticker = database.connect_as("message_store").await;
    ticker
        .run(
            "CREATE TEMP TABLE counts (n int); INSERT INTO counts VALUES (0);
             GRANT ALL ON counts TO PUBLIC; SELECT message_store.tick('s')",
        )
        .await
        .unwrap();
    assert_eq!(
        admin.bigint(&format!("SELECT n FROM {role}.counts")).await,
        1
    );
    assert_eq!(ticker.bigint("SELECT n FROM pg_temp.counts").await, 0);
}

#[tokio::test]
async fn a_function_added_beside_a_handler_does_not_take_its_place() {
    let (database, admin, role) = with_role("overloaded").await;
    let owner = database.connect_as(&role).await;
    let record = |argument: &str| {
        format!(
            "CREATE FUNCTION {role}.h({argument}) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO {role}.seen VALUES (current_user, '{argument}') $$;"
        )
    };
    owner
        .run(&format!(
            "{} SELECT message_store.create_subscription('s', 'v', '{{\"T\": \"{role}.h\"}}');",
            record("bigint")
        ))
        .await
        .unwrap();
    owner.run(&record("bigint[]")).await.unwrap();
    admin.run("SELECT message_store.tick('s')").await.unwrap();
    assert_eq!(seen(&admin, &role).await, [format!("{role} bigint")]);
}

#[tokio::test]
async fn a_subscription_of_another_role_is_not_adopted() {
    let (database, admin, role) = with_role("squatting").await;
    let create = "SELECT message_store.create_subscription('aggregators:home-page', 'v', \
                  '{\"T\": \"message_store.increment_videos_watched\"}')";
    database.connect_as(&role).await.run(create).await.unwrap();
    assert_eq!(admin.error(create).await.sqlstate, "42501");
}

#[tokio::test]
async fn without_its_owner_a_subscription_stands_still() {
    let (database, admin, role) = with_role("leaving").await;
    let create = "SELECT message_store.create_subscription('s', 'v', \
                  '{\"T\": \"message_store.increment_videos_watched\"}')";
    database.connect_as(&role).await.run(create).await.unwrap();
    admin
        .run(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"))
        .await
        .unwrap();
    assert_eq!(
        admin.error("SELECT message_store.tick('s')").await.sqlstate,
        "42704"
    );
}

#[tokio::test]
async fn a_handler_that_ticks_its_own_subscription_finds_it_busy() {
    let (database, admin, role) = with_role("recursive").await;
    let owner = database.connect_as(&role).await;
    owner
        .run(&format!(
            "CREATE FUNCTION {role}.h(bigint) RETURNS void LANGUAGE sql AS $$
               INSERT INTO {role}.seen SELECT $1, outcome FROM message_store.tick('s') $$;
             SELECT message_store.create_subscription('s', 'v', '{{\"T\": \"{role}.h\"}}')"
        ))
        .await
        .unwrap();
    admin.run("SELECT message_store.tick('s')").await.unwrap();
    assert_eq!(seen(&admin, &role).await, ["1 busy"]);
}

#[tokio::test]
async fn a_subscription_ahead_of_a_truncated_log_says_so() {
    let (_database, admin, _role) = with_role("ahead").await;
    admin
        .run(
            "SELECT message_store.ensure_home_page();
             SELECT message_store.create_subscription('s', 'v',
               '{\"T\": \"message_store.increment_videos_watched\"}');
             SELECT message_store.tick('s');
             TRUNCATE message_store.messages RESTART IDENTITY",
        )
        .await
        .unwrap();
    let error = admin.error("SELECT message_store.tick('s')").await;
    assert_eq!(error.sqlstate, "55000");
    assert!(error.hint.contains("position"), "{error:?}");
}
