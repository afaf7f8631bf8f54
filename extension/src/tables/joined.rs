//! What is asked of several tables in one statement, so that the answer is of one moment.

/// A condition: whether the subscription `s` reads the message `m`. The cast keeps `category` ours:
/// somebody's `category(text)` would fit better.
macro_rules! reads {
    () => {
        "s.source OPERATOR(pg_catalog.=) ANY (ARRAY['$all', \
         message_store.category(m.stream_name::pg_catalog.varchar), m.stream_name])"
    };
}

pub mod grown;
pub mod progress;
pub mod remains;
pub mod traces;
pub mod unhandled;
