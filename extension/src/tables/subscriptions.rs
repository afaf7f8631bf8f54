//! What each subscriber reads and which functions handle it.

use super::by_subscriber::BySubscriber;
use super::owner;
use crate::error::Error;
use crate::pg::parameter::{Parameter, bigint, oid, text};
use crate::pg::slot::RowVersion;
use crate::pg::snapshot::Fresh;
use crate::pg::spi::Statement;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, OIDOID, TEXTOID, TIMESTAMPTZOID, VARCHAROID};

const TABLE: BySubscriber = BySubscriber {
    name: c"subscriptions",
    key: c"subscriptions_pkey",
};

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

/// A row, as it was stored.
pub struct Subscription {
    /// The role whose rights its handlers have.
    pub owner: pg_sys::Oid,
    /// A category, a stream, or `$all`.
    pub source: String,
    /// Message type -> qualified function name, as JSON text.
    pub handlers: String,
    /// Everything else it was given, as JSON text.
    pub options: String,
    /// What names mean to its handlers.
    pub search_path: String,
    /// Whether it is ticked.
    pub state: State,
    /// The position it began after.
    pub start_position: i64,
    /// The position up to which all messages were handled before.
    pub replay_mark: i64,
    /// Beyond that, how far members were, as JSON text.
    pub replay_layers: String,
    /// The subscription whose read model it fills anew.
    pub copy_of: Option<String>,
    /// The schema of the tables it fills.
    pub copy_schema: Option<String>,
}

/// A row to be inserted.
pub struct NewSubscription<'a> {
    /// Its name.
    pub subscriber_id: &'a str,
    /// The role whose rights its handlers have.
    pub owner: pg_sys::Oid,
    /// A category, a stream, or `$all`.
    pub source: &'a str,
    /// Message type -> qualified function name, as JSON text.
    pub handlers: &'a str,
    /// As JSON text.
    pub options: &'a str,
    /// What names mean to its handlers.
    pub search_path: &'a str,
}

static CREATED_AT: Statement = Statement::new(
    c"SELECT created_at FROM message_store.subscriptions WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
static AFTER_THE_NEWEST: Statement = Statement::new(
    c"SELECT pg_catalog.max(created_at) OPERATOR(pg_catalog.+) '1 us'::pg_catalog.interval \
        FROM message_store.subscriptions",
    &[],
);
static INSERT: Statement = Statement::new(
    c"INSERT INTO message_store.subscriptions (subscriber_id, owner, source, handlers, options, search_path) \
      VALUES ($1, $2::pg_catalog.regrole, $3, $4::pg_catalog.jsonb, $5::pg_catalog.jsonb, $6) \
      ON CONFLICT DO NOTHING",
    &[VARCHAROID, OIDOID, VARCHAROID, TEXTOID, TEXTOID, TEXTOID],
);
static FIND: Statement = Statement::new(
    c"SELECT s.owner::pg_catalog.oid, s.source, s.handlers::pg_catalog.text, \
             s.options::pg_catalog.text, s.search_path, s.state, s.start_position, \
             s.replay_mark, s.copy_of, s.copy_schema::pg_catalog.text, \
             s.replay_layers::pg_catalog.text \
        FROM message_store.subscriptions s \
       WHERE s.subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
static CATEGORIES: Statement = Statement::new(
    c"SELECT DISTINCT message_store.category(source::pg_catalog.varchar) \
        FROM message_store.subscriptions WHERE source OPERATOR(pg_catalog.<>) '$all'",
    &[],
);
static OPTIONS: Statement = Statement::new(
    c"SELECT options::pg_catalog.text FROM message_store.subscriptions \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
static REPLACE: Statement = Statement::new(
    c"UPDATE message_store.subscriptions \
         SET handlers = $2::pg_catalog.jsonb, options = $3::pg_catalog.jsonb, search_path = $4 \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND (handlers OPERATOR(pg_catalog.<>) $2::pg_catalog.jsonb \
           OR options OPERATOR(pg_catalog.<>) $3::pg_catalog.jsonb \
           OR search_path OPERATOR(pg_catalog.<>) $4)",
    &[VARCHAROID, TEXTOID, TEXTOID, TEXTOID],
);
static SET_OWNER: Statement = Statement::new(
    c"UPDATE message_store.subscriptions SET owner = $2::pg_catalog.regrole \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, OIDOID],
);
static SET_START: Statement = Statement::new(
    c"UPDATE message_store.subscriptions SET start_position = $2 \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, INT8OID],
);
/// The transaction may have begun before a deletion that it has waited for.
static SET_CREATED: Statement = Statement::new(
    c"UPDATE message_store.subscriptions \
         SET created_at = GREATEST(pg_catalog.clock_timestamp(), $2) \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, TIMESTAMPTZOID],
);
static SET_STATE: Statement = Statement::new(
    c"UPDATE message_store.subscriptions \
         SET state = $2, state_reason = $3, state_changed_at = pg_catalog.clock_timestamp() \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, VARCHAROID, TEXTOID],
);
static SET_REPLAYED: Statement = Statement::new(
    c"UPDATE message_store.subscriptions \
         SET replay_mark = $2, replay_layers = $3::pg_catalog.jsonb \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, INT8OID, TEXTOID],
);
static MAKE_COPY: Statement = Statement::new(
    c"UPDATE message_store.subscriptions SET copy_of = $2, copy_schema = $3::pg_catalog.name, state = 'started' \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, VARCHAROID, TEXTOID],
);
static DELETE: Statement = Statement::new(
    c"DELETE FROM message_store.subscriptions WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);

/// Adds a subscription; `false` where there is one of this name.
pub fn insert(new: &NewSubscription<'_>) -> Result<bool, Error> {
    let _owner = owner::of_subscriptions()?;
    let inserted = INSERT.run(
        &[
            text(new.subscriber_id),
            oid(new.owner),
            text(new.source),
            text(new.handlers),
            text(new.options),
            text(new.search_path),
        ],
        |_| {},
    );
    Ok(inserted == 1)
}

/// Reads a subscription, where there is one.
pub fn find(subscriber_id: &str) -> Result<Option<Subscription>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut found = None;
    FIND.run(&[text(subscriber_id)], |row| {
        let text = |number| row.text(number).unwrap_or_default();
        found = Some(Subscription {
            owner: row.oid(0).unwrap_or(pg_sys::InvalidOid),
            source: text(1),
            handlers: text(2),
            options: text(3),
            search_path: text(4),
            state: State::from_word(&text(5)),
            start_position: row.bigint(6).unwrap_or_default(),
            replay_mark: row.bigint(7).unwrap_or_default(),
            copy_of: row.text(8),
            copy_schema: row.text(9),
            replay_layers: text(10),
        });
    });
    Ok(found)
}

/// Which version of its row there is now, found without a statement.
pub fn version(subscriber_id: &str) -> Result<Option<RowVersion>, Error> {
    let table = TABLE.to_read()?;
    if table.columns([(c"source", pg_sys::VARCHAROID)]).is_none() {
        return Err(Error::NoStore("subscriptions.source"));
    }
    TABLE.rows_of(&table, &Fresh::take(), subscriber_id, |mut scan| {
        scan.advance().then(|| scan.version())
    })
}

/// The categories of what any subscription reads.
pub fn categories() -> Result<Vec<String>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut categories = Vec::new();
    CATEGORIES.run(&[], |row| categories.extend(row.text(0)));
    Ok(categories)
}

/// The options, as JSON text; empty where there is no such subscription.
pub fn options(subscriber_id: &str) -> Result<String, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut options = String::new();
    OPTIONS.run(&[text(subscriber_id)], |row| {
        options = row.text(0).unwrap_or_default();
    });
    Ok(options)
}

/// Replaces what was given; whether that changes anything. JSON as text.
pub fn replace(
    subscriber_id: &str,
    handlers: &str,
    options: &str,
    search_path: &str,
) -> Result<bool, Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [
        text(subscriber_id),
        text(handlers),
        text(options),
        text(search_path),
    ];
    Ok(REPLACE.run(&arguments, |_| {}) == 1)
}

/// Stores whose rights its handlers have.
pub fn set_owner(subscriber_id: &str, role: pg_sys::Oid) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    SET_OWNER.run(&[text(subscriber_id), oid(role)], |_| {});
    Ok(())
}

/// Stores the position it begins after.
pub fn set_start(subscriber_id: &str, position: i64) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    SET_START.run(&[text(subscriber_id), bigint(position)], |_| {});
    Ok(())
}

/// Stores that it is created now, and not before a moment, whatever the clock says.
pub fn set_created(subscriber_id: &str, not_before: Parameter) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    SET_CREATED.run(&[text(subscriber_id), not_before], |_| {});
    Ok(())
}

/// Stores its state, and why it is in it.
pub fn set_state(subscriber_id: &str, state: State, reason: Option<&str>) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [
        text(subscriber_id),
        text(state.word()),
        reason.and_then(text),
    ];
    SET_STATE.run(&arguments, |_| {});
    Ok(())
}

/// Stores which messages were handled before; `layers` as JSON text.
pub fn set_replayed(subscriber_id: &str, mark: i64, layers: &str) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    SET_REPLAYED.run(&[text(subscriber_id), bigint(mark), text(layers)], |_| {});
    Ok(())
}

/// Makes it the started copy of another, whose tables it fills in `schema`.
pub fn make_copy(subscriber_id: &str, original: &str, schema: &str) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    MAKE_COPY.run(&[text(subscriber_id), text(original), text(schema)], |_| {});
    Ok(())
}

/// Forgets a subscription, with its progress and what it has parked.
pub fn delete(subscriber_id: &str) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    DELETE.run(&[text(subscriber_id)], |_| {});
    Ok(())
}

/// When a subscription was created, a `timestamptz`.
pub fn created_at(subscriber_id: &str) -> Result<Parameter, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut at = None;
    CREATED_AT.run(&[text(subscriber_id)], |row| {
        at = row.value(0, pg_sys::TIMESTAMPTZOID);
    });
    Ok(at)
}

/// The moment after the newest subscription was created, a `timestamptz`; none where there is no
/// subscription.
pub fn after_the_newest() -> Result<Parameter, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut at = None;
    AFTER_THE_NEWEST.run(&[], |row| at = row.value(0, pg_sys::TIMESTAMPTZOID));
    Ok(at)
}
