//! What a store offers to be one of several: its place among them, and what a router asks of it.

mod become_shard;
mod moved;
mod place;
mod router;
