//! Sleeping inside the server.

use pgrx::pg_sys;

/// Sleeps up to `milliseconds`, less when this backend's latch is set; then serves a cancel,
/// a termination or a shutdown by raising its error.
pub fn sleep_ms(milliseconds: i64) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: MyLatch is set for as long as a backend runs. A snapshot kept for catalog look-ups
    // would hold back VACUUM while we sleep; the next look-up takes another.
    unsafe {
        pg_sys::InvalidateCatalogSnapshot();
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            milliseconds as std::ffi::c_long,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
