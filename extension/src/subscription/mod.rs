//! Subscriptions live in the database.
//!
//! What one reads and which handlers it calls: `create`, `options`, `definition`, `source`,
//! `handlers`. One pass of it: `tick` takes a `member`, reads a `batch`, and a `delivery` hands it
//! to handlers through `calls`, telling them their `context`; the `policy`, `parked` and `crash`
//! deal with failures. What people do: `lifecycle`, `retry`, `position`, `group`, `rebuild`,
//! `verify`, with `read_model` for the tables, and `history` keeping it. What applications do:
//! `lease`, `wait_for`. How far it is: `lag`.

mod batch;
mod calls;
pub mod context;
mod copy;
mod crash;
mod create;
mod definition;
mod delivery;
mod given_options;
mod group;
mod handlers;
mod history;
mod lag;
mod lease;
mod lifecycle;
mod member;
mod options;
mod parked;
mod policy;
mod position;
mod read_model;
mod rebuild;
mod replay;
mod retry;
mod rights;
mod run_as;
mod source;
mod tick;
mod verify;
mod wait_for;
