//! Subscriptions live in the database.
//!
//! A folder for each who has to do with one: people declare it, ticks deliver its messages to
//! handlers, people operate it, and applications consume it. They share what is stored of it (its
//! definition), the source that it reads, the members of its group, what it has parked, the tables
//! of its read model and its history.

mod consume;
mod declare;
mod definition;
mod deliver;
mod history;
mod member;
mod operate;
mod parked;
mod read_model;
pub mod removed;
mod source;
