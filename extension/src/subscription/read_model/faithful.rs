//! What a copy of a table would not have, or what would happen to others when its rows are replaced:
//! refused, since nobody would notice.

use crate::error::Error;
use crate::pg::parameter;
use crate::pg::spi::Statement;
use crate::subscription::definition::options::ReadModelTable;
use pgrx::pg_sys::BuiltinOid::TEXTOID;

/// What a copy of a table would not have, NULL for nothing.
static NOT_COPIED: Statement = Statement::new(
    c"SELECT CASE \
               WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger t \
                             WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal) \
                 THEN 'triggers' \
               WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite r \
                             WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid) THEN 'rules' \
               WHEN c.relrowsecurity THEN 'row-level security' \
               WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits i \
                             WHERE c.oid OPERATOR(pg_catalog.=) i.inhparent \
                                OR c.oid OPERATOR(pg_catalog.=) i.inhrelid) THEN 'inheritance' \
               WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k \
                             WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid \
                               AND k.contype OPERATOR(pg_catalog.=) 'f' \
                               AND (k.confdeltype OPERATOR(pg_catalog.<>) ALL ('{a,r}') \
                                 OR k.confupdtype OPERATOR(pg_catalog.<>) ALL ('{a,r}'))) \
                 THEN 'a foreign key that deletes or updates rows' \
             END \
        FROM pg_catalog.pg_class c \
       WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid",
    &[TEXTOID],
);
/// Tables with a foreign key to a table that does more than to check, each with the name of the key.
static REFERENCED: Statement = Statement::new(
    c"SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.quote_ident(k.conname) \
        FROM pg_catalog.pg_constraint k \
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
       WHERE k.contype OPERATOR(pg_catalog.=) 'f' \
         AND k.confrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid \
         AND k.confdeltype OPERATOR(pg_catalog.<>) 'a' \
       ORDER BY 1, 2",
    &[TEXTOID],
);

/// 0A000 where a copy of a table would not do what the table does.
pub fn require_copyable(entry: &ReadModelTable) -> Result<(), Error> {
    let mut missing = None;
    NOT_COPIED.run(&[parameter::text(&entry.table)], |row| {
        missing = row.text(0);
    });
    match missing {
        None => Ok(()),
        Some(what) => Err(Error::NotCopied(entry.table.clone(), what)),
    }
}

/// 0A000 where rows of tables outside of the read model would be deleted, changed or in the way when
/// rows of it are replaced.
pub fn require_unreferenced(tables: &[ReadModelTable]) -> Result<(), Error> {
    for entry in tables {
        let mut found = None;
        REFERENCED.run(&[parameter::text(&entry.table)], |row| {
            let by = row.text(0).unwrap_or_default();
            if !tables.iter().any(|other| other.table == by) {
                found = row.text(1).map(|key| (by, key));
            }
        });
        if let Some((by, key)) = found {
            return Err(Error::Referenced(entry.table.clone(), by, key));
        }
    }
    Ok(())
}
