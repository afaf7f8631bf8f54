//! `renew`: an application that is not done yet keeps its lease.

use super::lease;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::transaction;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::tables::subscription_progress;

sql_functions! {
    renew(subscriber_id: Varchar, duration: Interval, lease: Bigint) => renew,
}

fn renew(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let lasts = lease::duration(call, "duration")?;
    transaction::require_writable(c"renew()");
    lease::require_fetched(&Definition::load_own(&id)?)?;
    let lease = lease::hold(&id, call.bigint("lease"))?;
    subscription_progress::renew_lease(&id, lease.member.number, lasts)?;
    Ok(Reply::void())
}
