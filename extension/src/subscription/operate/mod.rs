//! What people do about a subscription, and see of it.

pub mod copy;
mod group;
mod lag;
pub mod lifecycle;
mod look;
mod position;
mod rebuild;
mod retry;
mod verify;
