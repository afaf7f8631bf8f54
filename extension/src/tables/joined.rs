//! What is asked of several tables in one statement, so that the answer is of one moment.

pub mod progress;
pub mod remains;
pub mod traces;
pub mod unhandled;
