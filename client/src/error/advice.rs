//! What to do about failures that people meet when they set things up, where neither the server
//! nor the driver says it.

use std::io::ErrorKind;

use tokio_postgres::error::{DbError, SqlState};

/// One sentence, or nothing where the error speaks for itself.
pub(super) fn advice(error: &tokio_postgres::Error) -> Option<&'static str> {
    match error.as_db_error() {
        Some(server) => of_server(server),
        None => of_driver(error),
    }
}

fn of_server(error: &DbError) -> Option<&'static str> {
    let state = error.code();
    if *state == SqlState::INVALID_PASSWORD {
        return Some(
            "Give the right password: PGPASSWORD, a line of ~/.pgpass, or password_file in \
             [database]",
        );
    }
    if *state == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        return Some(match error.message().contains("no encryption") {
            true => {
                "The server may demand TLS: add sslmode=verify-full (or require) to the address"
            }
            false => "Check the role in the address, and pg_hba.conf on the server",
        });
    }
    if *state == SqlState::INVALID_CATALOG_NAME {
        return Some("Check the database in the address, or create it with createdb");
    }
    if *state == SqlState::DISK_FULL {
        return Some(
            "Free space on the server's disk; what was not acknowledged is not written, and \
             nothing else has to be repaired",
        );
    }
    let is_missing = [
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    if is_missing.contains(state) && error.message().contains("message_store") {
        return Some(
            "The extension is missing in this database or of another version: CREATE EXTENSION \
             message_store; or ALTER EXTENSION message_store UPDATE; `orchestrator doctor` tells \
             which",
        );
    }
    None
}

fn of_driver(error: &tokio_postgres::Error) -> Option<&'static str> {
    let text = super::chain(error);
    if text.contains("server does not support TLS") {
        return Some(
            "The server offers no TLS: set ssl = on there, or add sslmode=disable to the address \
             where the network is trusted",
        );
    }
    if text.contains("invalid peer certificate") {
        return Some(
            "Name the certificate that signed the server's with sslrootcert=FILE in the address, \
             and the server by the name in its certificate",
        );
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let kind = inner
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        if let Some(ErrorKind::ConnectionRefused | ErrorKind::NotFound) = kind {
            return Some("Check host and port in the address, and whether the server runs");
        }
        cause = inner.source();
    }
    if text.contains("password missing") {
        return Some(
            "The server asks for a password: PGPASSWORD, a line of ~/.pgpass, or password_file in \
             [database]",
        );
    }
    None
}
