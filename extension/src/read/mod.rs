//! The path of a read: from the functions that SQL calls, of a stream, a category or all messages,
//! through the horizon to a page of rows; or, with a caller's own condition, to a statement.

mod all;
mod category;
mod condition;
mod merged;
mod page;
mod stream;
