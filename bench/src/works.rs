//! A file per work.

pub(crate) mod catch_up;
pub(crate) mod write;
pub(crate) mod write_batch;
