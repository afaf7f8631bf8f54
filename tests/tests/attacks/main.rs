//! Promise: nobody becomes anybody else, and nobody takes the server down.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod fuzz;
mod in_sql;
mod names;
mod terminal;
mod web;
