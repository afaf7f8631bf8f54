//! `begin_epoch`, `confirm_epoch`: what the server cannot know by itself.

use super::check::reply;
use super::{BEGINNING, POSITIONS, behind_margin};
use crate::account::require_reason;
use crate::epoch;
use crate::error::Error;
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::{identity, transaction};
use crate::tables::{epochs, messages};

sql_functions! {
    begin_epoch(reason: Varchar, above: Bigint) => begin_epoch,
    confirm_epoch(epoch: Uuid, reason: Varchar) => confirm_epoch,
}

/// How many steps positions may go at once: a tenth of what a reader can tell a writer's announcement by.
const FURTHEST: i64 = 100_000_000_000;

fn begin_epoch(call: &Call<'_>) -> Result<Reply, Error> {
    let reason = require_reason(call.text("reason"))?;
    transaction::require_writable(c"begin_epoch()");
    let positions = messages::sequence()?;
    epoch::make_positions_safe(positions)?;
    BEGINNING.exclusive_until_end();
    // What was drawn before is of an epoch, too.
    if epochs::newest()?.is_none() {
        epoch::begin(&reason)?;
    }
    {
        let _alone = POSITIONS.exclusive();
        let drawn = positions.last_value();
        let above = call.bigint("above");
        let may_be = drawn..=drawn.saturating_add(FURTHEST.saturating_mul(positions.step()));
        if above.is_some_and(|above| !may_be.contains(&above)) {
            return Err(Error::argument(
                "above",
                format!(
                    "must be from {drawn}, which was drawn here, to {}",
                    may_be.end()
                ),
                "Pass the highest global position of any copy, or nothing.",
            ));
        }
        positions.leave_out(match above {
            Some(above) => above,
            None => behind_margin(positions, None)?,
        });
    }
    epoch::begin(&reason).map(|name| reply(&name))
}

fn confirm_epoch(call: &Call<'_>) -> Result<Reply, Error> {
    let reason = require_reason(call.text("reason"))?;
    let epoch = call.value("epoch", Type::Uuid);
    transaction::require_writable(c"confirm_epoch()");
    let role = identity::role_name(identity::current_role());
    if epoch.is_none() || !epochs::confirm(epoch, &role, &reason)? {
        return Err(Error::argument(
            "epoch",
            "is none of this store",
            "The table epochs lists them.",
        ));
    }
    Ok(Reply::void())
}
