//! `subscription_lag`: how far a member is behind, at a bounded cost.

use crate::error::Error;
use crate::horizon::{self, Horizon};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows;
use crate::pg::transaction;
use crate::subscription::definition::rights::may_see;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::member::Member;
use crate::subscription::source::Source;
use crate::tables::messages::{self, column};
use pgrx::pg_sys;

sql_functions! {
    subscription_lag(subscriber_id: Varchar, member: Bigint) => subscription_lag,
}

/// What it returns: the last position, the lag, whether that is an estimate, its age in seconds.
const TYPES: [pg_sys::Oid; 4] = [
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::BOOLOID,
    pg_sys::FLOAT8OID,
];
/// Messages that are counted; what lies beyond is estimated.
const COUNTED: i64 = 10_000;

fn subscription_lag(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let number = call.bigint("member").unwrap_or(0);
    let nothing = Ok(rows::composite(call, &TYPES, [None; 4]));
    let Some(definition) = Definition::find(&id)? else {
        return nothing;
    };
    let member = Member::find(&id, number)?;
    let Some(member) = member.filter(|_| may_see(definition.owner)) else {
        return nothing;
    };
    let source = open(&definition)?;
    let snapshot = horizon::snapshot();
    let head = source.head(&snapshot);
    let mut walk = source.walk(&snapshot, member.position);
    let (mut scanned, mut own, mut last) = (0, 0, member.position);
    let mut first_time = None;
    while scanned < COUNTED && walk.advance() {
        scanned += 1;
        last = walk.bigint(column::GLOBAL_POSITION);
        if source.wants(&walk) && member.reads(walk.text(column::STREAM_NAME).bytes())? {
            own += 1;
            first_time.get_or_insert(walk.bigint(column::TIME));
        }
    }
    let is_estimate = scanned == COUNTED && walk.advance();
    let lag = if is_estimate {
        // As dense as what was counted.
        let (ahead, seen) = (
            i128::from(head - member.position),
            i128::from(last - member.position),
        );
        i64::try_from(i128::from(own) * ahead / seen.max(1)).unwrap_or(i64::MAX)
    } else {
        own
    };
    let age = first_time.map_or(0, |time| transaction::clock().saturating_sub(time).max(0));
    #[allow(clippy::cast_precision_loss, reason = "an age is for people")]
    let seconds = age as f64 / 1_000_000.0;
    Ok(rows::composite(
        call,
        &TYPES,
        [
            Some(pg_sys::Datum::from(head)),
            Some(pg_sys::Datum::from(lag)),
            Some(pg_sys::Datum::from(is_estimate)),
            Some(pg_sys::Datum::from(seconds.to_bits() as usize)),
        ],
    ))
}

/// Up to what is settled; where that cannot be proven (in a transaction that keeps one snapshot, on a
/// standby that no horizon has come to) up to what was drawn, which is good enough to look at.
fn open(definition: &Definition) -> Result<Source, Error> {
    let is_unproven = match transaction::is_in_recovery() {
        true => !horizon::has_arrived()?,
        false => transaction::has_one_snapshot(),
    };
    if is_unproven {
        let drawn = messages::sequence()?.last_value();
        let unproven = Horizon {
            position: drawn,
            drawn,
        };
        return Source::up_to(definition, unproven);
    }
    Source::open(definition, "subscription_lag")
}
