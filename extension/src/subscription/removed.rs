//! What becomes of subscriptions when messages leave the log, or what they say.

use crate::error::Error;
use crate::pg::parameter::bigints;
use crate::subscription::definition::Definition;
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::subscription::operate::copy;
use crate::tables::joined::progress;
use crate::tables::parked::{self, Selection};

pub use crate::subscription::source::deleted_up_to;

/// What a subscription has parked of deleted messages is never handled.
pub fn discard_parked(
    subscriber_id: &str,
    global_positions: &[i64],
    reason: &str,
) -> Result<(), Error> {
    Member::lock_all(subscriber_id)?;
    let selection = Selection {
        position: None,
        positions: bigints(global_positions),
        stream_name: None,
        sqlstate: None,
    };
    parked::discard(subscriber_id, &selection, reason)?;
    // Those that waited behind them are due now, and may be some of these themselves.
    parked::release(subscriber_id)?;
    parked::discard(subscriber_id, &selection, reason)?;
    Ok(())
}

/// Copies that have taken in what is erased are not promoted.
pub fn give_up_copies(global_positions: &[i64]) -> Result<(), Error> {
    for original in progress::copies_that_handled(global_positions)? {
        let why = "given up: data were erased that the copy had taken in; rebuild again";
        give_up(&original, why)?;
    }
    Ok(())
}

/// A copy that is to take in messages that are deleted is not promoted; whether the subscription is, or
/// was, a copy.
pub fn give_up_copy(subscriber_id: &str) -> Result<bool, Error> {
    // It may be gone: it is named once for what it has to handle and once for what it has parked.
    let Some(definition) = Definition::find(subscriber_id)? else {
        return Ok(true);
    };
    match definition.copy_of {
        None => Ok(false),
        Some(original) => {
            let why = "given up: messages were deleted that the copy had still to take in";
            give_up(&original, why)?;
            Ok(true)
        }
    }
}

fn give_up(original: &str, why: &str) -> Result<(), Error> {
    let definition = Definition::load(original)?;
    copy::discard(&definition)?;
    history::note(&definition, "rebuild", None, Some(why))
}
