//! message_store: a message store with read models inside PostgreSQL.
//!
//! Every module is a room with one purpose. Modules use each other in one direction: functions that
//! SQL calls (`write`, `read`, `subscription`, ...) -> rules (`stream`, `horizon`, `stream_name`,
//! `consumer_group`) -> the store's `tables` -> `pg`, the fence around PostgreSQL's internals.
//!
//! The SQL that declares these functions is written by hand in `sql/`, a file each.

mod account;
mod consumer_group;
mod earlier_symbols;
mod epoch;
mod error;
mod fnv;
mod handler_call;
mod horizon;
mod install;
mod kept_error;
mod message;
mod message_db;
mod message_id;
mod pg;
mod read;
mod read_models;
mod removal;
mod scale_out;
mod settings;
mod shard;
#[cfg(any(test, feature = "pg_test"))]
mod signatures;
mod store;
mod stream;
mod stream_name;
mod subscription;
mod tables;
mod write;

::pgrx::pg_module_magic!();

/// Called by PostgreSQL once, when a session loads the library.
#[allow(non_snake_case)]
#[::pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::backtrace::keep_out_of_errors();
    pg::confinement::install();
    settings::define();
}

#[cfg(feature = "pg_test")]
mod pg_tests;

/// Called by `cargo pgrx test`.
#[cfg(all(test, feature = "pg_test"))]
#[allow(missing_docs, reason = "pgrx names them")]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    pub fn postgresql_conf_options() -> Vec<&'static str> {
        Vec::new()
    }
}
