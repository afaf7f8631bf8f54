//! Aggregators that ship with the extension, a file each.

mod home_page;
