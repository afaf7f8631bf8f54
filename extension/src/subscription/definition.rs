//! What is stored of a subscription, and on whose behalf we look at it.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::identity::{self, ActingAs};
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::store;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::VARCHAROID;
use std::ffi::CString;

/// Bytes a subscriber id may have.
const SUBSCRIBER_ID_MAX: usize = 1_024;

/// A subscription's definition.
pub struct Definition {
    /// The role whose rights its handlers have.
    pub owner: pg_sys::Oid,
    /// The category it reads.
    pub category: String,
    /// Message type -> qualified function name, as JSON text.
    pub handlers: String,
    /// The qualified name of its init function, where it has one.
    pub init: Option<String>,
    /// The last global position it has scanned.
    pub position: i64,
    search_path: String,
}

static LOAD: Statement = Statement::new(
    c"SELECT s.owner::pg_catalog.oid, s.category, s.handlers::pg_catalog.text, \
             s.options OPERATOR(pg_catalog.->>) 'init', p.position, s.search_path \
        FROM message_store.subscriptions s \
        JOIN message_store.subscription_progress p \
          ON p.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id \
       WHERE s.subscriber_id OPERATOR(pg_catalog.=) $1 AND p.member OPERATOR(pg_catalog.=) 0",
    &[VARCHAROID],
);

impl Definition {
    /// Reads a definition; 42704 where there is none.
    pub fn load(subscriber_id: Text<'_>) -> Result<Self, Error> {
        let _owner = as_owner_of_subscriptions()?;
        let mut found = None;
        LOAD.run(&[Some(subscriber_id.datum())], |row| {
            found = Some(Self {
                owner: row.oid(0).unwrap_or(pg_sys::InvalidOid),
                category: row.text(1).unwrap_or_default(),
                handlers: row.text(2).unwrap_or_default(),
                init: row.text(3),
                position: row.bigint(4).unwrap_or_default(),
                search_path: row.text(5).unwrap_or_default(),
            });
        });
        found.ok_or_else(|| Error::UnknownSubscription(subscriber_id.to_string()))
    }

    /// Becomes the owner to run its handlers or init, with the search_path that the subscription
    /// was created with. 42704 where the role was dropped.
    ///
    /// pg_temp comes last: whoever ticks must not shadow what the owner's functions mean.
    pub fn act_as_owner(&self) -> Result<ActingAs, Error> {
        if !identity::role_exists(self.owner) {
            return Err(Error::OwnerDropped(identity::role_name(self.owner)));
        }
        let path = format!("{}, pg_temp", self.search_path);
        let path = path.trim_start_matches([',', ' ']);
        Ok(ActingAs::confined_role(
            self.owner,
            &CString::new(path).unwrap_or_default(),
        ))
    }

    /// 42501 unless the current role owns the subscription, or has its owner's rights.
    pub fn require_owner(&self, subscriber_id: Text<'_>) -> Result<(), Error> {
        if identity::has_rights_of(self.owner) {
            Ok(())
        } else {
            Err(Error::NotOwner(subscriber_id.to_string()))
        }
    }
}

/// The tables of subscriptions are reached with their owner's rights.
pub fn as_owner_of_subscriptions() -> Result<ActingAs, Error> {
    store::as_owner_of("subscriptions")
}

/// The argument `subscriber_id`, which must be a name of 1 to 1,024 bytes.
pub fn subscriber_id<'a>(call: &Call<'a>, number: usize) -> Result<Text<'a>, Error> {
    let repair = "Pass a name such as aggregators:home-page.";
    let Some(id) = call.text(number) else {
        return Err(Error::argument("subscriber_id", "must not be NULL", repair));
    };
    match id.bytes().len() {
        0 => Err(Error::argument(
            "subscriber_id",
            "must not be empty",
            repair,
        )),
        1..=SUBSCRIBER_ID_MAX => Ok(id),
        length => Err(Error::argument(
            "subscriber_id",
            format!("has {length} bytes; {SUBSCRIBER_ID_MAX} is the most"),
            repair,
        )),
    }
}
