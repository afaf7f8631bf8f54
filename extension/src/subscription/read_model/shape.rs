//! A table of a read model: its columns, and by what its rows are told apart.

use crate::error::Error;
use crate::pg::column_default;
use crate::pg::parameter;
use crate::pg::spi::Statement;
use crate::subscription::definition::options::ReadModelTable;
use pgrx::pg_sys::BuiltinOid::{OIDOID, TEXTOID};

/// Name alone; oid; when rows `e` and `f` have the same primary key, by the
/// operators of its index, NULL for none.
static SHAPE: Statement = Statement::new(
    c"SELECT pg_catalog.quote_ident(c.relname), \
             c.oid, \
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
/// Of each column: its name, its number, whether it is generated, whether it is in the primary key,
/// its type.
static COLUMNS: Statement = Statement::new(
    c"SELECT pg_catalog.quote_ident(a.attname), a.attnum::pg_catalog.int8, \
             a.attgenerated OPERATOR(pg_catalog.<>) '', \
             EXISTS (SELECT FROM pg_catalog.pg_index i \
                      WHERE i.indrelid OPERATOR(pg_catalog.=) a.attrelid AND i.indisprimary \
                        AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey)), \
             pg_catalog.format_type(a.atttypid, a.atttypmod) \
        FROM pg_catalog.pg_attribute a \
       WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 \
         AND NOT a.attisdropped \
       ORDER BY a.attnum",
    &[OIDOID],
);

/// A table as it is now.
pub struct TableShape {
    /// Its name without the schema, quoted.
    pub name: String,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// When rows `e` and `f` have the same primary key; `None` where it has none.
    pub same_key: Option<String>,
}

/// One of its columns.
pub struct Column {
    /// Its name, quoted.
    pub name: String,
    /// Its type, as PostgreSQL writes it.
    pub type_name: String,
    /// Whether it is made of the others.
    pub is_generated: bool,
    /// Whether it is part of the primary key.
    pub is_in_key: bool,
    /// Whether the database fills it by itself, each time with something else.
    pub is_filled: bool,
}

impl TableShape {
    /// That of a table, by its qualified name.
    pub fn of(table: &str) -> Result<Self, Error> {
        let mut found = None;
        SHAPE.run(&[parameter::text(table)], |row| {
            found = row
                .text(0)
                .zip(row.oid(1))
                .map(|(name, oid)| (name, oid, row.text(2)));
        });
        let (name, oid, same_key) = found.ok_or(Error::NoStore("read_model"))?;
        let mut columns = Vec::new();
        COLUMNS.run(&[parameter::oid(oid)], |row| {
            let number = row.bigint(1).unwrap_or_default();
            columns.push(Column {
                name: row.text(0).unwrap_or_default(),
                type_name: row.text(4).unwrap_or_default(),
                is_generated: row.boolean(2),
                is_in_key: row.boolean(3),
                is_filled: column_default::changes(oid, number),
            });
        });
        Ok(Self {
            name,
            columns,
            same_key,
        })
    }

    /// The columns that rows are inserted with, as a list.
    pub fn inserted(&self) -> String {
        let inserted = self.columns.iter().filter(|column| !column.is_generated);
        list(inserted)
    }

    /// The columns whose values the messages decide, as a list; all of them where there is no such.
    pub fn given(&self) -> String {
        let is_given = |column: &&Column| !column.is_filled && !column.is_generated;
        match list(self.columns.iter().filter(is_given)) {
            none if none.is_empty() => list(self.columns.iter()),
            given => given,
        }
    }

    /// The same for rows whose key the messages decide.
    pub fn same_given_key(&self) -> Option<&str> {
        let is_given = |column: &Column| !column.is_in_key || !column.is_filled;
        let same_key = self.same_key.as_deref();
        same_key.filter(|_| self.columns.iter().all(is_given))
    }

    /// 55000 where its copy has other columns: somebody has altered it since.
    pub fn require_like(&self, table: &ReadModelTable, copy: &Self) -> Result<(), Error> {
        let told = |shape: &Self| -> Vec<(String, String)> {
            let columns = shape.columns.iter();
            columns
                .map(|column| (column.name.clone(), column.type_name.clone()))
                .collect()
        };
        match told(self) == told(copy) {
            true => Ok(()),
            false => Err(Error::AlteredSinceCopied(table.table.clone())),
        }
    }
}

fn list<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
    names.join(", ")
}
