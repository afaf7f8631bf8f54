//! What is there only for Message DB's sake.

mod acquire_lock;
pub mod adoption;
pub mod null;
mod parse;
mod version;
