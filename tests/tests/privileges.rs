//! Promise: EXECUTE on the functions is the privilege to write and to steer, SELECT the
//! privilege to read, and nobody but the owner gets past the functions.
//!
//! One test walks every cell of role x object x verb by really doing it, and another does what
//! SECURITY.md says of each role.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::BTreeSet;

use promises::{Cluster, Session};

/// Who tries, in the order of the columns below: the superuser who made the store; the role of
/// Message DB's clients; one with message_store_admin; one that may only look into the schema;
/// one without any grant; one with message_store_viewer.
const ROLES: [&str; 6] = [
    "postgres",
    "message_store",
    "operator",
    "visitor",
    "stranger",
    "observer",
];

/// Tables and views: which of Select, Insert, Update, Delete, Truncate each role may.
#[rustfmt::skip]
const RELATIONS: &[(&str, [&str; 6])] = &[
    //                         postgres  message_store  operator  visitor  stranger  observer
    ("messages",              ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("read_model_pages",      ["SIUDT",  "SIUD-",       "SIUD-",     "-----", "-----", "S----"]),
    ("subscriptions",         ["SIUDT",  "-----",       "-----",     "-----", "-----", "-----"]),
    ("subscription_progress", ["SIUDT",  "-----",       "-----",     "-----", "-----", "-----"]),
    ("parked",                ["SIUDT",  "-----",       "-----",     "-----", "-----", "-----"]),
    ("history",               ["SIUDT",  "-----",       "-----",     "-----", "-----", "-----"]),
    ("deletions",             ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("erasures",              ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("epochs",                ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("horizons",              ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("shard",                 ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("shard_progress",        ["SIUDT",  "-----",       "-----",     "-----", "-----", "-----"]),
    ("retention",             ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("tombstones",            ["SIUDT",  "S----",       "S----",     "-----", "-----", "S----"]),
    ("subscription_status",   ["S",      "S",           "S",         "-",     "-", "S"]),
    ("parked_messages",       ["S",      "S",           "S",         "-",     "-", "S"]),
    ("shard_status",          ["S",      "S",           "S",         "-",     "-", "S"]),
    ("subscription_history",  ["S",      "S",           "S",         "-",     "-", "S"]),
    ("category_type_summary", ["S",      "S",           "S",         "-",     "-", "S"]),
    ("stream_summary",        ["S",      "S",           "S",         "-",     "-", "S"]),
    ("stream_type_summary",   ["S",      "S",           "S",         "-",     "-", "S"]),
    ("type_category_summary", ["S",      "S",           "S",         "-",     "-", "S"]),
    ("type_stream_summary",   ["S",      "S",           "S",         "-",     "-", "S"]),
    ("type_summary",          ["S",      "S",           "S",         "-",     "-", "S"]),
];

/// Sequences: which of Nextval, Value set, Select each role may.
#[rustfmt::skip]
const SEQUENCES: &[(&str, [&str; 6])] = &[
    //                                postgres  message_store  operator  visitor  stranger  observer
    ("messages_global_position_seq", ["NVS",    "---",         "---",       "---",   "---", "---"]),
    ("deletions_deletion_seq",       ["NVS",    "---",         "---",       "---",   "---", "---"]),
    ("erasures_erasure_seq",         ["NVS",    "---",         "---",       "---",   "---", "---"]),
    ("epochs_number_seq",            ["NVS",    "---",         "---",       "---",   "---", "---"]),
    ("server_seq",                   ["NVS",    "---",         "---",       "---",   "---", "---"]),
];

/// Who gets through a function that everybody may call who may look into the schema.
const OPEN: [&str; 6] = ["Y", "Y", "Y", "Y", "-", "Y"];
/// Who gets through the others.
const CLIENTS: [&str; 6] = ["Y", "Y", "Y", "-", "-", "-"];
/// Who gets through what reads the log, or the subscriptions.
const READERS: [&str; 6] = ["Y", "Y", "Y", "-", "-", "Y"];

/// Who gets through what operators alone may.
const ADMINS: [&str; 6] = ["Y", "-", "Y", "-", "-", "-"];
/// Who gets through what nobody may who was not granted it, among them what an adoption needs.
const NOBODY_ELSE: [&str; 6] = ["Y", "-", "-", "-", "-", "-"];

/// Functions: a call, and which role gets through it (Y). A reader that is open to everybody
/// still needs SELECT on messages; create_store finds everything there and so needs no right.
#[rustfmt::skip]
const FUNCTIONS: &[(&str, &str, [&str; 6])] = &[
    ("acquire_lock", "SELECT message_store.acquire_lock('a-1')", OPEN),
    ("cardinal_id", "SELECT message_store.cardinal_id('a-1')", OPEN),
    ("category", "SELECT message_store.category('a-1')", OPEN),
    ("hash_64", "SELECT message_store.hash_64('a-1')", OPEN),
    ("id", "SELECT message_store.id('a-1')", OPEN),
    ("is_category", "SELECT message_store.is_category('a-1')", OPEN),
    ("message_store_version", "SELECT message_store.message_store_version()", OPEN),
    ("handler_context", "SELECT message_store.handler_context()", OPEN),
    ("horizon_blockers", "SELECT message_store.horizon_blockers()", OPEN),
    ("horizon", "SELECT message_store.horizon()", OPEN),
    ("epoch", "SELECT message_store.epoch()", READERS),
    ("check_position", "SELECT message_store.check_position(message_store.epoch(), 0)", READERS),
    ("begin_epoch", "SELECT message_store.begin_epoch('restored')", ADMINS),
    ("confirm_epoch", "SELECT message_store.confirm_epoch(message_store.epoch(), 'synchronous')", ADMINS),
    ("record_horizons", "SELECT message_store.record_horizons()", CLIENTS),
    ("shard_of", "SELECT message_store.shard_of('a-1', 4)", OPEN),
    ("advance_position", "SELECT message_store.advance_position(0)", CLIENTS),
    ("become_shard", "SELECT message_store.become_shard(0, 1, 1)", ADMINS),
    ("delete_moved_messages", "DO $$ BEGIN PERFORM message_store.delete_moved_messages(0, 1); EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END $$", ADMINS),
    ("get_settled_messages", "DO $$ BEGIN PERFORM message_store.get_settled_messages('a', 1, 1, NULL, NULL, NULL, 0, 1); EXCEPTION WHEN object_not_in_prerequisite_state OR serialization_failure THEN NULL; END $$", CLIENTS),
    ("require_map", "DO $$ BEGIN PERFORM message_store.require_map(1); EXCEPTION WHEN object_not_in_prerequisite_state OR serialization_failure THEN NULL; END $$", CLIENTS),
    ("announce_insert", "CREATE TEMP TABLE announced (); CREATE TRIGGER t BEFORE INSERT ON announced EXECUTE FUNCTION message_store.announce_insert()", NOBODY_ELSE),
    ("is_message_dbs", "SELECT message_store.is_message_dbs('')", OPEN),
    ("finish_adoption", "SELECT message_store.finish_adoption()", NOBODY_ELSE),
    ("revert_adoption", "DO $$ BEGIN PERFORM message_store.revert_adoption(); EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END $$", NOBODY_ELSE),
    ("create_store", "SELECT message_store.create_store()", OPEN),
    ("write_message", "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')", CLIENTS),
    ("write_messages", "SELECT message_store.write_messages('a-1', '[{\"type\": \"T\"}]')", CLIENTS),
    ("write_messages", "SELECT message_store.write_messages('a-1', '[{\"type\": \"T\"}]'::jsonb)", CLIENTS),
    ("write_messages", "SELECT message_store.write_messages(ARRAY[ROW('a-1', 'T', '{}', NULL, NULL, NULL)::message_store.new_message])", CLIENTS),
    ("follow", "SELECT message_store.follow(m) FROM message_store.get_last_stream_message('a-1') AS m", CLIENTS),
    ("stream_version", "SELECT message_store.stream_version('a-1')", READERS),
    ("get_stream_messages", "SELECT message_store.get_stream_messages('a-1')", READERS),
    ("get_category_messages", "SELECT message_store.get_category_messages('a')", READERS),
    ("get_all_messages", "SELECT message_store.get_all_messages()", READERS),
    ("get_last_stream_message", "SELECT message_store.get_last_stream_message('a-1')", READERS),
    ("ensure_home_page", "SELECT message_store.ensure_home_page()", CLIENTS),
    ("increment_videos_watched", "SELECT message_store.increment_videos_watched(1)", CLIENTS),
    ("increment_videos_watched", "SELECT message_store.increment_videos_watched('{1}'::bigint[])", CLIENTS),
    ("create_subscription", "SELECT message_store.create_subscription('new', 'a', '{\"T\": \"message_store.increment_videos_watched\"}')", CLIENTS),
    ("alter_subscription", "SELECT message_store.alter_subscription('clients', options => '{\"retries\": 1}')", CLIENTS),
    ("reassign", "SELECT message_store.reassign('clients', current_user::varchar)", CLIENTS),
    ("drop_subscription", "SELECT message_store.drop_subscription('clients')", CLIENTS),
    ("start", "SELECT message_store.start('clients')", CLIENTS),
    ("pause", "SELECT message_store.pause('clients')", CLIENTS),
    ("stop", "SELECT message_store.stop('clients')", CLIENTS),
    ("tick", "SELECT message_store.tick('clients')", CLIENTS),
    ("started_subscriptions", "SELECT message_store.started_subscriptions()", CLIENTS),
    ("ticking_since", "SELECT message_store.ticking_since(1)", READERS),
    ("subscription_lag", "SELECT message_store.subscription_lag('clients', 0)", READERS),
    ("wait_for", "SELECT message_store.wait_for('clients', 0)", CLIENTS),
    ("reset", "SELECT message_store.reset('clients', 0, 'why')", CLIENTS),
    ("skip", "SELECT message_store.skip('clients', 0, 'why')", CLIENTS),
    ("continue_from", "SELECT message_store.continue_from('clients', 'subscriberPosition-clients')", CLIENTS),
    ("resize_group", "SELECT message_store.resize_group('clients', 2)", CLIENTS),
    ("rebuild", "SELECT message_store.rebuild('clients', true)", CLIENTS),
    ("cancel_rebuild", "SELECT message_store.cancel_rebuild('clients')", CLIENTS),
    ("verify", "SELECT message_store.verify('clients')", CLIENTS),
    ("dry_run", "SELECT message_store.dry_run('clients')", CLIENTS),
    ("retry_parked", "SELECT message_store.retry_parked('clients')", CLIENTS),
    ("discard_parked", "SELECT message_store.discard_parked('clients', 'why')", CLIENTS),
    ("fetch", "SELECT message_store.fetch('fetching', 1, '1 min')", CLIENTS),
    ("promote", "SELECT message_store.rebuild('clients', true); SELECT message_store.promote('clients', true)", CLIENTS),
    ("renew", "SELECT message_store.fetch('fetching', 1, '1 min'); SELECT message_store.renew('fetching', '1 min')", CLIENTS),
    ("ack", "SELECT message_store.fetch('fetching', 1, '1 min'); SELECT message_store.ack('fetching', 1)", CLIENTS),
    ("park", "SELECT message_store.fetch('fetching', 1, '1 min'); SELECT message_store.park('fetching', 1, 'why')", CLIENTS),
    ("apply_retention", "SELECT message_store.apply_retention()", CLIENTS),
    ("deleted_up_to", "SELECT message_store.deleted_up_to('a')", READERS),
    ("delete_stream", "SELECT message_store.delete_stream('a-9', 'why')", NOBODY_ELSE),
    ("delete_category_before", "SELECT message_store.delete_category_before('z', 'why', 1)", NOBODY_ELSE),
    ("retain", "SELECT message_store.retain('z', '1 day', 'why')", NOBODY_ELSE),
    ("erase_message_data", "SELECT message_store.erase_message_data('why', stream_name => 'a-1')", NOBODY_ELSE),
    ("erasure_remains", "DO $$ BEGIN PERFORM message_store.erasure_remains(9); EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$", NOBODY_ELSE),
    ("wipe_free_room", "SELECT message_store.wipe_free_room()", NOBODY_ELSE),
    ("wait_for_messages", "CALL message_store.wait_for_messages(0, '0')", CLIENTS),
];

/// Functions that cannot stand in a transaction block.
const ALONE: [&str; 1] = ["wait_for_messages"];

#[tokio::test]
async fn every_role_may_do_exactly_what_the_tables_say() {
    let cluster = Cluster::shared();
    let database = cluster.create_store().await;
    let admin = database.connect().await;
    admin
        .run(
            "CREATE ROLE visitor LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE operator LOGIN;
             GRANT message_store_admin TO operator;
             CREATE ROLE observer LOGIN; GRANT message_store_viewer TO observer; GRANT USAGE ON SCHEMA message_store TO visitor",
        )
        .await
        .unwrap();
    admin
        .run("SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')")
        .await
        .unwrap();
    let clients = database.connect_as("message_store").await;
    clients
        .run(
            "SELECT message_store.ensure_home_page();
             SELECT message_store.create_subscription('clients', 'a',
               '{\"T\": \"message_store.increment_videos_watched\"}',
               '{\"read_model\": [\"message_store.read_model_pages\"]}');
             SELECT message_store.create_subscription('fetching', 'a', '{}');
             SELECT message_store.write_message(gen_random_uuid()::varchar,
               'subscriberPosition-clients', 'Read', '{\"position\": 0}')",
        )
        .await
        .unwrap();
    require_all_mentioned(&admin).await;

    let before = admin
        .run("SELECT * FROM message_store.messages")
        .await
        .unwrap();
    let mut cells = 0;
    let mut wrong = Vec::new();
    for (column, role) in ROLES.iter().enumerate() {
        let session = database.connect_as(role).await;
        for (name, verb, sql, expected) in expectations(&admin, column).await {
            cells += 1;
            let allowed = is_allowed(&session, &name, &sql).await;
            if allowed != expected {
                wrong.push(format!(
                    "{role} {verb} {name}: allowed {allowed}, promised {expected}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cells > 450, "only {cells} cells walked");
    assert_eq!(
        before,
        admin
            .run("SELECT * FROM message_store.messages")
            .await
            .unwrap()
    );
}

/// Object, verb, SQL and whether the role of this column may.
async fn expectations(admin: &Session, column: usize) -> Vec<(String, String, String, bool)> {
    let mut cells = Vec::new();
    for (name, allowed) in RELATIONS {
        let first_column = admin
            .value(&format!(
                "SELECT attname FROM pg_attribute WHERE attnum = 1 \
                 AND attrelid = 'message_store.{name}'::regclass"
            ))
            .await
            .unwrap();
        let verbs = [
            ('S', format!("SELECT * FROM message_store.{name}")),
            (
                'I',
                format!("INSERT INTO message_store.{name} DEFAULT VALUES"),
            ),
            (
                'U',
                format!("UPDATE message_store.{name} SET {first_column} = DEFAULT"),
            ),
            ('D', format!("DELETE FROM message_store.{name}")),
            ('T', format!("TRUNCATE message_store.{name} CASCADE")),
        ];
        for (place, (verb, sql)) in verbs.into_iter().enumerate() {
            if let Some(letter) = allowed[column].chars().nth(place) {
                assert!(
                    letter == verb || letter == '-',
                    "{name}: {letter} in place of {verb}"
                );
                cells.push(((*name).to_owned(), verb.to_string(), sql, letter == verb));
            }
        }
    }
    for (name, allowed) in SEQUENCES {
        let verbs = [
            ('N', format!("SELECT nextval('message_store.{name}')")),
            ('V', format!("SELECT setval('message_store.{name}', 1000)")),
            ('S', format!("SELECT last_value FROM message_store.{name}")),
        ];
        for (place, (verb, sql)) in verbs.into_iter().enumerate() {
            let letter = allowed[column].chars().nth(place).unwrap();
            cells.push(((*name).to_owned(), verb.to_string(), sql, letter == verb));
        }
    }
    for (name, sql, allowed) in FUNCTIONS {
        let verb = "EXECUTE".to_owned();
        cells.push((
            (*name).to_owned(),
            verb,
            (*sql).to_owned(),
            allowed[column] == "Y",
        ));
    }
    cells
}

/// Tries, and takes back what it did. Other errors than the one for privileges mean that the
/// privilege was there; a function must do its work.
async fn is_allowed(session: &Session, name: &str, sql: &str) -> bool {
    let in_block = !ALONE.contains(&name);
    if in_block {
        session.run("BEGIN").await.unwrap();
    }
    let outcome = session.run(sql).await;
    if in_block {
        session.run("ROLLBACK").await.unwrap();
    }
    match outcome {
        Ok(_) => true,
        Err(error) if error.sqlstate == "42501" => false,
        Err(error) => {
            assert!(
                FUNCTIONS.iter().all(|(function, ..)| *function != name),
                "{sql}: {error:?}"
            );
            true
        }
    }
}

/// A new object of the schema must be put into the tables above.
async fn require_all_mentioned(admin: &Session) {
    let mentioned = RELATIONS.iter().map(|(name, ..)| *name);
    let mentioned = mentioned.chain(SEQUENCES.iter().map(|(name, ..)| *name));
    let mentioned = mentioned.chain(FUNCTIONS.iter().map(|(name, ..)| *name));
    let mentioned: BTreeSet<String> = mentioned.map(str::to_owned).collect();
    let existing = admin
        .run(
            "SELECT relname FROM pg_class WHERE relnamespace = 'message_store'::regnamespace \
               AND relkind NOT IN ('i', 'c') \
             UNION SELECT proname FROM pg_proc WHERE pronamespace = 'message_store'::regnamespace",
        )
        .await
        .unwrap();
    let existing: BTreeSet<String> = existing.into_iter().flatten().flatten().collect();
    assert_eq!(
        mentioned, existing,
        "mentioned here, then existing in the schema"
    );
}

#[tokio::test]
async fn clients_of_message_db_write_and_read_with_their_search_path() {
    let cluster = Cluster::shared();
    let database = cluster.create_store().await;
    let client = database.connect_as("message_store").await;
    client
        .run("SET search_path = message_store, public")
        .await
        .unwrap();
    let written = client
        .value(
            "SELECT write_message('11111111-1111-1111-1111-111111111111'::varchar, \
             'account-1'::varchar, 'Opened'::varchar, '{\"a\": 1}'::jsonb, NULL::jsonb, \
             (-1)::bigint)",
        )
        .await;
    assert_eq!(written.as_deref(), Some("0"));
    for read in [
        "SELECT type, data FROM get_stream_messages('account-1', 0, 10)",
        "SELECT type, data FROM get_category_messages('account', 1, 10)",
        "SELECT type, data FROM get_last_stream_message('account-1')",
        "SELECT type, data FROM messages",
    ] {
        let rows = client.run(read).await.unwrap();
        assert_eq!(rows.len(), 1, "{read}");
        assert_eq!(rows[0][0].as_deref(), Some("Opened"), "{read}");
    }
}

#[tokio::test]
async fn making_a_store_needs_the_right_to_create_in_its_schema() {
    let cluster = Cluster::shared();
    let database = cluster.create_database().await;
    let admin = database.connect().await;
    admin.run("CREATE EXTENSION message_store").await.unwrap();
    let client = database.connect_as("message_store").await;
    let error = client.error("SELECT message_store.create_store()").await;
    assert_eq!(error.sqlstate, "42501", "{error:?}");
    let made = "SELECT count(*) FROM pg_class WHERE relnamespace = 'message_store'::regnamespace \
                AND relkind <> 'c'";
    assert_eq!(admin.bigint(made).await, 0);
}

/// The columns of SECURITY.md's table, each with a role that is nothing else.
const COLUMNS: [(&str, &str); 6] = [
    ("everybody", "deeds_everybody"),
    ("message_store", "deeds_client"),
    ("message_store_viewer", "deeds_viewer"),
    ("message_store_admin", "deeds_admin"),
    ("the store's owner", "deeds_keeper"),
    ("a superuser", "postgres"),
];

/// The rows of SECURITY.md's table, each with all ways to do it: who can may go one of them, who
/// cannot none. `own_` and its name is a subscription of the role, `theirs` is not.
#[rustfmt::skip]
const DEEDS: &[(&str, &[&str])] = &[
    ("look into the schema", &["SELECT message_store.hash_64('a-1')"]),
    ("read messages and read models", &[
        "SELECT message_store.get_stream_messages('a-1')",
        "SELECT message_store.get_all_messages()",
        "SELECT data FROM message_store.messages",
        "SELECT page_data FROM message_store.read_model_pages",
    ]),
    ("write messages by the functions", &[
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')",
        "SELECT message_store.write_messages('a-1', '[{\"type\": \"T\"}]')",
    ]),
    ("change read_model_pages", &[
        "SELECT message_store.increment_videos_watched(1)",
        "UPDATE message_store.read_model_pages SET page_data = '{}'",
    ]),
    ("see its own subscriptions", &[
        "SELECT 1 / count(*) FROM message_store.subscription_status WHERE subscriber_id = 'own_' || current_user",
        "SELECT 1 / count(*) FROM message_store.subscription_history WHERE subscriber_id = 'own_' || current_user",
    ]),
    ("create, steer, alter and drop subscriptions of its own", &[
        "SELECT message_store.create_subscription('new', 'a', '{\"T\": \"message_store.increment_videos_watched\"}')",
        "SELECT message_store.pause('own_' || current_user)",
        "SELECT message_store.alter_subscription('own_' || current_user, options => '{\"retries\": 1}')",
        "SELECT message_store.rebuild('own_' || current_user)",
        "SELECT message_store.drop_subscription('own_' || current_user)",
    ]),
    ("tick subscriptions of others", &["SELECT message_store.tick('theirs')"]),
    ("see subscriptions of others", &[
        "SELECT 1 / count(*) FROM message_store.subscription_status WHERE subscriber_id = 'theirs'",
        "SELECT 1 / count(*) FROM message_store.subscription_history WHERE subscriber_id = 'theirs'",
        "SELECT 1 / count(*) FROM message_store.subscriptions WHERE subscriber_id = 'theirs'",
    ]),
    ("steer and drop subscriptions of others", &[
        "SELECT message_store.start('theirs')",
        "SELECT message_store.stop('theirs')",
        "SELECT message_store.reset('theirs', 0, 'why')",
        "SELECT message_store.drop_subscription('theirs')",
        "UPDATE message_store.subscriptions SET state = 'paused' WHERE subscriber_id = 'theirs'",
        "DELETE FROM message_store.subscriptions WHERE subscriber_id = 'theirs'",
    ]),
    ("choose the handlers of subscriptions of others", &[
        "SELECT message_store.alter_subscription('theirs', '{\"T\": \"message_store.increment_videos_watched\"}')",
        "SELECT message_store.create_subscription('theirs', 'a', '{\"T\": \"message_store.increment_videos_watched\"}')",
        "UPDATE message_store.subscriptions SET handlers = '{}' WHERE subscriber_id = 'theirs'",
    ]),
    ("give a subscription to another owner", &[
        "UPDATE message_store.subscriptions SET owner = 'postgres' WHERE subscriber_id = 'own_' || current_user",
    ]),
    ("insert messages past the functions", &[
        "INSERT INTO message_store.messages (stream_name) SELECT 'a-1' WHERE false",
    ]),
    ("change and delete messages", &[
        "UPDATE message_store.messages SET type = 'U'",
        "DELETE FROM message_store.messages",
        "TRUNCATE message_store.messages",
    ]),
    ("delete and erase messages by the functions, without a GRANT of them", &[
        "SELECT message_store.delete_stream('a-9', 'why')",
        "SELECT message_store.delete_category_before('z', 'why', before_position => 2)",
        "SELECT message_store.retain('z', '1 day', 'why')",
        "SELECT message_store.erase_message_data('why', stream_name => 'a-1')",
        "SELECT message_store.wipe_free_room()",
    ]),
    ("delete what is older than was declared", &["SELECT message_store.apply_retention()"]),
    ("draw and set positions", &[
        "SELECT nextval('message_store.messages_global_position_seq')",
        "SELECT setval('message_store.messages_global_position_seq', 1000)",
        "ALTER SEQUENCE message_store.messages_global_position_seq RESTART",
    ]),
    ("put triggers on the tables, which run as whoever writes", &[
        "CREATE TRIGGER mine BEFORE UPDATE ON message_store.messages FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE TRIGGER mine BEFORE UPDATE ON message_store.read_model_pages FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ]),
    ("create in the schema", &["CREATE TABLE message_store.mine ()", "CREATE TYPE message_store.mine AS ()"]),
    ("change the functions", &[
        "ALTER FUNCTION message_store.hash_64(varchar) COST 2",
        "ALTER FUNCTION message_store.write_message OWNER TO current_user",
        "ALTER FUNCTION message_store.tick(varchar, bigint, bigint) SECURITY DEFINER",
    ]),
];

/// Rows of cells of the first table after a heading, the head first, without its marks of code.
fn table_under<'a>(heading: &str, text: &'a str) -> Vec<Vec<String>> {
    let (_, section) = text.split_once(heading).unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = |row: &'a str| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.replace('`', "").trim().to_owned())
    };
    let mut rows: Vec<Vec<String>> = rows.map(|row| cells(row).collect()).collect();
    rows.remove(1);
    rows
}

#[tokio::test]
async fn every_role_can_do_what_security_md_says_and_nothing_else() {
    let promised = table_under("## Who can do what", include_str!("../../SECURITY.md"));
    let columns: Vec<&str> = promised[0][1..].iter().map(String::as_str).collect();
    assert_eq!(columns, COLUMNS.map(|(column, _)| column));
    let rows: Vec<&str> = promised[1..].iter().map(|row| row[0].as_str()).collect();
    let deeds: Vec<&str> = DEEDS.iter().map(|(deed, _)| *deed).collect();
    assert_eq!(rows, deeds);

    let database = Cluster::shared().create_database().await;
    let admin = database.connect().await;
    admin
        .run(
            "CREATE EXTENSION message_store;
             CREATE ROLE deeds_everybody LOGIN;
             CREATE ROLE deeds_client LOGIN IN ROLE message_store;
             CREATE ROLE deeds_other LOGIN IN ROLE message_store;
             CREATE ROLE deeds_viewer LOGIN IN ROLE message_store_viewer;
             CREATE ROLE deeds_admin LOGIN IN ROLE message_store_admin;
             CREATE ROLE deeds_keeper LOGIN IN ROLE message_store;
             GRANT CREATE ON SCHEMA message_store TO deeds_keeper;
             SET ROLE deeds_keeper; SELECT message_store.create_store(); RESET ROLE;
             SELECT message_store.ensure_home_page();
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')",
        )
        .await
        .unwrap();
    let owners = COLUMNS
        .iter()
        .map(|(_, role)| (format!("own_{role}"), *role));
    for (id, owner) in owners.chain([("theirs".to_owned(), "deeds_other")]) {
        admin
            .run(&format!(
                "SELECT message_store.create_subscription('{id}', 'a',
                   '{{\"T\": \"message_store.increment_videos_watched\"}}',
                   '{{\"read_model\": [\"message_store.read_model_pages\"]}}');
                 UPDATE message_store.subscriptions SET owner = '{owner}'
                  WHERE subscriber_id = '{id}'"
            ))
            .await
            .unwrap();
    }

    let mut wrong = Vec::new();
    for (column, (title, role)) in COLUMNS.iter().enumerate() {
        let session = database.connect_as(role).await;
        for (row, (deed, ways)) in promised[1..].iter().zip(DEEDS) {
            let mut done = Vec::new();
            for way in *ways {
                if does(&session, way).await {
                    done.push(way);
                }
            }
            let promise = row[column + 1].as_str();
            let kept = match promise {
                "yes" => !done.is_empty(),
                "no" => done.is_empty(),
                other => panic!("{other} is neither yes nor no"),
            };
            if !kept {
                wrong.push(format!("{title}: {deed}: {promise}, but {done:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    admin
        .run(
            "DROP OWNED BY deeds_keeper CASCADE; DROP ROLE deeds_everybody, deeds_client,
              deeds_other, deeds_viewer, deeds_admin, deeds_keeper",
        )
        .await
        .unwrap();
}

/// Tries, and takes back what it did. Who sees no row (a division by zero of ours) did nothing.
async fn does(session: &Session, way: &str) -> bool {
    session.run("BEGIN").await.unwrap();
    let outcome = session.run(way).await;
    session.run("ROLLBACK").await.unwrap();
    match outcome {
        Ok(_) => true,
        Err(error) if ["42501", "22012"].contains(&error.sqlstate.as_str()) => false,
        Err(error) => panic!("{way}: {error:?}"),
    }
}
