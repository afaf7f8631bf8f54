//! When deferred triggers and constraints fire.

use pgrx::pg_sys;

/// SET CONSTRAINTS ALL IMMEDIATE: whatever is deferred fires now, with the rights we act with.
pub fn fire_deferred() {
    set_all(false);
}

/// SET CONSTRAINTS ALL DEFERRED: what may be deferred is.
pub fn defer() {
    set_all(true);
}

fn set_all(deferred: bool) {
    let mut statement = pg_sys::ConstraintsSetStmt {
        type_: pg_sys::NodeTag::T_ConstraintsSetStmt,
        constraints: std::ptr::null_mut(),
        deferred,
    };
    // SAFETY: an empty list of names stands for ALL; the triggers that fire now need the snapshot
    // that any running statement has.
    unsafe { pg_sys::AfterTriggerSetState(&mut statement) }
}
