//! What applications do: handle messages themselves, and wait for what others have handled.

mod lease;
mod wait_for;
