//! What applications do: handle messages themselves, and wait for what others have handled.
//!
//! A consumer leases the next messages of a member; while the lease runs nobody else gets any. What
//! it acknowledges is done. Delivery is at least once and in order: a consumer that dies before
//! its acknowledgement leaves its messages to the next, and its own late acknowledgement is refused.

mod acknowledge;
mod fetch;
mod lease;
mod renew;
mod wait_for;
