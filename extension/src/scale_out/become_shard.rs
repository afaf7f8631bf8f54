//! `become_shard`: a store takes its place among others, or another one when they become more.

use crate::error::Error;
use crate::horizon;
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::transaction;
use crate::shard::{self, STRIDE, Shard};
use crate::tables::joined::grown;
use crate::tables::{self, messages};

sql_functions! {
    become_shard(number: Bigint, shards: Bigint, map: Bigint, addresses: Texts, above: Bigint) => become_shard,
}

fn become_shard(call: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"become_shard()");
    if horizon::has_announced() {
        return Err(Error::WroteBefore("become_shard"));
    }
    let mut next = asked(call)?;
    let addresses = call.value("addresses", Type::Texts);
    if addresses.is_some() && !tables::shard::are_addresses(addresses, next.count) {
        return Err(Error::argument(
            "addresses",
            format!("must be {} connection strings", next.count),
            "As keywords and values, without passwords, in the order of the numbers: \
             ARRAY['host=db0 dbname=shop', ...].",
        ));
    }
    // Whoever ticks or has written has ended from here on, and whoever does next waits for this. In the order
    // of ticks.
    grown::keep_ticks_out()?;
    messages::keep_writers_out()?;
    let before = shard::now()?;
    match before {
        Some(before) => {
            require_growth(before, next)?;
            next.grown_from = match next.count == before.count {
                true => before.grown_from,
                false => before.count,
            };
        }
        None if next.count > 1 && messages::highest_global_position()? > 0 => {
            return Err(Error::argument(
                "shards",
                "must be 1 at first in a store that has messages",
                "Let it become shard 0 of 1, and then grow.",
            ));
        }
        None => {}
    }
    let drawn = messages::sequence()?.last_value();
    let above = call.bigint("above").unwrap_or(drawn).max(drawn);
    if before.is_none_or(|before| before.number != next.number) {
        messages::restart_positions(first_above(above, next.number)?, next.number)?;
    } else {
        horizon::leave_out_up_to(above)?;
    }
    match before {
        // What has moved is handled where it went, by who is there from where all were.
        Some(before) if before.count != next.count => {
            if let Some(subscriber_id) = grown::draining()? {
                return Err(Error::SubscriptionState(
                    subscriber_id,
                    "is being resized, and members of its former size have messages to handle",
                    "Grow when subscription_status has no member below 0.",
                ));
            }
            grown::keep()?;
        }
        Some(before) if before.number != next.number => grown::go_back()?,
        _ => {}
    }
    tables::shard::put(next, addresses)?;
    Ok(Reply::void())
}

/// The arguments.
fn asked(call: &Call<'_>) -> Result<Shard, Error> {
    let (number, shards, map) = (
        call.bigint("number"),
        call.bigint("shards"),
        call.bigint("map"),
    );
    let count = shard::require_count(shards)?;
    let Some(number) = number.filter(|number| (0..count).contains(number)) else {
        return Err(Error::argument(
            "number",
            format!("must be from 0 to {}", count - 1),
            "Shards are numbered from 0.",
        ));
    };
    let Some(map) = map.filter(|map| *map >= 1) else {
        return Err(Error::argument(
            "map",
            "must be 1 or more",
            "Pass the version of the map that has this shard; each map has a higher one than that before.",
        ));
    };
    Ok(Shard {
        number,
        count,
        map,
        grown_from: count,
    })
}

/// 22023 where streams would be lost: a shard stays where it is, or becomes one that has a share of what lies
/// here. A copy of one that has grown has the other share, too.
fn require_growth(before: Shard, next: Shard) -> Result<(), Error> {
    if next.count % before.count != 0 {
        return Err(Error::argument(
            "shards",
            format!("must be a multiple of {}, which there are", before.count),
            "Twice as many is usual: each shard then becomes two.",
        ));
    }
    let divided_by = match next.count == before.count {
        true => before.grown_from,
        false => before.count,
    };
    let share = before.number % divided_by;
    if next.number % divided_by != share {
        return Err(Error::argument(
            "number",
            format!(
                "must leave {share} when it is divided by {divided_by}: others have streams that are not here"
            ),
            "A copy of shard k of n becomes k, k + n, k + 2n and so on.",
        ));
    }
    if next.map < before.map || (next.map == before.map && next.count != before.count) {
        return Err(Error::argument(
            "map",
            format!("must be above {}, which is known here", before.map),
            "Each map has a higher version than that before.",
        ));
    }
    Ok(())
}

/// The first position of a shard's own above this one.
fn first_above(above: i64, number: i64) -> Result<i64, Error> {
    let next = above.checked_add(1).ok_or(Error::OutOfRange("bigint"))?;
    next.checked_add((number - next).rem_euclid(STRIDE))
        .ok_or(Error::OutOfRange("bigint"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shard(number: i64, count: i64, map: i64) -> Shard {
        Shard {
            number,
            count,
            map,
            grown_from: count,
        }
    }

    proptest! {
        #[test]
        fn the_first_position_is_the_shards_own_and_the_next_above(above in 0..1_i64 << 50, number in 0..STRIDE) {
            let first = first_above(above, number).ok().unwrap_or_default();
            prop_assert!(above < first && first <= above + STRIDE);
            prop_assert_eq!(first.rem_euclid(STRIDE), number);
        }
    }

    #[test]
    fn a_shard_becomes_what_keeps_its_streams() {
        let grows = |before, next| require_growth(before, next).is_ok();
        assert!(grows(shard(1, 2, 1), shard(1, 4, 2)));
        assert!(grows(shard(1, 2, 1), shard(3, 4, 2)));
        assert!(grows(shard(1, 2, 1), shard(1, 2, 1)));
        assert!(!grows(shard(1, 2, 1), shard(0, 4, 2)));
        assert!(!grows(shard(1, 2, 1), shard(1, 3, 2)));
        assert!(!grows(shard(1, 2, 2), shard(1, 4, 2)));
        assert!(!grows(shard(1, 2, 2), shard(1, 2, 1)));
        let grown = Shard {
            grown_from: 2,
            ..shard(1, 4, 2)
        };
        assert!(grows(grown, shard(3, 4, 2)));
        assert!(!grows(grown, shard(2, 4, 2)));
        assert!(!grows(shard(1, 4, 2), shard(3, 4, 2)));
    }
}
