//! Code of one role that runs in a session of another must leave nothing behind that would run
//! later with the session's rights, or with those of the next role: no cursor WITH HOLD, no
//! temporary table, no prepared statement, no LISTEN.
//!
//! PostgreSQL refuses these in a security-restricted operation. There it also refuses deferred
//! triggers, which are fine here, since they are fired before the role is left. So the restriction
//! is set for the commands that could leave something behind, and not for queries.

use super::bindings;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::c_char;

thread_local! {
    static CONFINED: Cell<bool> = const { Cell::new(false) };
    static NEXT_HOOK: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
}

/// Confines what runs until dropped.
pub struct Confinement {
    before: bool,
}

impl Confinement {
    /// Begins; it may already have begun.
    pub fn enter() -> Self {
        Self {
            before: CONFINED.replace(true),
        }
    }
}

impl Drop for Confinement {
    fn drop(&mut self) {
        CONFINED.set(self.before);
    }
}

/// Puts us into the way of commands; called once, when a session loads the library.
pub fn install() {
    // SAFETY: single-threaded backend start-up; the hook before ours is called by ours.
    unsafe {
        NEXT_HOOK.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// Commands that only run queries or other commands, which come here themselves.
fn is_wrapper(tag: pg_sys::NodeTag) -> bool {
    use pg_sys::NodeTag as Tag;
    matches!(
        tag,
        Tag::T_DoStmt | Tag::T_CallStmt | Tag::T_ConstraintsSetStmt | Tag::T_ExplainStmt
    )
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
        let restrict = CONFINED.get() && !is_wrapper((*(*statement).utilityStmt).type_);
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
