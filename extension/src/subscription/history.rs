//! What people, and failures, did to subscriptions.

use super::definition::{Definition, as_owner_of_subscriptions};
use crate::error::Error;
use crate::pg::identity;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::settings;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, OIDOID, TEXTOID, VARCHAROID};

static NOTE: Statement = Statement::new(
    c"INSERT INTO message_store.history (subscriber_id, owner, role, action, position, reason, actor) \
      VALUES ($1, $2::pg_catalog.regrole, $3::pg_catalog.name, $4, $5, $6, $7)",
    &[
        VARCHAROID, OIDOID, TEXTOID, VARCHAROID, INT8OID, TEXTOID, TEXTOID,
    ],
);

/// Keeps that the current role did `action`, and for whom, where the application said so.
pub fn note(
    definition: &Definition,
    action: &str,
    position: Option<i64>,
    reason: Option<&str>,
) -> Result<(), Error> {
    let text = |value: &str| Some(Text::copied(value.as_bytes()).datum());
    let role = identity::role_name(identity::current_role());
    let _owner = as_owner_of_subscriptions()?;
    NOTE.run(
        &[
            text(&definition.subscriber_id),
            Some(pg_sys::Datum::from(definition.owner)),
            text(&role),
            text(action),
            position.map(pg_sys::Datum::from),
            reason.and_then(text),
            settings::actor().as_deref().and_then(text),
        ],
        |_| {},
    );
    Ok(())
}
