//! The rows of copies take the place of the live ones.

use super::copies::move_sequences_on;
use super::difference::shape_of_both;
use super::faithful::require_unreferenced;
use super::owners_sql::{condition, run};
use crate::error::Error;
use crate::subscription::definition::Definition;
use pgrx::spi::quote_identifier;

/// Lets the rows of the copies in `schema` take the place of the live ones, as the owner. Rows
/// that are the same stay; whoever reads meanwhile sees all of the old or all of the new.
pub fn swap(definition: &Definition, schema: &str) -> Result<(), Error> {
    let schema = quote_identifier(schema);
    let tables = &definition.options.read_model;
    definition.as_owner(None, || {
        require_unreferenced(tables)?;
        let (mut deletes, mut inserts) = (Vec::new(), Vec::new());
        // A row is inserted when all that go are gone: they may have the keys of those that come.
        let all_gone: Vec<_> = (0..tables.len())
            .map(|number| format!("(SELECT pg_catalog.count(*) FROM gone_{number}) IS NOT NULL"))
            .collect();
        let all_gone = all_gone.join(" AND ");
        for (number, entry) in tables.iter().enumerate() {
            let (shape, copy) = shape_of_both(entry, &schema)?;
            let (table, condition) = (&entry.table, condition(entry)?);
            let columns = shape.inserted();
            let unlike = |other: &str| match &shape.same_key {
                Some(_) => format!(
                    "AND NOT EXISTS (SELECT FROM {other} AS other \
                                      WHERE (other.*)::pg_catalog.text \
                               OPERATOR(pg_catalog.=) (own.*)::pg_catalog.text)"
                ),
                None => String::new(),
            };
            let (unlike_copy, unlike_live) = (unlike(&copy), unlike(table));
            deletes.push(format!(
                "gone_{number} AS (DELETE FROM {table} AS own \
                                    WHERE {condition} {unlike_copy} RETURNING 1)"
            ));
            inserts.push(format!(
                "come_{number} AS (INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE \
                                   SELECT {columns} FROM {copy} AS own \
                                    WHERE {condition} {unlike_live} AND {all_gone} RETURNING 1)"
            ));
        }
        // In one statement, so that foreign keys from one to another are looked at when it is done.
        let all: Vec<_> = deletes.into_iter().chain(inserts).collect();
        run(&format!("WITH {} SELECT", all.join(", ")), |_| {})?;
        for entry in tables {
            move_sequences_on(&entry.table)?;
        }
        Ok(())
    })
}
