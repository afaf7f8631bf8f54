//! Copies of a read model's tables, in a schema of their own.

use super::faithful::require_copyable;
use super::owners_sql::{condition, run};
use super::shape::TableShape;
use crate::error::Error;
use crate::pg::identity;
use crate::subscription::definition::Definition;
use crate::tables::owner;
use pgrx::spi::{quote_identifier, quote_literal};

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
pub(super) fn move_sequences_on(table: &str) -> Result<(), Error> {
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
            let shape = TableShape::of(&entry.table)?;
            let (name, columns) = (&shape.name, shape.inserted());
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
                move_sequences_on(&format!("{schema}.{name}"))?;
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
