//! No Rust backtrace in what clients see.

/// Keeps backtraces out of the DETAIL of errors, whatever RUST_BACKTRACE the server was started
/// with: they show source paths to clients and say nothing to them.
pub fn keep_out_of_errors() {
    // SAFETY: called once while the library is loaded, in a backend, which has one thread; Rust
    // reads the variable at the first error and remembers it.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") }
}
