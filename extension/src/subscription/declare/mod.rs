//! What is read and who handles it.

mod create;
mod given_options;
mod reassign;
