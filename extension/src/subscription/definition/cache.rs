//! What a session has read of rows that change rarely.

use crate::pg::catalog::{self, Generation};
use crate::pg::slot::RowVersion;
use std::collections::HashMap;

/// Values that are kept; beyond that they are all forgotten.
const MOST: usize = 1_000;

struct Kept<T> {
    /// Names in the value and the table itself mean the same as long as this does not change.
    generation: Generation,
    version: RowVersion,
    value: T,
}

/// What was read of rows, by their keys.
pub struct Cache<T>(HashMap<String, Kept<T>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> Cache<T> {
    /// What was read of the row of this key, as long as it is this version of it.
    pub fn find(&self, key: &str, version: RowVersion) -> Option<T> {
        let generation = catalog::generation();
        self.0
            .get(key)
            .filter(|kept| kept.version == version && kept.generation == generation)
            .map(|kept| kept.value.clone())
    }

    /// Keeps what was read of this version of a row.
    pub fn keep(&mut self, key: &str, version: RowVersion, value: T) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let kept = Kept {
            generation: catalog::generation(),
            version,
            value,
        };
        self.0.insert(key.to_owned(), kept);
    }
}
