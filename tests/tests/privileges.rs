//! Promise: EXECUTE on the functions is the privilege to write and to steer, SELECT the
//! privilege to read, and nobody but the owner gets past the functions.
//!
//! One test walks every cell of role x object x verb by really doing it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::BTreeSet;

use promises::{Cluster, Session};

/// Who tries, in the order of the columns below: the superuser who made the store; the role of
/// Message DB's clients; a role that may only look into the schema; a role without any grant.
const ROLES: [&str; 4] = ["postgres", "message_store", "visitor", "stranger"];

/// Tables and views: which of Select, Insert, Update, Delete, Truncate each role may.
#[rustfmt::skip]
const RELATIONS: &[(&str, [&str; 4])] = &[
    //                         postgres  message_store  visitor  stranger
    ("messages",              ["SIUDT",  "S----",       "-----", "-----"]),
    ("read_model_pages",      ["SIUDT",  "S----",       "-----", "-----"]),
    ("subscriptions",         ["SIUDT",  "-----",       "-----", "-----"]),
    ("subscription_progress", ["SIUDT",  "-----",       "-----", "-----"]),
    ("parked_messages",       ["SIUDT",  "-----",       "-----", "-----"]),
    ("subscription_status",   ["S",      "S",           "-",     "-"]),
    ("category_type_summary", ["S",      "S",           "-",     "-"]),
    ("stream_summary",        ["S",      "S",           "-",     "-"]),
    ("stream_type_summary",   ["S",      "S",           "-",     "-"]),
    ("type_category_summary", ["S",      "S",           "-",     "-"]),
    ("type_stream_summary",   ["S",      "S",           "-",     "-"]),
    ("type_summary",          ["S",      "S",           "-",     "-"]),
];

/// Sequences: which of Nextval, Value set, Select each role may.
#[rustfmt::skip]
const SEQUENCES: &[(&str, [&str; 4])] = &[
    //                                postgres  message_store  visitor  stranger
    ("messages_global_position_seq", ["NVS",    "---",         "---",   "---"]),
];

/// Functions: a call, and which role gets through it (Y). A reader that is open to everybody
/// still needs SELECT on messages; create_store finds everything there and so needs no right.
#[rustfmt::skip]
const FUNCTIONS: &[(&str, &str, [&str; 4])] = &[
    //                                                               postgres  message_store  visitor  stranger
    ("write_message",            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')", 
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("acquire_lock",             "SELECT message_store.acquire_lock('a-1')",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("cardinal_id",              "SELECT message_store.cardinal_id('a-1')",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("category",                 "SELECT message_store.category('a-1')",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("hash_64",                  "SELECT message_store.hash_64('a-1')",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("id",                       "SELECT message_store.id('a-1')",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("is_category",              "SELECT message_store.is_category('a-1')",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("message_store_version",    "SELECT message_store.message_store_version()",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("handler_context",          "SELECT message_store.handler_context()",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("stream_version",           "SELECT message_store.stream_version('a-1')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("get_stream_messages",      "SELECT message_store.get_stream_messages('a-1')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("get_category_messages",    "SELECT message_store.get_category_messages('a')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("get_all_messages",         "SELECT message_store.get_all_messages()",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("get_last_stream_message",  "SELECT message_store.get_last_stream_message('a-1')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("ensure_home_page",         "SELECT message_store.ensure_home_page()",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("increment_videos_watched", "SELECT message_store.increment_videos_watched(1)",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("increment_videos_watched", "SELECT message_store.increment_videos_watched('{1}'::bigint[])",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("create_subscription",      "SELECT message_store.create_subscription('new', 'a', '{\"T\": \"message_store.increment_videos_watched\"}')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("start",                    "SELECT message_store.start('clients')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("tick",                     "SELECT message_store.tick('clients')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("wait_for_messages",        "CALL message_store.wait_for_messages(0, '0')",
                                                                    ["Y",      "Y",           "-",     "-"]),
    ("horizon_blockers",         "SELECT message_store.horizon_blockers()",
                                                                    ["Y",      "Y",           "Y",     "-"]),
    ("create_store",             "SELECT message_store.create_store()",
                                                                    ["Y",      "Y",           "Y",     "-"]),
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
            "CREATE ROLE visitor LOGIN; CREATE ROLE stranger LOGIN;
             GRANT USAGE ON SCHEMA message_store TO visitor",
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
               '{\"T\": \"message_store.increment_videos_watched\"}')",
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
    assert!(cells > 200, "only {cells} cells walked");
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
