//! Code of a role that runs in a session of another.

use super::acting_as::ActingAs;
use super::confinement::Confinement;
use super::deferred;
use super::role_settings::RoleSettings;
use super::time_limit::TimeLimit;
use pgrx::pg_sys;
use std::ffi::CString;

/// Runs `work`, which calls code of `role`, as that role: with the settings it would have in a
/// session of its own, then those given, and confined, so that it leaves nothing behind that would
/// run later with somebody else's rights. What the caller has deferred fires before, as the caller;
/// what the code defers fires before this returns, as the role.
///
/// `settings`: name and value; raises where the role may not set one.
pub fn run<T, E>(
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
