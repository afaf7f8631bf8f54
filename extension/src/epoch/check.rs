//! `epoch`, `check_position`: positions that are kept outside of the database.

use crate::epoch;
use crate::error::Error;
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::text::Text;
use crate::pg::{transaction, uuid};
use crate::tables::epochs;

sql_functions! {
    epoch() => epoch_of_now,
    check_position(epoch: Uuid, position: Bigint) => check_position,
}

fn epoch_of_now(_: &Call<'_>) -> Result<Reply, Error> {
    if transaction::is_in_recovery() {
        return Ok(epochs::newest()?.map_or(Reply::null(), |newest| reply(&newest.name)));
    }
    epoch::current().map(|name| reply(&name))
}

/// The name of an epoch.
pub(super) fn reply(name: &str) -> Reply {
    Reply::value(uuid::parse(&Text::copied(name.as_bytes())))
}

fn check_position(call: &Call<'_>) -> Result<Reply, Error> {
    let (epoch, position) = (call.value("epoch", Type::Uuid), call.bigint("position"));
    let Some(position) = position else {
        return Err(Error::argument(
            "position",
            "must not be NULL",
            "Pass the global position that was kept, or 0 for none.",
        ));
    };
    if epoch.is_none() {
        return Err(Error::argument(
            "epoch",
            "must not be NULL",
            "Pass what epoch() returned when the position was kept.",
        ));
    }
    if !transaction::is_in_recovery() {
        epoch::current()?;
    }
    if !epochs::is_known(epoch)? {
        return Err(Error::OtherLog(position));
    }
    match epochs::doubt(epoch, position)? {
        None => Ok(Reply::bigint(Some(position))),
        Some(doubt) => Err(Error::PartedLog(
            position,
            doubt.settled_up_to,
            doubt.began_at,
        )),
    }
}
