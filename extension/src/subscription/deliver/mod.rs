//! One pass of a subscription: `tick` takes a member, reads a `batch`, and a `delivery` hands it to
//! handlers through `calls`; `crash` finds the handler that kills its process.

mod batch;
mod calls;
mod crash;
pub mod delivery;
mod tick;
