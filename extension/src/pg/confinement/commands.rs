//! Commands of confined code: no cursor WITH HOLD, no temporary table, no prepared statement, no
//! LISTEN.
//!
//! PostgreSQL refuses these in a security-restricted operation. There it also refuses deferred
//! triggers, which are fine here, since they are fired before the role is left. So the restriction
//! is set for the commands that could leave something behind, and not for queries.

use super::state::is_confined;
use crate::pg::bindings;
use crate::pg::deferred;
use crate::pg::report::Report;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::c_char;

thread_local! {
    static NEXT_HOOK: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
}

pub(super) fn install() {
    // SAFETY: single-threaded backend start-up; the hook before ours is called by ours.
    unsafe {
        NEXT_HOOK.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// Whether a command only runs queries or other commands, which come here themselves.
///
/// # Safety
/// `command` must be a live utility statement after parse analysis.
unsafe fn is_wrapper(command: *mut pg_sys::Node) -> bool {
    use pg_sys::NodeTag as Tag;
    // SAFETY: the caller's; what EXPLAIN explains is an analyzed query.
    unsafe {
        match (*command).type_ {
            Tag::T_DoStmt | Tag::T_CallStmt | Tag::T_ConstraintsSetStmt => true,
            // CREATE TABLE AS, DECLARE and EXECUTE do not come here when EXPLAIN runs them.
            Tag::T_ExplainStmt => {
                let query = (*command.cast::<pg_sys::ExplainStmt>()).query;
                (*query).type_ == Tag::T_Query
                    && (*query.cast::<pg_sys::Query>()).commandType != pg_sys::CmdType::CMD_UTILITY
            }
            _ => false,
        }
    }
}

/// 55000: what fires now must not be put off once more.
#[pgrx::pg_guard]
extern "C-unwind" fn refuse_to_defer() {
    Report::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SET CONSTRAINTS cannot run while deferred triggers fire before the role changes",
    )
    .hint("Leave SET CONSTRAINTS out of the trigger: what it queues fires at once.")
    .raise()
}

/// An error in the command leaves by longjmp over this frame, whole as it came: nothing here has a
/// destructor.
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: PostgreSQL passes a statement with its utility node; the arguments are passed on as
    // they came. The user's security context is put back; an abort restores it by itself.
    unsafe {
        let command = (*statement).utilityStmt;
        if deferred::is_firing() && (*command).type_ == pg_sys::NodeTag::T_ConstraintsSetStmt {
            refuse_to_defer();
        }
        let restrict = is_confined() && !is_wrapper(command);
        let (mut user, mut security) = (pg_sys::InvalidOid, 0);
        if restrict {
            pg_sys::GetUserIdAndSecContext(&mut user, &mut security);
            let restricted = security | pg_sys::SECURITY_RESTRICTED_OPERATION as i32;
            pg_sys::SetUserIdAndSecContext(user, restricted);
        }
        let next = NEXT_HOOK
            .get()
            .unwrap_or(bindings::standard_process_utility());
        next(
            statement,
            query,
            read_only_tree,
            context,
            parameters,
            environment,
            destination,
            completion,
        );
        if restrict {
            pg_sys::SetUserIdAndSecContext(user, security);
        }
    }
}
