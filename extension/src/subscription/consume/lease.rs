//! Leases: which of them this session has fetched, and whether one still runs.

use crate::error::Error;
use crate::pg::call::Call;
use crate::subscription::definition::Definition;
use crate::subscription::member::Member;
use crate::tables::subscription_progress;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

thread_local! {
    /// The last leases this session has fetched, by subscription: the transaction of one may have
    /// been rolled back.
    static OWN: RefCell<HashMap<String, Vec<i64>>> = RefCell::new(HashMap::new());
}

/// A lease lasts at most this long: a year.
const LONGEST_MS: i64 = 366 * 86_400_000;

/// Leases of a session that are remembered.
const OWN_LEASES: usize = 16;

/// Remembers a lease that this session has fetched.
pub fn remember(id: &str, lease: i64) {
    OWN.with_borrow_mut(|own| {
        let leases = own.entry(id.to_owned()).or_default();
        leases.push(lease);
        let forgotten = leases.len().saturating_sub(OWN_LEASES);
        leases.drain(..forgotten);
    });
}

/// The leases that this session has fetched lately.
pub fn own_leases(id: &str) -> Vec<i64> {
    OWN.with_borrow(|own| own.get(id).cloned().unwrap_or_default())
}

/// How long a lease is to last, by the argument of this name.
pub fn duration(call: &Call<'_>, name: &'static str) -> Result<Duration, Error> {
    let given = call.interval_ms(name);
    let ms = given.filter(|ms| (1..=LONGEST_MS).contains(ms));
    let ms = ms.and_then(|ms| u64::try_from(ms).ok());
    ms.map(Duration::from_millis).ok_or_else(|| {
        Error::argument(
            name,
            "must be more than 0, and at most a year",
            "Pass how long handling takes at most, such as '30 s'.",
        )
    })
}

/// 55000 where the subscription is ticked, not fetched.
pub fn require_fetched(definition: &Definition) -> Result<(), Error> {
    if definition.is_fetched() {
        return Ok(());
    }
    Err(Error::SubscriptionState(
        definition.subscriber_id.clone(),
        "has handlers: it is ticked, not fetched",
        "Create it with handlers '{}' to fetch its messages.",
    ))
}

/// A lease that has not run out.
pub struct Lease {
    /// Its number.
    pub number: i64,
    /// Whose messages it is on; its progress is held.
    pub member: Member,
    /// The position of its last message.
    pub position: i64,
}

impl Lease {
    /// Whether it is on parked messages that are handled again.
    pub fn is_on_parked(&self) -> bool {
        self.position <= self.member.position
    }
}

/// Holds the lease of this number, or the session's own, until the transaction ends. 55000 where it
/// has run out.
pub fn hold(id: &str, lease: Option<i64>) -> Result<Lease, Error> {
    let lost = || Error::LeaseLost(id.to_owned());
    let leases = lease.map_or_else(|| own_leases(id), |lease| vec![lease]);
    let found = subscription_progress::hold_leased(id, &leases)?.ok_or_else(lost)?;
    let member = Member::find(id, found.member)?.ok_or_else(lost)?;
    Ok(Lease {
        number: found.lease,
        member,
        position: found.position,
    })
}
