//! Tables whose key begins with the subscriber's id, read without a statement.

use super::SCHEMA;
use crate::error::Error;
use crate::pg::extension_version;
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;
use pgrx::pg_sys;
use std::ffi::CStr;

/// One of them.
pub struct BySubscriber {
    /// The table.
    pub name: &'static CStr,
    /// The index of its primary key.
    pub key: &'static CStr,
}

impl BySubscriber {
    /// Opens it to read rows. 55000 where it is missing, or is not as it was made.
    pub fn to_read(&self) -> Result<Table, Error> {
        self.checked(Table::open_to_read(SCHEMA, self.name))
    }

    /// Opens it to hold rows. 55000 as above.
    pub fn to_hold(&self) -> Result<Table, Error> {
        self.checked(Table::open_to_hold(SCHEMA, self.name))
    }

    fn checked(&self, table: Option<Table>) -> Result<Table, Error> {
        let table = table.ok_or_else(|| missing(self.name))?;
        let id = [(c"subscriber_id", pg_sys::VARCHAROID)];
        if table.is_ordinary() && table.columns(id).is_some() {
            return Ok(table);
        }
        Err(self.changed())
    }

    /// 55000: its columns, or the kind of table it is, were changed.
    pub fn changed(&self) -> Error {
        let name = self.name.to_string_lossy();
        let repair = match extension_version::installed() {
            Some(extension) if extension != extension_version::LIBRARY => extension_version::repair(&extension),
            _ => "SELECT message_store.create_store(); brings the tables of an older version up to \
                  date. Otherwise give it back its columns and their types, as an ordinary heap table."
                .to_owned(),
        };
        Error::StoreChanged(
            format!("message_store.{name} is not the table that create_store() made"),
            repair,
        )
    }

    /// What `read` makes of the rows of a subscription, which come in the order of the key.
    pub fn rows_of<T>(
        &self,
        table: &Table,
        snapshot: &Fresh,
        subscriber_id: &str,
        read: impl FnOnce(IndexScan<'_>) -> T,
    ) -> Result<T, Error> {
        let index = Index::open(SCHEMA, self.key).ok_or_else(|| missing(self.key))?;
        let id = Text::copied(subscriber_id.as_bytes());
        let keys = [(0, Condition::Equals(id))];
        let scan = IndexScan::begin(table, &index, snapshot, &keys, Order::Ascending);
        Ok(read(scan))
    }
}

fn missing(name: &'static CStr) -> Error {
    Error::NoStore(name.to_str().unwrap_or_default())
}
