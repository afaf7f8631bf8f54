//! How copies of a read model's tables differ from the live ones.

use super::owners_sql::{condition, run};
use super::shape::TableShape;
use crate::error::Error;
use crate::pg::spi::Row;
use crate::subscription::definition::Definition;
use crate::subscription::definition::options::ReadModelTable;
use pgrx::spi::{quote_identifier, quote_literal};

/// The rows of a comparison: table, difference (`missing`, `unexpected`, `different`), the row as
/// it is in the copy, the row as it is live.
pub type EachDifference<'a> = &'a mut dyn FnMut(&Row);

/// Which columns are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// All.
    All,
    /// Those whose values the messages decide: not identities, serials, times of writing and the
    /// like, which the database fills by itself, each time with something else.
    Given,
}

/// What a swap does to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub table: String,
    /// Rows that only the copy has.
    pub added: i64,
    /// Rows that only the live table has.
    pub removed: i64,
    /// Rows that both have, and that differ.
    pub changed: i64,
    /// Rows of the copy.
    copied: i64,
}

/// The shape of both, and the copy's name.
pub(super) fn shape_of_both(
    entry: &ReadModelTable,
    schema: &str,
) -> Result<(TableShape, String), Error> {
    let live = TableShape::of(&entry.table)?;
    let copy = format!("{schema}.{}", live.name);
    live.require_like(entry, &TableShape::of(&copy)?)?;
    Ok((live, copy))
}

/// Compares the copies in `schema` with the live tables, as the owner.
pub fn compare(
    definition: &Definition,
    schema: &str,
    which: Columns,
    each: EachDifference<'_>,
) -> Result<(), Error> {
    let schema = quote_identifier(schema);
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let (shape, name) = shape_of_both(entry, &schema)?;
            let (table, condition) = (&entry.table, condition(entry)?);
            let (columns, same_key) = match which {
                Columns::All => ("*".to_owned(), shape.same_key.as_deref()),
                Columns::Given => (shape.given(), shape.same_given_key()),
            };
            let (of_copy, of_live) = (
                format!("SELECT {columns} FROM {name} WHERE {condition}"),
                format!("SELECT {columns} FROM {table} WHERE {condition}"),
            );
            let said = quote_literal(table);
            let sql = match same_key {
                Some(same_key) => format!(
                    "SELECT {said}::pg_catalog.text, \
                            CASE WHEN f_text IS NULL THEN 'missing' \
                                 WHEN e_text IS NULL THEN 'unexpected' \
                                 ELSE 'different' END::pg_catalog.text, \
                            e_row, f_row \
                       FROM (SELECT pg_catalog.to_jsonb(e.*) AS e_row, \
                                    pg_catalog.to_jsonb(f.*) AS f_row, \
                                    (e.*)::pg_catalog.text AS e_text, \
                                    (f.*)::pg_catalog.text AS f_text \
                               FROM ({of_copy}) e FULL JOIN ({of_live}) f ON {same_key}) AS both_rows \
                      WHERE (e_text OPERATOR(pg_catalog.<>) f_text) IS NOT FALSE \
                      ORDER BY coalesce(e_text, f_text)"
                ),
                None => format!(
                    "SELECT {said}::pg_catalog.text, 'missing'::pg_catalog.text, only_there, \
                            NULL::pg_catalog.jsonb \
                       FROM (SELECT pg_catalog.to_jsonb(e.*) AS only_there FROM ({of_copy}) e \
                             EXCEPT ALL SELECT pg_catalog.to_jsonb(f.*) FROM ({of_live}) f) AS missing_rows \
                     UNION ALL \
                     SELECT {said}::pg_catalog.text, 'unexpected'::pg_catalog.text, \
                            NULL::pg_catalog.jsonb, only_here \
                       FROM (SELECT pg_catalog.to_jsonb(f.*) AS only_here FROM ({of_live}) f \
                             EXCEPT ALL SELECT pg_catalog.to_jsonb(e.*) FROM ({of_copy}) e) AS unexpected_rows"
                ),
            };
            run(&sql, &mut *each)?;
        }
        Ok(())
    })
}

/// What a swap of the live tables for the copies in `schema` would change, a row for each table.
pub fn changes(definition: &Definition, schema: &str) -> Result<Vec<Change>, Error> {
    let schema = quote_identifier(schema);
    definition.as_owner(None, || {
        let mut changes = Vec::new();
        for entry in &definition.options.read_model {
            let (shape, copy) = shape_of_both(entry, &schema)?;
            let (table, condition) = (&entry.table, condition(entry)?);
            let (of_copy, of_live) = (
                format!("SELECT * FROM {copy} WHERE {condition}"),
                format!("SELECT * FROM {table} WHERE {condition}"),
            );
            let sql = match &shape.same_key {
                Some(same_key) => format!(
                    "SELECT pg_catalog.count(*) FILTER (WHERE f_text IS NULL), \
                            pg_catalog.count(*) FILTER (WHERE e_text IS NULL), \
                            pg_catalog.count(*) FILTER (WHERE e_text OPERATOR(pg_catalog.<>) f_text), \
                            pg_catalog.count(e_text) \
                       FROM (SELECT (e.*)::pg_catalog.text AS e_text, \
                                    (f.*)::pg_catalog.text AS f_text \
                               FROM ({of_copy}) e FULL JOIN ({of_live}) f ON {same_key}) AS both_rows"
                ),
                None => format!(
                    "SELECT (SELECT pg_catalog.count(*) \
                               FROM (SELECT (e.*)::pg_catalog.text FROM ({of_copy}) e EXCEPT ALL \
                                     SELECT (f.*)::pg_catalog.text FROM ({of_live}) f) AS added), \
                            (SELECT pg_catalog.count(*) \
                               FROM (SELECT (f.*)::pg_catalog.text FROM ({of_live}) f EXCEPT ALL \
                                     SELECT (e.*)::pg_catalog.text FROM ({of_copy}) e) AS removed), \
                            0::pg_catalog.int8, \
                            (SELECT pg_catalog.count(*) FROM ({of_copy}) e)"
                ),
            };
            run(&sql, |row| {
                let count = |column| row.bigint(column).unwrap_or_default();
                changes.push(Change {
                    table: table.clone(),
                    added: count(0),
                    removed: count(1),
                    changed: count(2),
                    copied: count(3),
                });
            })?;
        }
        Ok(changes)
    })
}

/// 55000 where a copy has no row and its live table has some: most likely the subscription has no
/// `init` that makes the first ones.
pub fn require_rows(changes: &[Change]) -> Result<(), Error> {
    let empties = |change: &&Change| change.copied == 0 && change.removed > 0;
    match changes.iter().find(empties) {
        None => Ok(()),
        Some(change) => Err(Error::WouldEmpty(change.table.clone())),
    }
}
