//! On whose behalf SQL runs.

use super::confinement::Confinement;
use super::deferred;
use super::role_settings::RoleSettings;
use super::setting;
use super::time_limit::TimeLimit;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

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

    /// Sets a setting until this is dropped, with the rights that we act with.
    fn set(&self, name: &CStr, value: &CStr) {
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

/// Runs `work`, which calls code of `role`, as that role: with the settings it would have in a
/// session of its own, then those given, and confined, so that it leaves nothing behind that would
/// run later with somebody else's rights. What the caller has deferred fires before, as the caller;
/// what the code defers fires before this returns, as the role.
///
/// `settings`: name and value; raises where the role may not set one.
pub fn run_code_of<T, E>(
    role: pg_sys::Oid,
    settings: &[(CString, CString)],
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let queued = deferred::fire();
    let of_role = RoleSettings::of(role);
    let confinement = Confinement::enter();
    let acting = ActingAs::role(role);
    of_role.apply();
    for (name, value) in settings {
        acting.set(name, value);
    }
    let _limit = TimeLimit::begin();
    deferred::defer();
    let result = work()?;
    queued.fire_others();
    confinement.leave();
    Ok(result)
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

/// The role whose rights the running SQL has.
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: a plain read of backend state.
    unsafe { pg_sys::GetUserId() }
}

/// Whether the running SQL has the rights of `role`: it is that role, a member, or a superuser.
pub fn has_rights_of(role: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up; unknown roles are nobody's.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), role) }
}

/// Whether a role is a superuser.
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up; unknown roles are none.
    unsafe { pg_sys::superuser_arg(role) }
}

/// The oid of a role by name, where it exists.
pub fn role_named(name: &CStr) -> Option<pg_sys::Oid> {
    let missing_ok = true;
    // SAFETY: a catalog look-up of a NUL-terminated name.
    let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), missing_ok) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// A role's name, or its number where it no longer exists.
pub fn role_name(role: pg_sys::Oid) -> String {
    let missing_ok = true;
    // SAFETY: a catalog look-up that returns a palloc'd copy or null.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, missing_ok);
        if name.is_null() {
            role.to_u32().to_string()
        } else {
            std::ffi::CStr::from_ptr(name)
                .to_string_lossy()
                .into_owned()
        }
    }
}

/// Whether the role still exists.
pub fn role_exists(role: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up.
    unsafe {
        pg_sys::SearchSysCacheExists(
            pg_sys::SysCacheIdentifier::AUTHOID as i32,
            pg_sys::Datum::from(role),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        )
    }
}

/// The session's search_path as it is set.
pub fn search_path() -> String {
    // SAFETY: a plain global string that ends in NUL.
    unsafe {
        CStr::from_ptr(pg_sys::namespace_search_path)
            .to_string_lossy()
            .into_owned()
    }
}
