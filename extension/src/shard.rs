//! Shards: several stores that look like one. Which of them has a stream is said by the cardinal id in its
//! name, so an entity's streams, its events and its commands, are together; and a member of a consumer group
//! whose size is a multiple of the number of shards reads one shard. Positions are unique over all of them,
//! and one number is a position in what all of them have. See `docs/decisions/0023-shards.md`.

use crate::consumer_group::member_of;
use crate::error::Error;
use crate::handler_call;
use crate::pg::catalog::{self, Generation};
use crate::pg::snapshot::Fresh;
use crate::tables::shard;
use std::cell::Cell;

pub use crate::tables::shard::{STRIDE, Shard};

thread_local! {
    /// What this store is while the catalogs do not change.
    static KNOWN: Cell<Option<(Generation, Option<Shard>)>> = const { Cell::new(None) };
}

impl Shard {
    /// Whether a stream lives here.
    pub fn owns(&self, stream_name: &[u8]) -> Result<bool, Error> {
        Ok(self.count == 1 || number_of(stream_name, self.count)? == self.number)
    }
}

/// Whether a stream lives here, where this is [a shard or none](this).
pub fn lives_here(shard: Option<Shard>, stream_name: &[u8]) -> Result<bool, Error> {
    shard.map_or(Ok(true), |shard| shard.owns(stream_name))
}

/// The number of the shard that a stream lives on, of so many.
pub fn number_of(stream_name: &[u8], count: i64) -> Result<i64, Error> {
    member_of(stream_name, count)
}

/// 22023 where there cannot be so many shards.
pub fn require_count(shards: Option<i64>) -> Result<i64, Error> {
    let possible = shards.filter(|shards| (1..=STRIDE).contains(shards));
    possible.ok_or_else(|| {
        Error::argument(
            "shards",
            format!("must be from 1 to {STRIDE}"),
            "Pass how many shards there are.",
        )
    })
}

/// Which shard this is, where it is one. To be asked with a lock on `messages`: what a store is changes only
/// while nobody has written and not ended, and is heard of with that lock.
pub fn this() -> Result<Option<Shard>, Error> {
    let generation = catalog::generation();
    if let Some((known, shard)) = KNOWN.get()
        && known == generation
    {
        return Ok(shard);
    }
    let shard = now()?;
    KNOWN.set(Some((generation, shard)));
    Ok(shard)
}

/// Which shard this is at this moment, whatever was known before.
pub fn now() -> Result<Option<Shard>, Error> {
    shard::row(&Fresh::take())
}

/// 40001 where a stream lives on another shard; for a handler, whom asking again does not help, 0A000.
pub fn require_own(stream_name: &[u8]) -> Result<(), Error> {
    match this()? {
        Some(shard) if !shard.owns(stream_name)? => Err(Error::OtherShard {
            stream_name: String::from_utf8_lossy(stream_name).into_owned(),
            of: number_of(stream_name, shard.count)?,
            this: shard.number,
            count: shard.count,
            by_handler: handler_call::is_running(),
        }),
        _ => Ok(()),
    }
}

/// 40001 where the caller took the shards from another map than that of now. To be asked last: what was
/// looked at before is from before the map changed.
pub fn require_map(asked: Option<i64>) -> Result<(), Error> {
    let known = now()?.map(|shard| shard.map);
    match known {
        None => Err(Error::NotAShard),
        Some(_) if asked == known => Ok(()),
        Some(map) => Err(Error::MapChanged(map)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stream_has_one_shard_and_growing_moves_it_to_one_of_two(id in "[a-z0-9]{0,20}", count in 1..40_i64) {
            let stream = format!("account-{id}");
            let owners = (0..count)
                .filter(|number| Shard { number: *number, count, map: 1, grown_from: count }.owns(stream.as_bytes()).is_ok_and(|owns| owns))
                .collect::<Vec<_>>();
            prop_assert_eq!(owners.len(), 1);
            let after = number_of(stream.as_bytes(), 2 * count).ok();
            prop_assert!(after == Some(owners[0]) || after == Some(owners[0] + count));
        }
    }

    #[test]
    fn an_entity_is_on_one_shard_and_what_has_no_id_on_the_first() {
        let number = |stream: &str| number_of(stream.as_bytes(), 828).ok();
        assert_eq!(number("account-7"), number("account:command-7+retry"));
        assert_eq!(number("account"), Some(0));
    }
}
