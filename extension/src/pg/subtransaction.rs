//! Work whose effects are taken back where it fails.

use super::failure::Failure;
use super::report::Report;
use pgrx::pg_sys;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` in a subtransaction: committed where it succeeds, rolled back where it fails, with
/// user, security context and settings as they were.
///
/// Relations, scans and snapshots that `work` opens must not outlive it.
pub fn attempt<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, Failure<E>>
where
    for<'e> &'e E: Into<Report>,
{
    // SAFETY: as PL/pgSQL runs a block with an EXCEPTION clause: the memory context and the
    // resource owner of before are put back after either end; the error stack was emptied when
    // the error became a panic; the callbacks that an unwound frame left are taken off.
    unsafe {
        let memory = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        let callbacks = pg_sys::error_context_stack;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(memory);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = work();
            if result.is_ok() {
                pg_sys::ReleaseCurrentSubTransaction();
            }
            result
        }));
        let failure = match result {
            Ok(Ok(value)) => {
                pg_sys::MemoryContextSwitchTo(memory);
                pg_sys::CurrentResourceOwner = owner;
                return Ok(value);
            }
            Ok(Err(error)) => Failure::returned(error),
            Err(payload) => {
                pg_sys::error_context_stack = callbacks;
                Failure::raised(payload)
            }
        };
        pg_sys::MemoryContextSwitchTo(memory);
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::MemoryContextSwitchTo(memory);
        pg_sys::CurrentResourceOwner = owner;
        Err(failure)
    }
}
