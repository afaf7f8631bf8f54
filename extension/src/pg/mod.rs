//! The fence around PostgreSQL's internals: the only place with `unsafe`.
//!
//! Everything here is told in PostgreSQL's words (relation, index, lock tag, snapshot); nothing
//! here knows messages, streams or subscriptions. Guard types release what they hold when they
//! are dropped, except while an error unwinds: then the transaction's abort releases it, and
//! touching half-torn state would be worse than leaving it.

pub mod acting_as;
pub mod array;
pub mod backtrace;
mod bindings;
pub mod call;
pub mod catalog;
pub mod column_default;
pub mod composite;
pub mod confinement;
pub mod deferred;
pub mod encoding;
pub mod error_context;
pub mod exit;
pub mod expression;
pub mod extension_version;
pub mod failure;
pub mod guard;
pub mod identity;
pub mod insert;
pub mod jsonb;
pub mod layout;
pub mod lock;
pub mod memory;
pub mod parameter;
pub mod plproxy;
pub mod probe;
pub mod relation;
pub mod report;
pub mod role_code;
mod role_settings;
pub mod routine;
mod row_descriptor;
pub mod row_lock;
pub mod rows;
pub mod scan;
pub mod sequence;
pub mod server;
mod setting;
pub mod slot;
pub mod snapshot;
pub mod spi;
pub mod subtransaction;
pub mod text;
pub mod time_limit;
pub mod transaction;
pub mod uuid;
mod versions;
pub mod wait;
pub mod wipe;
