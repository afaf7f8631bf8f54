//! Promise: clients of Message DB, and drivers of PostgreSQL, write, read, conflict and follow as they
//! are: in the text and in the binary protocol, directly and through pgbouncer in both modes. The table
//! in docs/compatibility.md is what ran here.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

#[path = "clients/client.rs"]
mod client;
#[path = "clients/programs.rs"]
mod programs;
#[path = "clients/store.rs"]
mod store;
#[path = "clients/table.rs"]
mod table;

use std::fs;

use client::Client;
use store::Store;

const TEXT: &[&str] = &["text"];

/// Every client, in the order of the table.
static CLIENTS: [Client; 9] = [
    Client {
        // psycopg2 puts the values into the statement.
        protocols: TEXT,
        ..Client::new("message-db-py", "message-db-py/client.py")
    },
    Client {
        protocols: TEXT,
        ..Client::new("Eventide's statements", "eventide/client.rb")
    },
    Client {
        protocols: TEXT,
        shows_sqlstate: false,
        // Built in.
        database: Some("message_store"),
        ..Client::new("message-db-connector", "message-db-connector/client.cjs")
    },
    Client {
        // Its option `binary` returns wrong numbers: brianc/node-postgres#3495.
        protocols: TEXT,
        ..Client::new("pg", "pg/client.mjs")
    },
    Client::new("psycopg", "psycopg/client.py"),
    Client {
        pooler_settings: "ignore_startup_parameters = extra_float_digits",
        ..Client::new("JDBC", "jdbc/Client.java")
    },
    Client::new("tokio-postgres", "tokio-postgres/src/main.rs"),
    Client::new("sqlx", "sqlx/src/main.rs"),
    Client::new("pgx", "pgx/client.go"),
];

fn client(name: &str) -> &'static Client {
    let found = CLIENTS.iter().find(|client| client.name == name);
    found.unwrap_or_else(|| panic!("no client {name}"))
}

async fn keep_the_table(name: &str) {
    client(name).keep_the_table().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_db_py_goes_on_unchanged() {
    keep_the_table("message-db-py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_eventide_sends_is_answered_as_it_expects() {
    keep_the_table("Eventide's statements").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_db_connector_goes_on_unchanged() {
    keep_the_table("message-db-connector").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_of_node_is_served() {
    keep_the_table("pg").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psycopg_3_is_served() {
    keep_the_table("psycopg").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jdbc_driver_is_served() {
    keep_the_table("JDBC").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokio_postgres_is_served() {
    keep_the_table("tokio-postgres").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlx_is_served() {
    keep_the_table("sqlx").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgx_of_go_is_served() {
    keep_the_table("pgx").await;
}

#[test]
fn the_table_has_a_row_for_each_protocol_of_each_tested_client_and_no_other() {
    let claimed = table::rows()
        .into_iter()
        .map(|row| (row.client, row.protocol));
    let tested = CLIENTS.iter().flat_map(|client| {
        let protocols = client.protocols.iter();
        protocols.map(|protocol| (client.name.to_owned(), (*protocol).to_owned()))
    });
    assert_eq!(claimed.collect::<Vec<_>>(), tested.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_of_clients_get_the_same_answers_from_message_db() {
    let store = Store::create_message_db().await;
    // But for one whose database has the name of ours.
    for client in CLIENTS.iter().filter(|client| client.database.is_none()) {
        client.get_the_same_answers(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_of_clients_get_the_same_answers_from_a_router() {
    let (router, _shards) = Store::create_router().await;
    for client in CLIENTS.iter().filter(|client| client.database.is_none()) {
        client.get_the_same_answers(&router).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_what_they_need_clients_meet_what_others_have_prepared() {
    for (name, protocol) in [
        ("psycopg", "binary"),
        ("JDBC", "text"),
        ("sqlx", "binary"),
        ("pgx", "binary"),
    ] {
        let client = client(name);
        client
            .is_refused_without_its_needs(protocol, "already exists")
            .await;
    }
}

#[test]
fn what_a_client_is_said_to_need_behind_a_pooler_is_what_its_program_sets() {
    for (name, settings) in table::needs() {
        let client = client(&name);
        let program = fs::read_to_string(programs::peers().join(client.program)).unwrap();
        for setting in settings {
            assert!(
                program.contains(&setting) || client.pooler_settings == setting,
                "{name}: {setting}"
            );
        }
    }
}

#[test]
fn the_versions_in_the_table_are_those_that_are_installed() {
    let of_lists = ["requirements.txt", "package.json"]
        .map(|list| fs::read_to_string(programs::peers().join(list)).unwrap());
    let lock = include_str!("../../Cargo.lock");
    for row in table::rows() {
        let (client, version) = (&row.client, &row.version);
        let is_listed = match client.as_str() {
            // Debian's packages.
            "JDBC" | "pgx" | "Eventide's statements" => continue,
            "tokio-postgres" | "sqlx" => {
                lock.contains(&format!("name = \"{client}\"\nversion = \"{version}\""))
            }
            _ => of_lists.iter().any(|list| {
                list.contains(&format!("{client}=={version}"))
                    || list.contains(&format!("\"{client}\": \"{version}\""))
            }),
        };
        assert!(is_listed, "{client} {version}");
    }
}
