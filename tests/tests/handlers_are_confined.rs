//! Promise: a handler has its owner's rights and no others, whoever ticks, and what it means
//! cannot be changed by whoever ticks.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use promises::{Cluster, Database, Session};
use subscriber::{create, create_with, texts, tick, tick_was, with_recorders, write};

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
async fn handlers_run_as_the_owner_and_settings_are_put_back() {
    let cluster = Cluster::shared();
    let (database, session) = with_recorders(cluster).await;
    session
        .run(
            "CREATE ROLE keeper LOGIN; CREATE ROLE ticker LOGIN;
             GRANT message_store TO keeper; GRANT message_store TO ticker;
             CREATE FUNCTION public.change_settings(viewed bigint) RETURNS void
             LANGUAGE plpgsql SECURITY INVOKER AS $$
             BEGIN
               PERFORM public.record_position(viewed);
               PERFORM set_config('search_path', 'changed', false);
               PERFORM set_config('work_mem', '77MB', false);
               PERFORM set_config('promises.mine', 'changed', false);
             END $$;
             GRANT INSERT ON public.seen TO keeper; GRANT USAGE ON SEQUENCE seen_entry_seq TO keeper",
        )
        .await
        .unwrap();
    let keeper = database.connect_as("keeper").await;
    create(&keeper, "s", "a", "{\"A\": \"public.change_settings\"}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "A").await;

    let ticker = database.connect_as("ticker").await;
    ticker
        .run("SET search_path = message_store; SET work_mem = '5MB'; SET promises.mine = 'before'")
        .await
        .unwrap();
    assert_eq!(
        tick(&ticker, "s", 1000).await,
        tick_was("progressed", 2, 2, 2)
    );
    let now = "SELECT current_user, current_setting('search_path'), current_setting('work_mem'), \
               current_setting('promises.mine')";
    let now = ticker.run(now).await.unwrap().remove(0);
    let now: Vec<&str> = now.iter().map(|value| value.as_deref().unwrap()).collect();
    assert_eq!(now, ["ticker", "message_store", "5MB", "before"]);
    let roles = session
        .run("SELECT DISTINCT by_role FROM public.seen")
        .await
        .unwrap();
    assert_eq!(roles, vec![vec![Some("keeper".to_owned())]]);

    // What the owner may not, the handler may not, whoever ticks.
    session
        .run("REVOKE INSERT ON public.seen FROM keeper")
        .await
        .unwrap();
    write(&session, "a-1", "A").await;
    let refused = tick(&session, "s", 1000).await;
    assert_eq!(refused.failed(), ("retrying", "42501"), "{refused:?}");
    let whoami = session.value("SELECT current_user").await;
    assert_eq!(
        whoami.as_deref(),
        Some("postgres"),
        "put back after the failure too"
    );
}

#[tokio::test]
async fn a_handler_cannot_become_somebody_else() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE ROLE climber LOGIN; GRANT message_store TO climber;
             CREATE FUNCTION public.climb(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN EXECUTE 'SET ROLE postgres'; END $$;
             CREATE FUNCTION public.reset(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN EXECUTE 'RESET ROLE'; END $$;
             CREATE FUNCTION public.climb_session(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN EXECUTE 'SET SESSION AUTHORIZATION postgres'; END $$",
        )
        .await
        .unwrap();
    write(&session, "a-1", "A").await;
    let climber = database.connect_as("climber").await;
    for function in ["climb", "reset", "climb_session"] {
        let handlers = format!("{{\"A\": \"public.{function}\"}}");
        create_with(&climber, function, "a", &handlers, "{\"retries\": 0}").await;
        let refused = tick(&session, function, 1000).await;
        assert_eq!(refused.failed(), ("stopped", "42501"), "{function}");
        let whoami = session.value("SELECT current_user || session_user").await;
        assert_eq!(whoami.as_deref(), Some("postgrespostgres"));
    }
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
    let refused = tick(&admin, "s", 1).await;
    assert_eq!(refused.failed(), ("retrying", "42501"), "{refused:?}");
    assert!(refused.error().contains("WITH HOLD"), "{refused:?}");
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
    let error = admin.error("SELECT message_store.tick('s')").await;
    assert_eq!(error.sqlstate, "42704", "{error:?}");
    assert!(error.message.contains("owner"), "{error:?}");
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

/// A child table whose foreign key is checked at the end, and handlers that fill it.
const DEFERRED: &str = "
    CREATE TABLE public.parents (id bigint PRIMARY KEY);
    CREATE TABLE public.children (
      parent bigint REFERENCES public.parents DEFERRABLE INITIALLY DEFERRED);
    CREATE FUNCTION public.child_first(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.children VALUES (viewed);
      INSERT INTO public.parents VALUES (viewed);
    END $$";

#[tokio::test]
async fn deferred_constraints_wait_for_the_end_of_the_handler() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(DEFERRED).await.unwrap();
    create(&session, "s", "a", "{\"A\": \"public.child_first\"}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "A").await;
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 2, 2)
    );
    assert_eq!(
        texts(&session, "SELECT parent FROM public.children").await,
        ["1", "2"]
    );
}

#[tokio::test]
async fn what_the_caller_has_deferred_is_its_own_and_not_the_handlers() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(DEFERRED).await.unwrap();
    create(&session, "s", "a", "{\"A\": \"public.record_position\"}").await;
    write(&session, "a-1", "A").await;
    session
        .run("BEGIN; INSERT INTO public.children VALUES (77)")
        .await
        .unwrap();
    let error = session.error("SELECT message_store.tick('s')").await;
    assert_eq!(error.sqlstate, "23503", "{error:?}");
    session.run("ROLLBACK").await.unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 1, 1, 1)
    );
}

/// What a handler may not do, and what it is told of itself; `probe` writes down how each ends.
const PROBE: &str = "
    CREATE FUNCTION {role}.probe(at text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
      command text;
      answer text;
    BEGIN
      FOREACH command IN ARRAY ARRAY[
        'SELECT current_user', 'SELECT current_setting(''search_path'')',
        'SELECT current_setting(''work_mem'')', 'SELECT message_store.handler_context()',
        'SELECT set_config(''role'', ''none'', false)', 'SET SESSION AUTHORIZATION DEFAULT', 'LISTEN anything',
        'SELECT pg_advisory_lock(7)', 'SELECT lo_open(1, 262144)', 'PREPARE kept AS SELECT 1',
        'CREATE TEMPORARY TABLE kept ()', 'DECLARE kept CURSOR WITH HOLD FOR SELECT 1',
        'FETCH of_session'
      ] LOOP
        BEGIN
          EXECUTE command INTO answer;
        EXCEPTION WHEN OTHERS THEN
          answer := SQLSTATE;
        END;
        INSERT INTO {role}.seen VALUES (at, command || ': ' || coalesce(answer, 'done'));
      END LOOP;
    END $$;
    CREATE FUNCTION {role}.outer(m message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM {role}.probe('first');
      PERFORM message_store.tick('inner');
      PERFORM {role}.probe('after a tick');
      PERFORM message_store.tick('failing');
      PERFORM {role}.probe('after a tick that failed');
    END $$;
    SELECT message_store.create_subscription('outer', 'v', '{\"T\": \"{role}.outer\"}',
      '{\"settings\": {\"work_mem\": \"3MB\"}}')";

/// Those are another role's. The first succeeds, the second fails.
const TICKED_INSIDE: &str = "
    CREATE FUNCTION {role}.inner(bigint) RETURNS void LANGUAGE sql AS $$
      INSERT INTO {role}.seen SELECT current_user, 'inner' $$;
    CREATE FUNCTION {role}.failing(bigint) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'failing'; END $$;
    SELECT message_store.create_subscription('inner', 'v', '{\"T\": \"{role}.inner\"}');
    SELECT message_store.create_subscription('failing', 'v', '{\"T\": \"{role}.failing\"}')";

#[tokio::test]
async fn a_handler_that_has_ticked_another_subscription_is_as_confined_as_before() {
    let (database, admin, role) = with_role("ticking").await;
    let other = format!("ticked_{}", database.name);
    admin
        .run(&format!(
            "CREATE ROLE {other} LOGIN; GRANT message_store TO {other};
             CREATE SCHEMA {other} AUTHORIZATION {other}; SET ROLE {other};
             CREATE TABLE {other}.seen (who text, what text); RESET ROLE"
        ))
        .await
        .unwrap();
    let owner = database.connect_as(&role).await;
    owner.run(&PROBE.replace("{role}", &role)).await.unwrap();
    let owner = database.connect_as(&other).await;
    let inside = TICKED_INSIDE.replace("{role}", &other);
    owner.run(&inside).await.unwrap();
    admin
        .run("BEGIN; DECLARE of_session CURSOR FOR SELECT 1; SELECT message_store.tick('outer'); COMMIT")
        .await
        .unwrap();
    let at = |at: &str| format!("SELECT what FROM {role}.seen WHERE who = '{at}' ORDER BY 1");
    let first = texts(&admin, &at("first")).await;
    assert_eq!(first.len(), 13);
    assert!(first.contains(&format!("SELECT current_user: {role}")));
    let done = first.iter().filter(|line| line.ends_with(": done"));
    assert_eq!(done.count(), 0, "{first:#?}");
    assert_eq!(texts(&admin, &at("after a tick")).await, first);
    assert_eq!(texts(&admin, &at("after a tick that failed")).await, first);
    let inner = format!("SELECT who, what FROM {other}.seen");
    assert_eq!(texts(&admin, &inner).await, [format!("{other} inner")]);
    assert_eq!(tick(&admin, "failing", 1).await.failed().0, "retrying");
}

#[tokio::test]
async fn a_handler_that_has_ticked_another_subscription_has_its_own_limit_of_time() {
    let (database, admin, role) = with_role("limited").await;
    let owner = database.connect_as(&role).await;
    owner
        .run(&format!(
            "CREATE FUNCTION {role}.inner(bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO {role}.seen VALUES (current_user, ''inner'')';
             CREATE FUNCTION {role}.outer(bigint) RETURNS void LANGUAGE plpgsql AS $$
               BEGIN PERFORM message_store.tick('inner'); PERFORM pg_sleep(20); END $$;
             SELECT message_store.create_subscription('inner', 'v', '{{\"T\": \"{role}.inner\"}}',
               '{{\"settings\": {{\"statement_timeout\": \"200ms\"}}}}');
             SELECT message_store.create_subscription('outer', 'v', '{{\"T\": \"{role}.outer\"}}',
               '{{\"settings\": {{\"statement_timeout\": \"400ms\"}}}}')"
        ))
        .await
        .unwrap();
    let ended = tick(&admin, "outer", 1).await;
    assert_eq!(ended.failed(), ("retrying", "57014"), "{ended:?}");
}
