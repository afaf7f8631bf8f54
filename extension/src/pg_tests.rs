//! Tests that run inside PostgreSQL, each in one transaction that is rolled back: `cargo pgrx test`.
//! What needs commits, crashes, several sessions or the orchestrator is in `tests/`.

mod chapter;
mod copies;
mod failures;
mod handlers;
mod installation;
mod reading;
mod rebuilds;
mod steering;
mod support;
mod test_kit;
mod writing;
