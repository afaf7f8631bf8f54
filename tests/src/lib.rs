//! What the tests stand on: throw-away clusters, databases with a store, sessions, the
//! program as a child process, and the peer we compare with.
//!
//! A failure of these is a failure of the test, so they panic with what PostgreSQL said.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up must fail loudly"
)]

mod browser;
mod cluster;
mod database;
mod far_away;
mod guardian;
mod home_page;
mod horizons;
mod jobs;
mod load;
mod message_db;
mod metrics;
mod observer;
mod orchestrator;
mod patroni;
mod pgbouncer;
mod program;
mod prometheus;
mod property;
mod random;
mod session;
mod shards;
mod small_disk;
mod terminal;

pub use browser::Scenario;
pub use cluster::{
    Cluster, GuardedFolder, StopMode, bin_dir, find_pg_config, other_pg_config,
    remove_pg_variables, server_program,
};
pub use database::Database;
pub use far_away::FarAway;
pub use load::{Seen, Writers};
pub use message_db::MessageDb;
pub use metrics::{METRICS, Scrape, ask, get, wait_for};
pub use observer::{Observed, Observer, Written, count_on};
pub use orchestrator::{
    DECLARED_HOME_PAGE, DEMO, Deployment, Ended, HOME_PAGE, Running, is_delivery, orchestrator,
    orchestrator_at, orchestrator_program, run_to_end, wait_for_end,
};
pub use patroni::{PatroniCluster, Replication};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use program::{Profile, build_program};
pub use prometheus::Prometheus;
pub use property::{check_property, seed};
pub use random::Random;
pub use session::{Notice, Rows, Session, SqlError, Text, literal, rows_of};
pub use shards::Shards;
pub use small_disk::SmallDisk;
pub use terminal::Terminal;
