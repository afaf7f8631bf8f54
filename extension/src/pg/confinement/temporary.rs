//! Temporary objects: what lies in pg_temp may be found under a name that others use.

use crate::pg::report::Report;
use crate::pg::spi::Statement;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::OIDOID;
use std::collections::HashSet;

/// Objects in the session's temporary schema when confined code begins.
pub(super) struct TemporaryObjects(HashSet<Object>);

/// Its catalog and its number there.
type Object = (pg_sys::Oid, pg_sys::Oid);

/// Whatever lies in a schema depends on it.
static OBJECTS: Statement = Statement::new(
    c"SELECT d.classid, d.objid FROM pg_catalog.pg_depend d \
       WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid \
         AND d.refobjid OPERATOR(pg_catalog.=) $1",
    &[OIDOID],
);

impl TemporaryObjects {
    pub(super) fn of_now() -> Self {
        Self(objects())
    }

    /// 42501 where there are others now.
    pub(super) fn require_no_others(&self) {
        if objects().iter().any(|object| !self.0.contains(object)) {
            Report::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "a handler cannot make temporary objects",
            )
            .detail("They would stay in the session that calls it, in the way of others.")
            .hint("Make tables, types and functions once, in a schema of your own.")
            .raise()
        }
    }
}

fn objects() -> HashSet<Object> {
    let (mut schema, mut of_toast) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: reads backend state into both.
    unsafe { pg_sys::GetTempNamespaceState(&mut schema, &mut of_toast) };
    let mut objects = HashSet::new();
    if schema != pg_sys::InvalidOid {
        OBJECTS.run(&[Some(pg_sys::Datum::from(schema))], |row| {
            objects.extend(row.oid(0).zip(row.oid(1)));
        });
    }
    objects
}
