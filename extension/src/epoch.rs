//! Epochs: a position says which messages a reader has dealt with, in one history of the log. A standby that
//! is promoted without having everything, a backup that is restored, a copy that goes its own way: each
//! begins another history with the same positions. So each begins an epoch, and no position that may have
//! been drawn in another is drawn in it. See `docs/decisions/0022-epochs.md`.

mod check;
mod steer;

use crate::error::Error;
use crate::fnv::fnv_1a;
use crate::pg::identity;
use crate::pg::lock::Tag;
use crate::pg::sequence::Sequence;
use crate::pg::server;
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;
use crate::stream_name::ALL;
use crate::tables::horizons::{Horizons, Recorded};
use crate::tables::{SCHEMA, epochs, messages};
use std::cell::Cell;

/// How many positions an epoch leaves out at least after the last that is known to have been drawn.
const MARGIN: i64 = 1_000_000;
/// How many for each second since this log is last known to have gone on: more than any server draws.
const A_SECOND: i64 = 100_000;
/// How many at most: a day of that.
pub const MOST: i64 = 10_000_000_000;

/// How many promotions back a server knows itself.
const TIMELINES: u32 = 1_000;

/// The class of the locks below.
const LOCK: u16 = 0x4C45;
/// Held for a moment by who looks whether positions are safe, and makes them so.
const POSITIONS: Tag = Tag {
    high: 0,
    low: 1,
    class: LOCK,
};
/// Held until the end of its transaction by who begins an epoch.
const BEGINNING: Tag = Tag {
    high: 0,
    low: 2,
    class: LOCK,
};

thread_local! {
    /// The timeline on which positions are known to be safe.
    static SAFE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// A number above 0 that stands for the server, its timeline and the database.
fn this_server() -> i64 {
    number_of(&server::identity())
}

fn number_of(identity: &[u8]) -> i64 {
    (fnv_1a(identity) >> 1).max(1) as i64
}

/// Whether this number stands for the server and database of now, on a timeline before.
fn was_this_database(last: i64) -> bool {
    let now = server::timeline();
    (now.saturating_sub(TIMELINES)..now)
        .any(|before| number_of(&server::identity_on(before)) == last)
}

/// Where an epoch's positions begin: behind all that can have been drawn in a history that has parted from this
/// one, since this one is last known to have gone on; `replayed`: when its last transaction was replayed here.
fn behind_margin(positions: Sequence, replayed: Option<i64>) -> Result<i64, Error> {
    let seconds = last_sign(replayed)?.map_or(0, |sign| {
        transaction::clock().saturating_sub(sign) / 1_000_000
    });
    let margin = seconds.saturating_mul(A_SECOND).clamp(MARGIN, MOST);
    let margin = margin.saturating_mul(positions.step());
    Ok(positions.last_value().saturating_add(margin))
}

/// The time of the newest message, of what was recorded as settled, or of the last transaction that a standby
/// has replayed: in microseconds since 2000.
fn last_sign(replayed: Option<i64>) -> Result<Option<i64>, Error> {
    let signs = [
        messages::newest_time()?,
        recorded()?.map(|recorded| recorded.proven_at),
        replayed,
    ];
    Ok(signs.into_iter().flatten().max())
}

fn recorded() -> Result<Option<Recorded>, Error> {
    Ok(Horizons::open()?.and_then(|rows| rows.of(&Fresh::take(), ALL.as_bytes())))
}

fn server_sequence() -> Option<Sequence> {
    Sequence::find(SCHEMA, c"server_seq")
}

/// Sees to it that no position is drawn that was drawn in another history. Called before each draw: it costs
/// a comparison, but for a session's first.
pub fn make_positions_safe(positions: Sequence) -> Result<(), Error> {
    let timeline = server::timeline();
    if SAFE.get() == Some(timeline) {
        return Ok(());
    }
    // A store that 0.3 made has none.
    let Some(last_server) = server_sequence() else {
        return Ok(());
    };
    let this = this_server();
    if last_server.last_value() != this {
        let _alone = POSITIONS.exclusive();
        let last = last_server.last_value();
        if last != this {
            // 0: nothing was drawn yet, or before there were epochs.
            if last != 0 {
                // Of a copy, or what a dump brought, the server has replayed nothing.
                let replayed = server::last_replayed().filter(|_| was_this_database(last));
                positions.leave_out(behind_margin(positions, replayed)?);
            }
            epochs::set_server(this)?;
        }
    }
    SAFE.set(Some(timeline));
    Ok(())
}

/// The name of the epoch of now, which begins where the server is another one than that of the newest.
fn current() -> Result<String, Error> {
    if let Some(name) = begun()? {
        return Ok(name);
    }
    BEGINNING.exclusive_until_end();
    begun_or_begin()
}

/// Begins an epoch where one is due, unless somebody else is about to; false where he is.
pub fn begin_if_due() -> Result<bool, Error> {
    if server_sequence().is_none() || begun()?.is_some() {
        return Ok(true);
    }
    if !BEGINNING.try_exclusive_until_end() {
        return Ok(false);
    }
    begun_or_begin().map(|_| true)
}

/// For who holds [`BEGINNING`]: somebody else may have begun it before.
fn begun_or_begin() -> Result<String, Error> {
    match begun()? {
        Some(name) => Ok(name),
        None => begin("the server was promoted, restored or moved"),
    }
}

/// The newest epoch, where it is of this server.
fn begun() -> Result<Option<String>, Error> {
    make_positions_safe(messages::sequence()?)?;
    let newest = epochs::newest()?;
    Ok(newest
        .filter(|newest| newest.server == this_server())
        .map(|newest| newest.name))
}

/// What was recorded as settled is certain: whoever wrote it down saw all that lies before.
fn begin(reason: &str) -> Result<String, Error> {
    let settled_up_to = recorded()?.map_or(0, |recorded| recorded.position);
    let is_first = epochs::newest()?.is_none();
    let reason = if is_first { "the first" } else { reason };
    let role = identity::role_name(identity::current_role());
    epochs::begin(this_server(), settled_up_to, reason, &role)
}
