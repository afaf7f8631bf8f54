//! `reassign`: a subscription whose handlers run with the rights of another role from now on.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::identity;
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::subscription::declare::given_options;
use crate::subscription::definition::handlers;
use crate::subscription::definition::options;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::subscription::operate::copy;
use crate::tables::subscriptions;
use pgrx::pg_sys;
use std::ffi::CString;

sql_functions! {
    reassign(subscriber_id: Varchar, owner: Varchar) => reassign,
}

fn reassign(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let owner = role(call.text("owner"))?;
    transaction::require_writable(c"reassign()");
    let definition = Definition::load_own(&id)?;
    let before = definition.owner;
    // Nobody lends the rights of a role that is not theirs, and nobody takes the code of a role that
    // is still there.
    if identity::role_exists(before) {
        definition.require_rights_of_code()?;
    }
    if !identity::has_rights_of(owner) {
        return Err(Error::argument(
            "owner",
            format!(
                "must be a role that you are a member of: {}",
                identity::role_name(owner)
            ),
            "Let a member of that role, or a superuser, reassign it.",
        ));
    }
    copy::require_none(&definition)?;
    // The tick that is running ends with the rights it began with.
    Member::lock_all(&id)?;
    handlers::normalized(&definition.handlers, owner)?;
    let given = options::parse_object("options", &subscriptions::options(&id)?)?;
    given_options::normalized(given, owner, &definition.search_path)?;
    subscriptions::set_owner(&id, owner)?;
    let told = format!(
        "from {} to {}",
        identity::role_name(before),
        identity::role_name(owner)
    );
    history::note(&Definition::load(&id)?, "reassign", None, Some(&told))?;
    Ok(Reply::void())
}

/// The role that an argument names.
fn role(name: Option<Text<'_>>) -> Result<pg_sys::Oid, Error> {
    let repair = "Pass the name of a role that exists.";
    let name = name.ok_or_else(|| Error::argument("owner", "must not be NULL", repair))?;
    let name = name.to_str();
    // A text value never contains NUL.
    let found = identity::role_named(&CString::new(name.as_ref()).unwrap_or_default());
    found.ok_or_else(|| Error::argument("owner", format!("is no role: {name}"), repair))
}
