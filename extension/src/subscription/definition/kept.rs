//! Definitions that this session has read: they change rarely, and every tick asks twice.

use super::Definition;
use crate::error::Error;
use crate::pg::catalog::{self, Generation};
use crate::pg::slot::RowVersion;
use crate::pg::snapshot::Fresh;
use crate::subscription::keyed::SUBSCRIPTIONS;
use pgrx::pg_sys;
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
    let table = SUBSCRIPTIONS.to_read()?;
    if table.columns([(c"source", pg_sys::VARCHAROID)]).is_none() {
        return Err(Error::NoStore("subscriptions.source"));
    }
    SUBSCRIPTIONS.rows_of(&table, &Fresh::take(), subscriber_id, |mut scan| {
        scan.advance().then(|| scan.version())
    })
}
