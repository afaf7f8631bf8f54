//! Heavyweight locks on tags of our own class in PostgreSQL's lock table.
//!
//! The tag type is that of advisory locks, with a fourth field that PostgreSQL's own advisory
//! functions (1 and 2) and Citus (4 to 16) never use, so no SQL user can take or block one.

mod held;
mod tag;

pub use held::{Holding, held_by_others, holds_advisory};
pub use tag::{Exclusive, Tag, advisory_until_end};
