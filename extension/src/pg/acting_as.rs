//! SQL that runs as another role than the session's.

use super::setting;
use pgrx::pg_sys;
use std::ffi::CStr;

/// Acts as another role until dropped; settings changed meanwhile are put back too.
///
/// The security context forbids SET ROLE and SET SESSION AUTHORIZATION meanwhile, as inside a
/// SECURITY DEFINER function. An error leaves the restoring to the abort, which does the same.
pub struct ActingAs {
    user: pg_sys::Oid,
    context: i32,
    settings_level: i32,
}

impl ActingAs {
    /// Becomes `role`.
    pub fn role(role: pg_sys::Oid) -> Self {
        let mut acting = Self {
            user: pg_sys::InvalidOid,
            context: 0,
            settings_level: 0,
        };
        // SAFETY: the old values are kept and restored; an abort restores them by itself.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut acting.user, &mut acting.context);
            let context = acting.context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
            pg_sys::SetUserIdAndSecContext(role, context);
            acting.settings_level = pg_sys::NewGUCNestLevel();
        }
        acting
    }

    /// Keeps notices from the client until this is dropped; warnings and errors come through.
    pub fn quietly(self) -> Self {
        self.set(c"client_min_messages", c"warning");
        self
    }

    /// Times without a zone are read as UTC until this is dropped.
    pub fn in_utc(self) -> Self {
        self.set(c"timezone", c"UTC");
        self
    }

    /// Sets a setting until this is dropped, with the rights that we act with.
    pub(super) fn set(&self, name: &CStr, value: &CStr) {
        // SAFETY: looks at who we are.
        let context = if unsafe { pg_sys::superuser() } {
            pg_sys::GucContext::PGC_SUSET
        } else {
            pg_sys::GucContext::PGC_USERSET
        };
        // It goes back with the level that `role` opened.
        let action = pg_sys::GucAction::GUC_ACTION_SAVE;
        setting::set(name, Some(value), context, action, setting::OR_RAISE);
    }
}

impl Drop for ActingAs {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let keep_changes = false;
            // SAFETY: restores what `role` saved.
            unsafe {
                pg_sys::AtEOXact_GUC(keep_changes, self.settings_level);
                pg_sys::SetUserIdAndSecContext(self.user, self.context);
            }
        }
    }
}
