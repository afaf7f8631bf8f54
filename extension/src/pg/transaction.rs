//! Facts about the transaction we run in.

use super::{setting, versions};
use pgrx::pg_sys;

/// A number that no other transaction of this backend has; it survives savepoints.
pub fn local_id() -> u32 {
    // SAFETY: MyProc is set for as long as a backend runs SQL.
    unsafe { versions::local_transaction_id(pg_sys::MyProc) }
}

/// Whether one snapshot serves the whole transaction (REPEATABLE READ and SERIALIZABLE).
pub fn has_one_snapshot() -> bool {
    // SAFETY: a plain global.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Whether the caller's statement stands in a transaction block, or in a savepoint.
pub fn is_block() -> bool {
    // SAFETY: reads the state of the transaction.
    unsafe { pg_sys::IsTransactionBlock() }
}

/// Whether this server is a standby or still recovering.
pub fn is_in_recovery() -> bool {
    // SAFETY: reads shared state; callable at any time.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// How far a standby has replayed the write-ahead log.
pub fn replayed() -> u64 {
    // SAFETY: reads shared state; nobody asks for the timeline.
    unsafe { pg_sys::GetXLogReplayRecPtr(std::ptr::null_mut()) }
}

/// Raises PostgreSQL's own error where a write may not happen: on a standby, in a read-only
/// transaction (25006), in a parallel worker. `command` is named in the error.
pub fn require_writable(command: &std::ffi::CStr) {
    // SAFETY: the functions read the name and either return or raise.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(command.as_ptr());
        pg_sys::PreventCommandIfParallelMode(command.as_ptr());
    }
}

/// The transaction's start in microseconds since 2000-01-01 00:00 UTC, which is both
/// `now()` as a timestamptz and `now() AT TIME ZONE 'utc'` as a timestamp.
pub fn start_time() -> i64 {
    // SAFETY: valid inside a transaction, which every SQL call is.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// Makes what this transaction has just written visible to its next statement.
pub fn command_counter_increment() {
    // SAFETY: valid inside a transaction outside parallel mode.
    unsafe { pg_sys::CommandCounterIncrement() }
}

/// Waits until the transaction (or subtransaction) `xid` has ended. Deadlocks are detected,
/// `lock_timeout`, `statement_timeout` and cancel are honoured.
pub fn wait_for_end_of(xid: pg_sys::TransactionId) {
    // SAFETY: any xid may be waited for; relation and tuple only decorate an error.
    unsafe {
        pg_sys::XactLockTableWait(
            xid,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            pg_sys::XLTW_Oper::XLTW_None,
        );
    }
}

/// The database we are in.
pub fn database() -> u32 {
    // SAFETY: a plain global that is set once, when the backend enters its database.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// The process id of this session.
pub fn session() -> i32 {
    // SAFETY: a plain global.
    unsafe { pg_sys::MyProcPid }
}

/// A random number from 0 to 1, of no cryptographic worth.
pub fn random() -> f64 {
    // SAFETY: the backend's own generator, seeded when it started.
    unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) }
}

/// Lets this transaction commit as durably as the server, the database and the role say, where the
/// session was told to be faster (`SET synchronous_commit = off`).
pub fn commit_as_by_default() {
    // SET LOCAL synchronous_commit TO DEFAULT.
    setting::set(
        c"synchronous_commit",
        None,
        pg_sys::GucContext::PGC_USERSET,
        pg_sys::GucAction::GUC_ACTION_LOCAL,
        setting::OR_RAISE,
    );
}

/// A random positive number, of no cryptographic worth.
pub fn random_id() -> i64 {
    // SAFETY: as in `random`.
    unsafe { pg_sys::pg_prng_int64p(&raw mut pg_sys::pg_global_prng_state) }
}

/// The time of now, in microseconds since 2000-01-01 00:00 UTC.
pub fn clock() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
