//! What is stored of a subscription, as it is used.

mod cache;
pub mod handlers;
pub mod options;
pub mod policy;
pub mod replay;
pub mod rights;
pub mod run_as;

use crate::error::Error;
use crate::handler_call::HandlerCall;
use crate::pg::call::Call;
use crate::pg::catalog;
use crate::pg::identity;
use crate::store;
use crate::subscription::definition::options::Options;
use crate::subscription::definition::replay::Replayed;
use crate::subscription::definition::rights::may_steer;
use crate::subscription::definition::run_as::run_as;
use crate::tables::subscriptions::{self, State};
use cache::Cache;
use pgrx::pg_sys;
use std::cell::RefCell;

thread_local! {
    /// Definitions that this session has read: they change rarely, and every tick asks twice.
    static KNOWN: RefCell<Cache<Definition>> = RefCell::new(Cache::default());
}

/// Bytes a subscriber id may have.
const SUBSCRIBER_ID_MAX: usize = 1_024;

/// A subscription's definition.
#[derive(Clone)]
pub struct Definition {
    /// Its name.
    pub subscriber_id: String,
    /// The role whose rights its handlers have.
    pub owner: pg_sys::Oid,
    /// A category, a stream, or `$all`.
    pub source: String,
    /// Message type -> qualified function name, as JSON text.
    pub handlers: String,
    /// Everything else it was given.
    pub options: Options,
    /// Whether it is ticked.
    pub state: State,
    /// The position it began after.
    pub start_position: i64,
    /// Messages that were handled before.
    pub replayed: Replayed,
    /// The subscription whose read model it fills anew.
    pub copy_of: Option<String>,
    /// The schema of the tables it fills.
    pub copy_schema: Option<String>,
    /// What names mean to its handlers.
    pub search_path: String,
}

impl Definition {
    /// Reads a definition; 42704 where there is none.
    pub fn load(subscriber_id: &str) -> Result<Self, Error> {
        Self::find(subscriber_id)?
            .ok_or_else(|| Error::UnknownSubscription(subscriber_id.to_owned()))
    }

    /// Reads a definition, where there is one.
    pub fn find(subscriber_id: &str) -> Result<Option<Self>, Error> {
        store::require_utf8()?;
        let Some(version) = subscriptions::version(subscriber_id)? else {
            return Ok(None);
        };
        let known = KNOWN.with_borrow(|known| known.find(subscriber_id, version));
        if known.is_some() {
            return Ok(known);
        }
        let generation = catalog::generation();
        let Some(definition) = Self::read(subscriber_id)? else {
            return Ok(None);
        };
        // What was read is of this version only where it is still the one there is.
        if subscriptions::version(subscriber_id)? == Some(version)
            && catalog::generation() == generation
        {
            KNOWN.with_borrow_mut(|known| known.keep(subscriber_id, version, definition.clone()));
        }
        Ok(Some(definition))
    }

    fn read(subscriber_id: &str) -> Result<Option<Self>, Error> {
        let Some(row) = subscriptions::find(subscriber_id)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            subscriber_id: subscriber_id.to_owned(),
            owner: row.owner,
            source: row.source,
            handlers: row.handlers,
            options: Options::stored(&row.options)?,
            search_path: row.search_path,
            state: row.state,
            start_position: row.start_position,
            replayed: Replayed::stored(row.replay_mark, &row.replay_layers),
            copy_of: row.copy_of,
            copy_schema: row.copy_schema,
        }))
    }

    /// Reads a definition that the current role may steer: it has its owner's rights, or those of
    /// `message_store_admin`. 42704, 42501.
    pub fn load_own(subscriber_id: &str) -> Result<Self, Error> {
        let definition = Self::load(subscriber_id)?;
        if may_steer(definition.owner) {
            Ok(definition)
        } else {
            Err(Error::NotOwner(subscriber_id.to_owned()))
        }
    }

    /// 42501 where the current role has not the owner's rights, with which its code runs.
    pub fn require_rights_of_code(&self) -> Result<(), Error> {
        if identity::has_rights_of(self.owner) {
            return Ok(());
        }
        let owner = identity::role_name(self.owner);
        Err(Error::CodeOfAnother(self.subscriber_id.clone(), owner))
    }

    /// The position after which a replay of everything begins.
    pub fn replay_start(&self) -> i64 {
        self.start_position.max(self.options.baseline)
    }

    /// Whether an application reads it with `fetch`.
    pub fn is_fetched(&self) -> bool {
        self.handlers == "{}"
    }

    /// Whether this is a replay that is only compared with the live read model.
    pub fn is_verification(&self) -> bool {
        self.copy_of.as_ref() == Some(&self.subscriber_id)
    }

    /// The subscription as its handlers know it: for a copy, the original.
    pub fn original(&self) -> &str {
        self.copy_of.as_deref().unwrap_or(&self.subscriber_id)
    }

    /// What `init` is told, and handlers before their first message.
    pub fn handler_call(&self) -> HandlerCall {
        HandlerCall {
            subscriber_id: self.original().to_owned(),
            member: 0,
            group_size: 1,
            global_position: 0,
            run_length: 0,
            attempt: 1,
            is_replay: self.copy_of.is_some(),
            is_retry: false,
            read_model: self.copy_schema.clone(),
        }
    }

    /// On which path names in its handlers are found, and how to choose another: for people.
    pub fn where_names_are_found(&self) -> String {
        let path = &self.search_path;
        format!(
            "Its handlers run with the search_path {path}. Name the schema in the handler, or choose \
             another path by the option search_path of the subscription."
        )
    }

    /// Runs `work`, which calls code of the owner's, as the owner. What it defers fires before
    /// this returns, and what others have deferred before it begins.
    ///
    /// `copies`: the schema that comes first on the search_path. 42704 where the role was dropped.
    pub fn as_owner<T>(
        &self,
        copies: Option<&str>,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.require_owner()?;
        let copies = copies.map(pgrx::spi::quote_identifier);
        let own = self.search_path.trim();
        let parts = copies
            .as_deref()
            .into_iter()
            .chain((!own.is_empty()).then_some(own));
        let path = parts.collect::<Vec<_>>().join(", ");
        run_as(self.owner, &path, &self.options.settings, work)
    }

    /// 42704 where the role that owns it was dropped.
    pub fn require_owner(&self) -> Result<(), Error> {
        if identity::role_exists(self.owner) {
            Ok(())
        } else {
            Err(Error::OwnerDropped(identity::role_name(self.owner)))
        }
    }
}

/// The argument `subscriber_id`, which must be a name of 1 to 1,024 bytes.
pub fn subscriber_id(call: &Call<'_>) -> Result<String, Error> {
    let repair = "Pass a name such as aggregators:home-page.";
    let Some(id) = call.text("subscriber_id") else {
        return Err(Error::argument("subscriber_id", "must not be NULL", repair));
    };
    match id.bytes().len() {
        0 => Err(Error::argument(
            "subscriber_id",
            "must not be empty",
            repair,
        )),
        1..=SUBSCRIBER_ID_MAX => Ok(id.to_str().into_owned()),
        length => Err(Error::argument(
            "subscriber_id",
            format!("has {length} bytes; {SUBSCRIBER_ID_MAX} is the most"),
            repair,
        )),
    }
}
