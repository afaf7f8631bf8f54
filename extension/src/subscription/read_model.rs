//! The tables a subscription declares as its read model: emptied, copied, compared, swapped.
//!
//! All of it runs with the owner's rights: names and conditions are the owner's own SQL.

use crate::error::Error;
use crate::pg::expression;
use crate::pg::failure::Failure;
use crate::pg::identity;
use crate::pg::spi::{self, Row, Statement};
use crate::pg::subtransaction::attempt;
use crate::pg::text::Text;
use crate::subscription::definition::Definition;
use crate::subscription::definition::options::ReadModelTable;
use crate::subscription::definition::run_as::run_as;
use crate::tables::owner;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::TEXTOID;
use pgrx::spi::{quote_identifier, quote_literal};
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
/// Name alone; columns that can be inserted; when rows `e` and `f` have the same primary key, by the
/// operators of its index, NULL for none.
static SHAPE: Statement = Statement::new(
    c"SELECT pg_catalog.quote_ident(c.relname), \
             (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) \
                FROM pg_catalog.pg_attribute a \
               WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 \
                 AND NOT a.attisdropped AND a.attgenerated OPERATOR(pg_catalog.=) ''), \
             (SELECT pg_catalog.string_agg( \
                       pg_catalog.format('e.%1$I OPERATOR(%2$I.%3$s) f.%1$I', \
                                         a.attname, n.nspname, o.oprname), ' AND ' ORDER BY k.place) \
                FROM pg_catalog.pg_index i \
                CROSS JOIN LATERAL pg_catalog.generate_series( \
                  0, i.indnkeyatts OPERATOR(pg_catalog.-) 1) k (place) \
                JOIN pg_catalog.pg_attribute a \
                  ON a.attrelid OPERATOR(pg_catalog.=) c.oid \
                 AND a.attnum OPERATOR(pg_catalog.=) i.indkey[k.place] \
                JOIN pg_catalog.pg_opclass s ON s.oid OPERATOR(pg_catalog.=) i.indclass[k.place] \
                JOIN pg_catalog.pg_amop m \
                  ON m.amopfamily OPERATOR(pg_catalog.=) s.opcfamily \
                 AND m.amoplefttype OPERATOR(pg_catalog.=) s.opcintype \
                 AND m.amoprighttype OPERATOR(pg_catalog.=) s.opcintype \
                 AND m.amopstrategy OPERATOR(pg_catalog.=) 3 \
                JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) m.amopopr \
                JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace \
               WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary) \
        FROM pg_catalog.pg_class c \
       WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid",
    &[TEXTOID],
);
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
static WRITTEN: Statement = Statement::new(
    c"SELECT pg_catalog.pg_stat_get_xact_tuples_inserted(r.oid) \
             OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(r.oid) \
             OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(r.oid) \
        FROM (SELECT $1::pg_catalog.regclass::pg_catalog.oid AS oid) r",
    &[TEXTOID],
);

/// Qualifies the tables' names and checks their conditions, with the rights of `role`, who supplies
/// them; 22023.
pub fn qualify(
    tables: &mut [ReadModelTable],
    role: pg_sys::Oid,
    search_path: &str,
) -> Result<(), Error> {
    let refuse = |problem: String| {
        Error::argument(
            "options",
            problem,
            "read_model lists tables, each a name or {\"table\": name, \"where\": condition}.",
        )
    };
    for entry in tables {
        let own_settings = [];
        let tried = attempt(|| {
            run_as(role, search_path, &own_settings, || {
                let mut qualified = None;
                let name = Text::copied(entry.table.as_bytes());
                QUALIFY.run(&[Some(name.datum())], |row| qualified = row.text(0));
                if let Some(qualified) = &qualified {
                    let condition = condition(entry)?;
                    let probe = format!("SELECT FROM {qualified} WHERE {condition} LIMIT 0");
                    run(&probe, |_| {})?;
                }
                Ok(qualified)
            })
        });
        entry.table = match tried {
            Ok(Some(qualified)) => qualified,
            Ok(None) => {
                return Err(refuse(format!(
                    "must give read_model ordinary tables that exist: {}",
                    entry.table
                )));
            }
            Err(Failure { message, .. }) => {
                return Err(refuse(format!(
                    "must give read_model a usable condition for {}: {message}",
                    entry.table
                )));
            }
        };
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

/// The condition as it stands in our SQL; 22023 where it is not one expression.
fn condition(entry: &ReadModelTable) -> Result<String, Error> {
    let Some(filter) = &entry.filter else {
        return Ok("true".to_owned());
    };
    let sql = CString::new(filter.as_str()).unwrap_or_default();
    if !expression::is_one(&sql) {
        return Err(Error::argument(
            "options",
            format!("has a where that is not one SQL expression: {filter}"),
            "Pass a condition on the columns of the table, such as page_name = 'home'.",
        ));
    }
    // On lines of its own, so that a comment in it ends with it.
    Ok(format!("(\n{filter}\n)"))
}

fn run(sql: &str, each: impl FnMut(&Row)) -> Result<u64, Error> {
    let sql = CString::new(sql)
        .map_err(|_| Error::argument("options", "contains a NUL character", "Remove it."))?;
    Ok(spi::run_text(&sql, &[], each))
}

struct TableShape {
    name: String,
    columns: String,
    /// When rows `e` and `f` are the same one.
    same_key: Option<String>,
}

fn shape(entry: &ReadModelTable) -> Result<TableShape, Error> {
    let mut shape = None;
    let table = Text::copied(entry.table.as_bytes());
    SHAPE.run(&[Some(table.datum())], |row| {
        shape = Some(TableShape {
            name: row.text(0).unwrap_or_default(),
            columns: row.text(1).unwrap_or_default(),
            same_key: row.text(2),
        });
    });
    shape.ok_or(Error::NoStore("read_model"))
}

/// Empties the live read model, as the owner.
pub fn empty(definition: &Definition) -> Result<(), Error> {
    let tables = &definition.options.read_model;
    if tables.is_empty() {
        return Ok(());
    }
    definition.as_owner(None, || {
        // In one statement, so that a foreign key from one to another is looked at when both are empty.
        let mut deletes = Vec::new();
        for (number, entry) in tables.iter().enumerate() {
            let (table, condition) = (&entry.table, condition(entry)?);
            deletes.push(format!(
                "emptied_{number} AS (DELETE FROM {table} WHERE {condition})"
            ));
        }
        run(&format!("WITH {} SELECT", deletes.join(", ")), |_| {})?;
        Ok(())
    })
}

/// 0A000 where a copy of a table would not do what the table does.
fn require_copyable(entry: &ReadModelTable) -> Result<(), Error> {
    let mut missing = None;
    let table = Text::copied(entry.table.as_bytes());
    NOT_COPIED.run(&[Some(table.datum())], |row| missing = row.text(0));
    match missing {
        None => Ok(()),
        Some(what) => Err(Error::NotCopied(entry.table.clone(), what)),
    }
}

/// Gives the keys of a copy the names that they have in the table, for `ON CONFLICT ON CONSTRAINT`.
fn name_constraints(table: &str, copy: &str) -> Result<(), Error> {
    let keys = |of: &str| {
        let of = quote_literal(of);
        format!(
            "SELECT k.oid, k.conname, k.contype, pg_catalog.pg_get_constraintdef(k.oid) AS definition, \
                    pg_catalog.row_number() OVER (PARTITION BY k.contype, \
                      pg_catalog.pg_get_constraintdef(k.oid) ORDER BY k.conname) AS number \
               FROM pg_catalog.pg_constraint k \
              WHERE k.conrelid OPERATOR(pg_catalog.=) {of}::pg_catalog.regclass::pg_catalog.oid \
                AND k.contype OPERATOR(pg_catalog.=) ANY ('{{p,u,x}}')"
        )
    };
    let (live, copied) = (keys(table), keys(copy));
    let rename = quote_literal(format!("ALTER TABLE {copy} RENAME CONSTRAINT %I TO %I"));
    // Twice, so that no name is still another's.
    run(
        &format!(
            "DO $do$
             DECLARE
               key record;
             BEGIN
               FOR key IN {copied} LOOP
                 EXECUTE pg_catalog.format({rename}, key.conname, 'key ' OPERATOR(pg_catalog.||) key.oid);
               END LOOP;
               FOR key IN
                 SELECT l.conname AS wanted, c.conname AS present
                 FROM ({live}) l
                 JOIN ({copied}) c
                   ON c.contype OPERATOR(pg_catalog.=) l.contype
                  AND c.definition OPERATOR(pg_catalog.=) l.definition
                  AND c.number OPERATOR(pg_catalog.=) l.number
               LOOP
                 EXECUTE pg_catalog.format({rename}, key.present, key.wanted);
               END LOOP;
             END $do$"
        ),
        |_| {},
    )?;
    Ok(())
}

/// Lets the sequences of a table's columns go on behind the rows that have come into it.
fn move_sequences_on(table: &str) -> Result<(), Error> {
    let said = quote_literal(table);
    run(
        &format!(
            "DO $do$
             DECLARE
               filled record;
             BEGIN
               FOR filled IN
                 SELECT a.attname, pg_catalog.pg_get_serial_sequence({said}, a.attname) AS sequence
                 FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid OPERATOR(pg_catalog.=) {said}::pg_catalog.regclass::pg_catalog.oid
                   AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
                   AND pg_catalog.pg_get_serial_sequence({said}, a.attname) IS NOT NULL
               LOOP
                 EXECUTE pg_catalog.format(
                   'SELECT pg_catalog.setval(%L, h.highest)
                    FROM (SELECT pg_catalog.max(t.%I)::pg_catalog.int8 AS highest FROM %s t) h, %s s
                    WHERE h.highest OPERATOR(pg_catalog.>=) s.last_value',
                   filled.sequence, filled.attname, {said}, filled.sequence);
               END LOOP;
             END $do$"
        ),
        |_| {},
    )?;
    Ok(())
}

/// Makes `schema` and in it empty copies of the tables, or copies with their rows. The copies are
/// the owner's, and nothing else is made there: it may not create in the schema once they are.
pub fn copy(definition: &Definition, schema: &str, with_rows: bool) -> Result<(), Error> {
    let schema = quote_identifier(schema);
    let owner = quote_identifier(identity::role_name(definition.owner));
    {
        let _owner = owner::of_subscriptions()?;
        run(&format!("CREATE SCHEMA {schema}"), |_| {})?;
        run(
            &format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner}"),
            |_| {},
        )?;
    }
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            require_copyable(entry)?;
            let TableShape { name, columns, .. } = shape(entry)?;
            let (table, condition) = (&entry.table, condition(entry)?);
            run(
                &format!("CREATE TABLE {schema}.{name} (LIKE {table} INCLUDING ALL)"),
                |_| {},
            )?;
            name_constraints(table, &format!("{schema}.{name}"))?;
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
    })?;
    let _owner = owner::of_subscriptions()?;
    run(
        &format!("REVOKE CREATE ON SCHEMA {schema} FROM {owner}"),
        |_| {},
    )?;
    Ok(())
}

/// Drops a schema of copies.
pub fn drop_copies(schema: &str) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?.quietly();
    let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", quote_identifier(schema));
    run(&drop, |_| {})?;
    Ok(())
}

/// Compares the copies in `schema` with the live tables, as the owner.
pub fn compare(
    definition: &Definition,
    schema: &str,
    each: EachDifference<'_>,
) -> Result<(), Error> {
    let schema = quote_identifier(schema);
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let TableShape { name, same_key, .. } = shape(entry)?;
            let (table, condition) = (&entry.table, condition(entry)?);
            let (of_copy, of_live) = (
                format!("SELECT * FROM {schema}.{name} WHERE {condition}"),
                format!("SELECT * FROM {table} WHERE {condition}"),
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

/// 55000 where a copy in `schema` has no row and its live table has some: most likely the subscription
/// has no `init` that makes the first ones.
pub fn require_rows(definition: &Definition, schema: &str) -> Result<(), Error> {
    let schema = quote_identifier(schema);
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let TableShape { name, .. } = shape(entry)?;
            let (table, condition) = (&entry.table, condition(entry)?);
            let mut would_empty = false;
            run(
                &format!(
                    "SELECT NOT EXISTS (SELECT FROM {schema}.{name} WHERE {condition}) \
                            AND EXISTS (SELECT FROM {table} WHERE {condition})"
                ),
                |row| would_empty = row.boolean(0),
            )?;
            if would_empty {
                return Err(Error::WouldEmpty(table.clone()));
            }
        }
        Ok(())
    })
}

/// Lets the rows of the copies in `schema` take the place of the live ones, as the owner. Rows
/// that are the same stay; whoever reads meanwhile sees all of the old or all of the new.
pub fn swap(definition: &Definition, schema: &str) -> Result<(), Error> {
    let schema = quote_identifier(schema);
    definition.as_owner(None, || {
        for entry in &definition.options.read_model {
            let TableShape {
                name,
                columns,
                same_key,
            } = shape(entry)?;
            let (table, condition) = (&entry.table, condition(entry)?);
            let (unlike_copy, unlike_live) = if same_key.is_some() {
                (
                    format!(
                        "AND NOT EXISTS (SELECT FROM {schema}.{name} AS other \
                                          WHERE (other.*)::pg_catalog.text \
                                   OPERATOR(pg_catalog.=) (own.*)::pg_catalog.text)"
                    ),
                    format!(
                        "AND NOT EXISTS (SELECT FROM {table} AS other \
                                          WHERE (other.*)::pg_catalog.text \
                                   OPERATOR(pg_catalog.=) (own.*)::pg_catalog.text)"
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
            move_sequences_on(table)?;
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
