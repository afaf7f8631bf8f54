//! Promise: what must go out of the log goes, for good and on record; what stays is whole; and nobody
//! makes a read model anew from less than it was made of without being told.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod beside_others;
mod command_line;
mod deletion;
mod erasure;
mod replays;
mod retention;
#[path = "../subscriber/mod.rs"]
mod subscriber;
