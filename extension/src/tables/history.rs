//! What people, and failures, did to subscriptions.

use super::owner;
use crate::error::Error;
use crate::pg::parameter::{bigint, oid, text};
use crate::pg::spi::Statement;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, OIDOID, TEXTOID, VARCHAROID};

static INSERT: Statement = Statement::new(
    c"INSERT INTO message_store.history (subscriber_id, owner, role, action, position, reason, actor) \
      VALUES ($1, $2::pg_catalog.regrole, $3::pg_catalog.name, $4, $5, $6, $7)",
    &[
        VARCHAROID, OIDOID, TEXTOID, VARCHAROID, INT8OID, TEXTOID, TEXTOID,
    ],
);

/// An entry.
pub struct HistoryEntry<'a> {
    /// Of this subscription.
    pub subscriber_id: &'a str,
    /// Whose it is.
    pub owner: pg_sys::Oid,
    /// The role that acted.
    pub role: &'a str,
    /// What it did.
    pub action: &'a str,
    /// Where.
    pub position: Option<i64>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The person for whom the application acted.
    pub actor: Option<&'a str>,
}

/// Adds an entry.
pub fn insert(entry: &HistoryEntry<'_>) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    INSERT.run(
        &[
            text(entry.subscriber_id),
            oid(entry.owner),
            text(entry.role),
            text(entry.action),
            entry.position.and_then(bigint),
            entry.reason.and_then(text),
            entry.actor.and_then(text),
        ],
        |_| {},
    );
    Ok(())
}
