//! message_store: a message store with read models inside PostgreSQL.
//!
//! Every module is a room with one purpose. Dependencies point one way: functions that SQL
//! calls (`write`, `read`, `subscription`, ...) -> pure rules (`stream_name`, `consumer_group`)
//! and the `horizon` -> `pg`, the fence around PostgreSQL's internals.
//!
//! The SQL that declares these functions is written by hand in `sql/`, a file each.

mod acquire_lock;
mod causation;
mod consumer_group;
mod error;
mod horizon;
mod horizon_blockers;
mod message;
mod message_id;
mod parse;
mod pg;
mod read;
mod read_models;
mod settings;
mod store;
mod stream;
mod stream_name;
mod subscription;
mod tables;
mod version;
mod wait;
mod write;
mod write_batch;
mod write_messages;

::pgrx::pg_module_magic!();

/// Called by PostgreSQL once, when a session loads the library.
#[allow(non_snake_case)]
#[::pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::backtrace::keep_out_of_errors();
    pg::confinement::install();
    settings::define();
}
