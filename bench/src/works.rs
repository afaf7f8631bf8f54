//! A file per work.

pub(crate) mod carry;
pub(crate) mod catch_up;
pub(crate) mod cost;
pub(crate) mod growth;
pub(crate) mod latency;
pub(crate) mod mixed;
pub(crate) mod one_stream;
pub(crate) mod pages;
pub(crate) mod read_category;
pub(crate) mod read_group;
pub(crate) mod read_stream;
pub(crate) mod removal;
pub(crate) mod shards;
pub(crate) mod subscriptions;
pub(crate) mod write;
pub(crate) mod write_batch;
