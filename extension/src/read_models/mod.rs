//! The chapter's aggregator, which counts the videos that were watched.

mod home_page;
mod target;
