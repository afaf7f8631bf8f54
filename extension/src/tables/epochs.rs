//! Which histories of the log there were, and the server that positions were last drawn on.

use super::owner;
use crate::error::Error;
use crate::pg::parameter::{Parameter, bigint, text};
use crate::pg::spi::Statement;
use pgrx::pg_sys::BuiltinOid::{INT8OID, TEXTOID, UUIDOID};

static NEWEST: Statement = Statement::new(
    c"SELECT epoch::pg_catalog.text, server FROM message_store.epochs ORDER BY number DESC LIMIT 1",
    &[],
);
static BEGIN: Statement = Statement::new(
    c"INSERT INTO message_store.epochs (server, settled_up_to, reason, role) \
      VALUES ($1, $2, $3, $4::pg_catalog.name) RETURNING epoch::pg_catalog.text",
    &[INT8OID, INT8OID, TEXTOID, TEXTOID],
);
static CONFIRM: Statement = Statement::new(
    c"UPDATE message_store.epochs \
         SET confirmed_at = pg_catalog.clock_timestamp(), confirmed_by = $2::pg_catalog.name, \
             confirmation = $3 \
       WHERE epoch OPERATOR(pg_catalog.=) $1",
    &[UUIDOID, TEXTOID, TEXTOID],
);
static IS_KNOWN: Statement = Statement::new(
    c"SELECT true FROM message_store.epochs WHERE epoch OPERATOR(pg_catalog.=) $1",
    &[UUIDOID],
);
/// The first epoch after `$1` that is certain to less than `$2`.
static DOUBTFUL: Statement = Statement::new(
    c"SELECT later.settled_up_to, later.began_at::pg_catalog.text \
        FROM message_store.epochs AS later, message_store.epochs AS kept \
       WHERE kept.epoch OPERATOR(pg_catalog.=) $1 AND later.number OPERATOR(pg_catalog.>) kept.number \
         AND later.confirmed_at IS NULL AND later.settled_up_to OPERATOR(pg_catalog.<) $2 \
       ORDER BY later.settled_up_to LIMIT 1",
    &[UUIDOID, INT8OID],
);
static SET_SERVER: Statement = Statement::new(
    c"SELECT pg_catalog.setval('message_store.server_seq'::pg_catalog.regclass, $1)",
    &[INT8OID],
);
/// An epoch.
pub struct Epoch {
    /// Its name, a UUID.
    pub name: String,
    /// The server it began on.
    pub server: i64,
}

/// Where the logs of two epochs may part.
pub struct Doubt {
    /// They are the same up to here, for certain.
    pub settled_up_to: i64,
    /// When the later one began.
    pub began_at: String,
}

/// The newest, where one has begun.
pub fn newest() -> Result<Option<Epoch>, Error> {
    let _owner = owner::of("epochs")?;
    let mut newest = None;
    NEWEST.look(&[], |row| {
        newest = row.text(0).zip(row.bigint(1));
    });
    Ok(newest.map(|(name, server)| Epoch { name, server }))
}

/// Begins one; returns its name.
pub fn begin(server: i64, settled_up_to: i64, reason: &str, role: &str) -> Result<String, Error> {
    let _owner = owner::of("epochs")?;
    let arguments = [
        bigint(server),
        bigint(settled_up_to),
        text(reason),
        text(role),
    ];
    let mut name = String::new();
    BEGIN.run(&arguments, |row| name = row.text(0).unwrap_or_default());
    Ok(name)
}

/// Notes that nothing was lost when one began; whether there is such an epoch.
pub fn confirm(epoch: Parameter, role: &str, reason: &str) -> Result<bool, Error> {
    let _owner = owner::of("epochs")?;
    Ok(CONFIRM.run(&[epoch, text(role), text(reason)], |_| {}) > 0)
}

/// Whether there is such an epoch.
pub fn is_known(epoch: Parameter) -> Result<bool, Error> {
    let _owner = owner::of("epochs")?;
    Ok(IS_KNOWN.look(&[epoch], |_| {}) > 0)
}

/// Why a position of an epoch is not good for certain; `None` where it is.
pub fn doubt(epoch: Parameter, position: i64) -> Result<Option<Doubt>, Error> {
    let _owner = owner::of("epochs")?;
    let mut found = None;
    DOUBTFUL.look(&[epoch, bigint(position)], |row| {
        found = row.bigint(0).map(|settled_up_to| Doubt {
            settled_up_to,
            began_at: row.text(1).unwrap_or_default(),
        });
    });
    Ok(found)
}

/// Writes down the server that positions are drawn on; no transaction takes it back.
pub fn set_server(server: i64) -> Result<(), Error> {
    let _owner = owner::of("epochs")?;
    SET_SERVER.run(&[bigint(server)], |_| {});
    Ok(())
}
