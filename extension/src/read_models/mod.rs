//! The demo's native aggregator. The other one, `count_views_per_video`, is written in SQL.

mod home_page;
mod target;
