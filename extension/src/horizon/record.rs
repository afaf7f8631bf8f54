//! `record_horizons`: a horizon is a fact about the log. Written to a row, it holds for whoever sees the
//! row: the commits of everything at or below it come before the row's own in the write-ahead log, so a
//! standby that has replayed that one has replayed them.

use super::{Horizon, Look, Scope};
use crate::epoch;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;
use crate::stream_name::ALL;
use crate::tables::horizons::{self, Horizons};
use crate::tables::{messages, subscriptions};

sql_functions! {
    record_horizons() => record_horizons,
}

/// The least time between two versions of a row, in microseconds.
const INTERVAL: i64 = 100_000;

fn record_horizons(_: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"record_horizons()");
    if transaction::has_one_snapshot() {
        return Err(Error::OneSnapshot("record_horizons"));
    }
    let rows = Horizons::open()?.ok_or(Error::NoStore("horizons"))?;
    // What was recorded before it began is what it is certain of.
    if !epoch::begin_if_due()? {
        return Ok(Reply::boolean(false));
    }
    let look = Look::take(messages::sequence()?)?;
    let all = look.horizon(Scope::All);
    let is_complete = Ok(Reply::boolean(!all.is_held_back()));
    let call_again = Ok(Reply::boolean(false));
    let Some(known) = rows.of(&Fresh::take(), ALL.as_bytes()) else {
        if all.position > 0 {
            horizons::add(ALL.as_bytes(), all.position, all.drawn)?;
        }
        return is_complete;
    };
    if known.position > messages::sequence()?.last_value() {
        horizons::forget_beyond(all.drawn)?;
        return call_again;
    }
    if known.position >= all.drawn {
        return is_complete;
    }
    let age = transaction::clock().saturating_sub(known.proven_at);
    // A clock that was set back makes no row recent for ever.
    if (0..INTERVAL).contains(&age) {
        return call_again;
    }
    let was_held_back = known.drawn > all.position;
    if known.position < all.position || (all.is_held_back() && !was_held_back) {
        horizons::raise(ALL.as_bytes(), all.position, all.drawn)?;
    }
    if was_held_back {
        record_categories(&rows, &look, all)?;
    }
    is_complete
}

/// Records how far categories are settled beyond `$all`, which is held back for longer than a moment:
/// those that have messages there, since others gain nothing by it.
fn record_categories(rows: &Horizons, look: &Look, all: Horizon) -> Result<(), Error> {
    for category in subscriptions::categories()? {
        let category = category.as_bytes();
        let Horizon { position, drawn } = look.horizon(Scope::Category(category));
        if position <= all.position {
            continue;
        }
        let known = rows.of(&Fresh::take(), category);
        let reached = known.map_or(0, |known| known.position).max(all.position);
        if messages::are_in_category(category, reached, position)? {
            match known {
                None => horizons::add(category, position, drawn)?,
                Some(_) => horizons::raise(category, position, drawn)?,
            }
        }
    }
    Ok(())
}
