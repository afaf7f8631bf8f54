//! The tables a subscription declares as its read model: emptied, copied, compared, swapped.
//!
//! All of it runs with the owner's rights: names and conditions are the owner's own SQL.

mod copies;
mod difference;
mod faithful;
mod owners_sql;
mod shape;
mod swap;

pub use copies::{copy, drop_copies};
pub use difference::{Change, Columns, changes, compare, require_rows};
pub use swap::swap;

use crate::error::Error;
use crate::pg::failure::Failure;
use crate::pg::spi::Statement;
use crate::pg::subtransaction::attempt;
use crate::pg::text::Text;
use crate::subscription::definition::Definition;
use crate::subscription::definition::options::ReadModelTable;
use crate::subscription::definition::run_as::run_as;
use owners_sql::{condition, run};
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::TEXTOID;

static QUALIFY: Statement = Statement::new(
    c"SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
        FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
       WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid \
         AND c.relkind OPERATOR(pg_catalog.=) 'r'",
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

/// Empties the live read model, as the owner.
pub fn empty(definition: &Definition) -> Result<(), Error> {
    let tables = &definition.options.read_model;
    if tables.is_empty() {
        return Ok(());
    }
    definition.as_owner(None, || {
        faithful::require_unreferenced(tables)?;
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
