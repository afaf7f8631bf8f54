//! What is stored of a subscription, and on whose behalf we look at it.

mod kept;

use super::options::Options;
use super::parked;
use super::replay::Replayed;
use crate::error::Error;
use crate::pg::acting_as::ActingAs;
use crate::pg::call::Call;
use crate::pg::identity;
use crate::pg::role_code;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::store;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::VARCHAROID;
use std::ffi::CString;

/// Bytes a subscriber id may have.
const SUBSCRIBER_ID_MAX: usize = 1_024;

/// Whether orchestrators tick a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet.
    Created,
    /// They do.
    Started,
    /// Not for a while: somebody paused it.
    Paused,
    /// No more: somebody stopped it, or a failure did.
    Stopped,
}

impl State {
    /// As SQL knows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    fn from_word(word: &str) -> Self {
        let states = [Self::Started, Self::Paused, Self::Stopped];
        states
            .into_iter()
            .find(|state| state.word() == word)
            .unwrap_or(Self::Created)
    }
}

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
    /// Whether messages are parked.
    pub has_parked: bool,
    /// What names mean to its handlers.
    pub search_path: String,
}

static LOAD: Statement = Statement::new(
    c"SELECT s.owner::pg_catalog.oid, s.source, s.handlers::pg_catalog.text, \
             s.options::pg_catalog.text, s.search_path, s.state, s.start_position, \
             s.replay_mark, s.copy_of, s.copy_schema::pg_catalog.text, \
             s.replay_layers::pg_catalog.text \
        FROM message_store.subscriptions s \
       WHERE s.subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);

impl Definition {
    /// Reads a definition; 42704 where there is none.
    pub fn load(subscriber_id: &str) -> Result<Self, Error> {
        Self::find(subscriber_id)?
            .ok_or_else(|| Error::UnknownSubscription(subscriber_id.to_owned()))
    }

    /// Reads a definition, where there is one.
    pub fn find(subscriber_id: &str) -> Result<Option<Self>, Error> {
        let Some(mut found) = kept::or_read(subscriber_id, Self::read)? else {
            return Ok(None);
        };
        let original = found.copy_of.as_deref();
        found.has_parked =
            parked::has_any_of(subscriber_id)? || original.map_or(Ok(false), parked::has_any_of)?;
        Ok(Some(found))
    }

    fn read(subscriber_id: &str) -> Result<Option<Self>, Error> {
        let mut found = None;
        let mut options = String::new();
        {
            let _owner = as_owner_of_subscriptions()?;
            let id = Text::copied(subscriber_id.as_bytes());
            LOAD.run(&[Some(id.datum())], |row| {
                options = row.text(3).unwrap_or_default();
                found = Some(Self {
                    subscriber_id: subscriber_id.to_owned(),
                    owner: row.oid(0).unwrap_or(pg_sys::InvalidOid),
                    source: row.text(1).unwrap_or_default(),
                    handlers: row.text(2).unwrap_or_default(),
                    options: Options::default(),
                    search_path: row.text(4).unwrap_or_default(),
                    state: State::from_word(&row.text(5).unwrap_or_default()),
                    start_position: row.bigint(6).unwrap_or_default(),
                    replayed: Replayed::stored(
                        row.bigint(7).unwrap_or_default(),
                        &row.text(10).unwrap_or_default(),
                    ),
                    copy_of: row.text(8),
                    copy_schema: row.text(9),
                    has_parked: false,
                });
            });
        }
        if let Some(definition) = &mut found {
            definition.options = Options::stored(&options)?;
        }
        Ok(found)
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
        as_role(self.owner, &path, &self.options.settings, work)
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

/// Runs `work`, which calls code of the role's, as that role, with a search_path and settings of a
/// subscription.
pub fn as_role<T>(
    role: pg_sys::Oid,
    search_path: &str,
    settings: &[(String, String)],
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    // pg_temp comes last: whoever ticks must not shadow what the owner's functions mean.
    let path = match search_path.trim() {
        "" => "pg_temp".to_owned(),
        path => format!("{path}, pg_temp"),
    };
    let c_string = |text: &str| CString::new(text).unwrap_or_default();
    let mut all = vec![(c"search_path".to_owned(), c_string(&path))];
    let settings = settings.iter();
    all.extend(settings.map(|(name, value)| (c_string(name), c_string(value))));
    role_code::run(role, &all, work)
}

/// Whether the current role may steer subscriptions of `owner`.
pub fn may_steer(owner: pg_sys::Oid) -> bool {
    identity::has_rights_of(owner)
        || identity::role_named(c"message_store_admin").is_some_and(identity::has_rights_of)
}

/// Whether the current role may see subscriptions of `owner`.
pub fn may_see(owner: pg_sys::Oid) -> bool {
    may_steer(owner)
        || identity::role_named(c"message_store_viewer").is_some_and(identity::has_rights_of)
}

/// The tables of subscriptions are reached with their owner's rights.
pub fn as_owner_of_subscriptions() -> Result<ActingAs, Error> {
    store::as_owner_of("subscriptions")
}

/// The argument `subscriber_id`, which must be a name of 1 to 1,024 bytes.
pub fn subscriber_id(call: &Call<'_>, number: usize) -> Result<String, Error> {
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
        1..=SUBSCRIBER_ID_MAX => Ok(id.to_str().into_owned()),
        length => Err(Error::argument(
            "subscriber_id",
            format!("has {length} bytes; {SUBSCRIBER_ID_MAX} is the most"),
            repair,
        )),
    }
}
