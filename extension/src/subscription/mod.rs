//! Subscriptions live in the database: what one reads and which handlers it calls
//! (`create`, `start`), one pass of it (`tick`), and what a handler may ask (`context`).

mod context;
mod create;
mod definition;
mod delivery;
mod handlers;
mod source;
mod start;
mod tick;
