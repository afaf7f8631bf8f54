//! Who may steer and see a subscription.

use crate::pg::identity;
use pgrx::pg_sys;

/// Whether the current role may steer subscriptions of `owner`.
pub fn may_steer(owner: pg_sys::Oid) -> bool {
    identity::has_rights_of(owner)
        || identity::role_named(c"message_store_admin").is_some_and(identity::has_rights_of)
}

/// Whether the current role may see subscriptions of `owner`.
pub fn may_see(owner: pg_sys::Oid) -> bool {
    may_steer(owner)
        || identity::role_named(c"message_store_viewer").is_some_and(identity::has_rights_of)
}
