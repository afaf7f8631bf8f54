//! Roles, and which of them the running SQL is.

use pgrx::pg_sys;
use std::ffi::CStr;

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
