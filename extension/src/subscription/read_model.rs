//! The tables a subscription declares as its read model: emptied, copied, compared, swapped.
//!
//! All of it runs with the owner's rights: names and conditions are the owner's own SQL.

use super::definition::{Definition, as_owner_of_subscriptions};
use super::options::ReadModelTable;
use crate::error::Error;
use crate::pg::identity;
use crate::pg::spi::{self, Row, Statement};
use crate::pg::subtransaction::attempt;
use crate::pg::text::Text;
use pgrx::pg_sys::BuiltinOid::TEXTOID;
use std::ffi::CString;

/// The rows of a comparison: table, difference (`missing`, `unexpected`, `different`), the row as
/// it is in the copy, the row as it is live.
pub type EachDifference<'a> = &'a mut dyn FnMut(&Row);

static QUALIFY: Statement = Statement::new(
    c"SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
        FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
       WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid \
         AND c.relkind OPERATOR(pg_catalog.=) 'r'",
    &[TEXTOID],
);
/// Name alone; columns that can be inserted; the primary key's columns, NULL for none.
static SHAPE: Statement = Statement::new(
    c"SELECT pg_catalog.quote_ident(c.relname), \
             (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) \
                FROM pg_catalog.pg_attribute a \
               WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 \
                 AND NOT a.attisdropped AND a.attgenerated OPERATOR(pg_catalog.=) ''), \
             (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) \
                FROM pg_catalog.pg_index i \
                JOIN pg_catalog.pg_attribute a \
                  ON a.attrelid OPERATOR(pg_catalog.=) c.oid \
                 AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey) \
               WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary) \
        FROM pg_catalog.pg_class c \
       WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid",
    &[TEXTOID],
);
static WRITTEN: Statement = Statement::new(
    c"SELECT pg_catalog.pg_stat_get_xact_tuples_inserted(r.oid) \
             OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(r.oid) \
             OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(r.oid) \
        FROM (SELECT $1::pg_catalog.regclass::pg_catalog.oid AS oid) r",
    &[TEXTOID],
);

/// Qualifies the tables' names and checks their conditions, with the caller's rights; 22023.
pub fn qualify(tables: &mut [ReadModelTable]) -> Result<(), Error> {
    for entry in tables {
        let mut qualified = None;
        let name = Text::copied(entry.table.as_bytes());
        QUALIFY.run(&[Some(name.datum())], |row| qualified = row.text(0));
        let refuse = |problem: String| {
            Error::argument(
                "options",
                problem,
                "read_model lists tables, each a name or {\"table\": name, \"where\": condition}.",
            )
        };
        let Some(qualified) = qualified else {
            return Err(refuse(format!(
                "must give read_model ordinary tables that exist: {}",
                entry.table
            )));
        };
        entry.table = qualified;
        let condition = condition(entry);
        let probe = format!("SELECT FROM {} WHERE {condition} LIMIT 0", entry.table);
        attempt(|| run(&probe, |_| {})).map_err(|failure| {
            let message = &failure.message;
            refuse(format!(
                "must give read_model a usable condition for {}: {message}",
                entry.table
            ))
        })?;
    }
    Ok(())
}

/// 55000 where the subscription does not say what its read model is.
pub fn require(definition: &Definition) -> Result<&[ReadModelTable], Error> {
    let tables = &definition.options.read_model;
    if tables.is_empty() {
        return Err(Error::SubscriptionState(
            definition.subscriber_id.clone(),
            "does not say which tables are its read model",
            "alter_subscription(subscriber_id, options => '{\"read_model\": [\"schema.table\"]}') does.",
        ));
    }
    Ok(tables)
}

fn condition(entry: &ReadModelTable) -> String {
    // On a line of its own, so that a comment in it ends with it.
    entry
        .filter
        .as_ref()
        .map_or_else(|| "true".to_owned(), |filter| format!("(\n{filter}\n)"))
}

fn run(sql: &str, each: impl FnMut(&Row)) -> Result<u64, Error> {
    let sql = CString::new(sql)
        .map_err(|_| Error::argument("options", "contains a NUL character", "Remove it."))?;
    Ok(spi::run_text(&sql, &[], each))
}

struct Shape {
    name: String,
    columns: String,
    key: Option<String>,
}

fn shape(entry: &ReadModelTable) -> Result<Shape, Error> {
    let mut shape = None;
    let table = Text::copied(entry.table.as_bytes());
    SHAPE.run(&[Some(table.datum())], |row| {
        shape = Some(Shape {
            name: row.text(0).unwrap_or_default(),
            columns: row.text(1).unwrap_or_default(),
            key: row.text(2),
        });
    });
    shape.ok_or(Error::NoStore("read_model"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Empties the live read model, as the owner.
pub fn empty(definition: &Definition) -> Result<(), Error> {
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let condition = condition(entry);
            run(
                &format!("DELETE FROM {} WHERE {condition}", entry.table),
                |_| {},
            )?;
        }
        Ok(())
    })
}

/// Makes `schema` and in it empty copies of the tables, or copies with their rows. The copies are
/// the owner's.
pub fn copy(definition: &Definition, schema: &str, with_rows: bool) -> Result<(), Error> {
    let schema = quoted(schema);
    let owner = quoted(&identity::role_name(definition.owner));
    {
        let _owner = as_owner_of_subscriptions()?;
        run(&format!("CREATE SCHEMA {schema}"), |_| {})?;
        run(
            &format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner}"),
            |_| {},
        )?;
    }
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let Shape { name, columns, .. } = shape(entry)?;
            let (table, condition) = (&entry.table, condition(entry));
            run(
                &format!("CREATE TABLE {schema}.{name} (LIKE {table} INCLUDING ALL)"),
                |_| {},
            )?;
            if with_rows {
                run(
                    &format!(
                        "INSERT INTO {schema}.{name} ({columns}) OVERRIDING SYSTEM VALUE \
                         SELECT {columns} FROM {table} WHERE {condition}"
                    ),
                    |_| {},
                )?;
            }
        }
        Ok(())
    })
}

/// Drops a schema of copies.
pub fn drop_copies(schema: &str) -> Result<(), Error> {
    let _owner = as_owner_of_subscriptions()?.quietly();
    let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(schema));
    run(&drop, |_| {})?;
    Ok(())
}

/// Compares the copies in `schema` with the live tables, as the owner.
pub fn compare(
    definition: &Definition,
    schema: &str,
    each: EachDifference<'_>,
) -> Result<(), Error> {
    let schema = quoted(schema);
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let Shape { name, key, .. } = shape(entry)?;
            let (table, condition) = (&entry.table, condition(entry));
            let (of_copy, of_live) = (
                format!("SELECT * FROM {schema}.{name} WHERE {condition}"),
                format!("SELECT * FROM {table} WHERE {condition}"),
            );
            let said = literal(table);
            let sql = match key {
                Some(key) => format!(
                    "SELECT {said}::text, CASE WHEN f IS NULL THEN 'missing' \
                                               WHEN e IS NULL THEN 'unexpected' \
                                               ELSE 'different' END::text, \
                            e, f \
                       FROM (SELECT to_jsonb(e) AS e, to_jsonb(f) AS f, \
                                    (e.*)::text AS e_text, (f.*)::text AS f_text \
                               FROM ({of_copy}) e FULL JOIN ({of_live}) f USING ({key})) AS both_rows \
                      WHERE e_text IS DISTINCT FROM f_text \
                      ORDER BY coalesce(e_text, f_text)"
                ),
                None => format!(
                    "SELECT {said}::text, 'missing'::text, only_there, NULL::jsonb \
                       FROM (SELECT to_jsonb(e) AS only_there FROM ({of_copy}) e \
                             EXCEPT ALL SELECT to_jsonb(f) FROM ({of_live}) f) AS missing_rows \
                     UNION ALL \
                     SELECT {said}::text, 'unexpected'::text, NULL::jsonb, only_here \
                       FROM (SELECT to_jsonb(f) AS only_here FROM ({of_live}) f \
                             EXCEPT ALL SELECT to_jsonb(e) FROM ({of_copy}) e) AS unexpected_rows"
                ),
            };
            run(&sql, &mut *each)?;
        }
        Ok(())
    })
}

/// Lets the rows of the copies in `schema` take the place of the live ones, as the owner. Rows
/// that are the same stay; whoever reads meanwhile sees all of the old or all of the new.
pub fn swap(definition: &Definition, schema: &str) -> Result<(), Error> {
    let schema = quoted(schema);
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let Shape { name, columns, key } = shape(entry)?;
            let (table, condition) = (&entry.table, condition(entry));
            let (unlike_copy, unlike_live) = if key.is_some() {
                (
                    format!(
                        "AND NOT EXISTS (SELECT FROM {schema}.{name} AS other \
                                          WHERE (other.*)::text = (own.*)::text)"
                    ),
                    format!(
                        "AND NOT EXISTS (SELECT FROM {table} AS other \
                                          WHERE (other.*)::text = (own.*)::text)"
                    ),
                )
            } else {
                Default::default()
            };
            run(
                &format!("DELETE FROM {table} AS own WHERE {condition} {unlike_copy}"),
                |_| {},
            )?;
            run(
                &format!(
                    "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE \
                     SELECT {columns} FROM {schema}.{name} AS own WHERE {condition} {unlike_live}"
                ),
                |_| {},
            )?;
        }
        Ok(())
    })
}

/// Sees to it that handlers of a copy leave the live tables alone.
pub struct Guarded<'a> {
    tables: &'a [ReadModelTable],
    written: Vec<i64>,
}

impl<'a> Guarded<'a> {
    /// Begins to look, where the definition is that of a copy.
    pub fn begin(definition: &'a Definition) -> Result<Self, Error> {
        let tables: &[ReadModelTable] = match definition.copy_schema {
            Some(_) => &definition.options.read_model,
            None => &[],
        };
        let written = tables.iter().map(written_to).collect();
        Ok(Self { tables, written })
    }

    /// 55000 where a live table was written to meanwhile.
    pub fn end(self) -> Result<(), Error> {
        for (entry, before) in self.tables.iter().zip(self.written) {
            if written_to(entry) != before {
                return Err(Error::LiveTableWritten(entry.table.clone()));
            }
        }
        Ok(())
    }
}

/// Rows this transaction has written to a table.
fn written_to(entry: &ReadModelTable) -> i64 {
    let mut rows = 0;
    let table = Text::copied(entry.table.as_bytes());
    WRITTEN.run(&[Some(table.datum())], |row| {
        rows = row.bigint(0).unwrap_or_default()
    });
    rows
}
