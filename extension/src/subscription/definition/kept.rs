//! Definitions that this session has read: they change rarely, and every tick asks twice.

use super::Definition;
use crate::error::Error;
use crate::message::SCHEMA;
use crate::pg::catalog::{self, Generation};
use crate::pg::relation::{Index, Table};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::slot::RowVersion;
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;
use crate::store;
use std::cell::RefCell;
use std::collections::HashMap;

/// Definitions that are kept; beyond that they are all forgotten.
const MOST: usize = 1_000;

struct Kept {
    /// Names in handlers and the table itself mean the same as long as this does not change.
    generation: Generation,
    version: RowVersion,
    definition: Definition,
}

thread_local! {
    static KEPT: RefCell<HashMap<String, Kept>> = RefCell::new(HashMap::new());
}

/// The definition of a subscription: the one that is kept, as long as its row is the same version,
/// else what `read` finds.
pub(super) fn or_read(
    subscriber_id: &str,
    read: impl FnOnce(&str) -> Result<Option<Definition>, Error>,
) -> Result<Option<Definition>, Error> {
    let Some(version) = version_of(subscriber_id)? else {
        return Ok(None);
    };
    let generation = catalog::generation();
    let known = KEPT.with_borrow(|kept| {
        kept.get(subscriber_id)
            .filter(|kept| kept.version == version && kept.generation == generation)
            .map(|kept| kept.definition.clone())
    });
    if known.is_some() {
        return Ok(known);
    }
    let Some(definition) = read(subscriber_id)? else {
        return Ok(None);
    };
    // What was read is of this version only where it is still the one there is.
    if version_of(subscriber_id)? == Some(version) && catalog::generation() == generation {
        KEPT.with_borrow_mut(|kept| {
            if kept.len() >= MOST {
                kept.clear();
            }
            let definition = definition.clone();
            kept.insert(
                subscriber_id.to_owned(),
                Kept {
                    generation,
                    version,
                    definition,
                },
            );
        });
    }
    Ok(Some(definition))
}

/// Which version of its row there is now.
fn version_of(subscriber_id: &str) -> Result<Option<RowVersion>, Error> {
    let table = Table::open_to_read(SCHEMA, c"subscriptions");
    let table = store::keyed_by_subscriber(table, "subscriptions")?;
    let index = Index::open(SCHEMA, c"subscriptions_pkey");
    let index = index.ok_or(Error::NoStore("subscriptions_pkey"))?;
    if table.columns([c"source"]).is_none() {
        return Err(Error::NoStore("subscriptions.source"));
    }
    let snapshot = Fresh::take();
    let id = Text::copied(subscriber_id.as_bytes());
    let keys = [(0, Condition::Equals(id))];
    let mut scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending);
    Ok(scan.advance().then(|| scan.version()))
}
