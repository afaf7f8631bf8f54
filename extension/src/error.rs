//! Everything that can go wrong, told once: SQLSTATE for programs, message for people, detail
//! for values, hint for the repair.

use crate::kept_error::KeptError;
use crate::pg::report::Report;
use pgrx::PgSqlErrorCode;
use pgrx::spi::quote_identifier;

/// An error on its way to the client.
#[derive(Debug)]
pub enum Error {
    /// An argument that cannot be meant: 22023. `(argument, what is wrong, the repair)`.
    Argument(&'static str, String, String),
    /// One message of a batch that cannot be meant: 22023. `(messages[1].type, what is wrong, the
    /// repair)`.
    InBatch(String, String, String),
    /// An id that is no UUID: 22P02. `(messages[1].id, the text)`.
    InvalidId(String, String),
    /// An id that another message has: 23505. `(id, what is known of the other)`.
    IdTaken(String, String),
    /// A message of somebody else's stands under an id that was derived in a handler: 23505. `(id,
    /// what is known of the other)`.
    DerivedIdTaken(String, String),
    /// Message DB's own exceptions, word for word: P0001.
    MessageDb(String),
    /// `LIMIT must not be negative`: 2201W, as the LIMIT clause of Message DB raises it.
    NegativeLimit,
    /// A number outside its type: 22003, worded as PostgreSQL words it.
    OutOfRange(&'static str),
    /// There is no store in this database: 55000.
    NoStore(&'static str),
    /// The tables are not what this library writes: 55000. `(what, the repair)`.
    StoreChanged(String, String),
    /// The sequence would hand out positions that readers cannot order: 55000.
    SequenceChanged(String),
    /// A trigger on `messages` changed or suppressed what was to be written: 39P01.
    TriggerInterfered(String),
    /// A trigger on `messages` kept messages that were to go: 39P01. `(how many went, of how many, deleted
    /// or changed)`.
    NotRemoved(i64, usize, &'static str),
    /// Messages that subscriptions have still to handle, or have parked: 55000. `(what was to be
    /// deleted, who needs what of it)`.
    StillNeeded(String, Vec<String>),
    /// What a replay would begin with was deleted: 55000. `(subscriber, where it would begin, up to where
    /// messages were deleted)`.
    BeginningDeleted(String, i64, i64),
    /// No message is meant: P0002.
    NoMessage(String),
    /// Something of PostgreSQL's on `messages` that an INSERT or SELECT would heed and ours would not:
    /// 0A000. `(what, the repair)`.
    NotHeeded(&'static str, &'static str),
    /// The transaction keeps one snapshot, so a reader cannot see what the horizon proves: 25001.
    OneSnapshot(&'static str),
    /// Names are compared by their bytes in UTF-8: 0A000. `(the database's encoding)`.
    Encoding(String),
    /// A standby that no horizon of the primary's has come to: 55000.
    Standby,
    /// A lock of a newer protocol is held: 55000.
    NewerLibrary,
    /// `CALL wait_for_messages` inside a transaction block: 25001.
    WaitInTransaction,
    /// No such subscription: 42704.
    UnknownSubscription(String),
    /// A handler that cannot be called: 42883. `(handler, message type)`.
    UnknownHandler(String, String),
    /// A handler or init function the subscription's owner may not execute: 42501. `(signature, role)`.
    HandlerNotExecutable(String, String),
    /// The same subscriber id for something else: 42710. `(subscriber, its source)`.
    SubscriptionExists(String, String),
    /// What was asked for does not fit the subscription: 55000. `(subscriber, what is wrong, the
    /// repair)`.
    SubscriptionState(String, &'static str, &'static str),
    /// A handler of a rebuild that goes on beside the live read model wrote to that one: 55000.
    /// `(table)`.
    LiveTableWritten(String),
    /// The copy of a table that has rows has none: 55000. `(table)`.
    WouldEmpty(String),
    /// A table of a read model with something that a copy of it would not have: 0A000. `(table, what)`.
    NotCopied(String, String),
    /// A table of a read model whose columns are not those of its copy any more: 55000. `(table)`.
    AlteredSinceCopied(String),
    /// A table of a read model whose rows cannot be replaced without others: 0A000. `(table, table that
    /// refers to it, foreign key)`.
    Referenced(String, String, String),
    /// A lease that is no longer, or never was, the caller's: 55000. `(subscriber)`.
    LeaseLost(String),
    /// A handler failed where nobody is to retry it: 38000. `(subscriber, position, error)`.
    HandlerFailed(String, i64, KeptError),
    /// Effects that were only to be looked at are taken back; nobody sees this one.
    TakenBack,
    /// `wait_for` in a transaction that has itself written messages: 25001.
    WaitForOwnMessages,
    /// The subscription's owner is gone: 42704. `(role)`.
    OwnerDropped(String),
    /// A subscription has passed messages that the log does not have: 55000.
    /// `(subscriber, its position, the last position drawn)`.
    AheadOfLog(String, i64, i64),
    /// A position that was kept with an epoch of another store: 55000.
    OtherLog(i64),
    /// A position of an epoch before, of which it is not certain that this log has what was before it: 55000.
    /// `(position, what is certain, when the epoch after it began)`.
    PartedLog(i64, i64, String),
    /// A stream that lives on another shard: 40001.
    OtherShard {
        /// The stream.
        stream_name: String,
        /// The number of its shard.
        of: i64,
        /// The number of the one that was asked.
        this: i64,
        /// How many there are.
        count: i64,
        /// Whether a handler asked, who can ask no other one: 0A000.
        by_handler: bool,
    },
    /// The map of shards has changed since the caller looked at it: 40001. `(its version)`.
    MapChanged(i64),
    /// This store is no shard: 55000.
    NotAShard,
    /// A write through a router in a transaction block: 0A000. `(function)`.
    InBlock(String),
    /// A second write through a router in one transaction: 0A000. `(function)`.
    SecondWrite(String),
    /// What needs a transaction of its own was called after a write: 25001. `(function)`.
    WroteBefore(&'static str),
    /// Somebody else's subscription: 42501. `(subscriber)`.
    NotOwner(String),
    /// Code that is to run with the rights of another role: 42501. `(subscriber, role)`.
    CodeOfAnother(String, String),
}

/// What to do instead of several writes in a transaction through a router.
const ALONE: &str = "Call it as a statement of its own (autocommit). write_messages() writes several messages of one \
                     entity, all or none. For a transaction of more, connect to the shard. SET \
                     message_store_router.commit_each_write = on commits each write at once.";

impl Error {
    /// An argument error: what is wrong with it and what to pass instead.
    pub fn argument(
        name: &'static str,
        problem: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self::Argument(name, problem.into(), repair.into())
    }
}

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Report {
    fn from(error: &Error) -> Self {
        use Error as E;
        use PgSqlErrorCode as Code;
        let state = Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        match error {
            E::Argument(name, problem, repair) => {
                Self::new(Code::ERRCODE_INVALID_PARAMETER_VALUE, format!("{name} {problem}"))
                    .hint(repair)
            }
            E::InBatch(place, problem, repair) => {
                Self::new(Code::ERRCODE_INVALID_PARAMETER_VALUE, format!("{place} {problem}"))
                    .hint(repair)
            }
            E::InvalidId(place, text) => Self::new(
                Code::ERRCODE_INVALID_TEXT_REPRESENTATION,
                format!("{place}: invalid input syntax for type uuid: \"{text}\""),
            )
            .hint("An id is a UUID; leave it out to have one made."),
            E::IdTaken(id, other) => Self::new(
                Code::ERRCODE_UNIQUE_VIOLATION,
                format!("another message has the id {id}"),
            )
            .detail(other)
            .hint("Give every message an id of its own, or none to have one made."),
            E::DerivedIdTaken(id, other) => Self::new(
                Code::ERRCODE_UNIQUE_VIOLATION,
                format!("another message stands under the id {id}, which derives from the message that is handled"),
            )
            .detail(other)
            .hint(
                "Look at it: either somebody wrote it there, or the handler makes something else of \
                 the same message than before. An id of the message's own avoids both.",
            ),
            E::OtherShard { stream_name, of, this, count, by_handler } => {
                let text = format!("stream {stream_name} lives on shard {of}, and this is shard {this} of {count}");
                if *by_handler {
                    Self::new(Code::ERRCODE_FEATURE_NOT_SUPPORTED, text).hint(
                        "A handler reaches its own shard. It puts the message into a stream of its own entity, from \
                         where it is forwarded (docs/scale-out.md).",
                    )
                } else {
                    Self::new(Code::ERRCODE_T_R_SERIALIZATION_FAILURE, text)
                        .hint("Look at the map of shards again, and ask that one.")
                }
            }
            E::MapChanged(map) => Self::new(
                Code::ERRCODE_T_R_SERIALIZATION_FAILURE,
                format!("the map of shards has changed: it is version {map}"),
            )
            .hint("Look at the map again: SELECT shards, map, addresses FROM the table shard of any of them."),
            E::NotAShard => Self::new(state, "this store is no shard")
                .hint("SELECT message_store.become_shard(...) makes it one."),
            E::InBlock(function) => Self::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("{function} in a transaction block is not supported by a router"),
            )
            .detail("The shard would commit it at once, whatever becomes of the block. Nothing was written.")
            .hint(ALONE),
            E::SecondWrite(function) => Self::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("{function} for a second time in one transaction is not supported by a router"),
            )
            .detail("What the first has written is committed on its shard.")
            .hint(ALONE),
            E::WroteBefore(function) => Self::new(
                Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
                format!("{function} needs a transaction that has not written messages"),
            )
            .hint("Call it in a transaction of its own."),
            E::Encoding(encoding) => Self::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("a message store needs a database with the encoding UTF8, and this one has {encoding}"),
            )
            .hint("Make another one: CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'."),
            E::WouldEmpty(table) => Self::new(
                state,
                format!("the copy of {table} has no rows, and {table} has some"),
            )
            .hint(
                "Give the subscription an init that makes the first rows, and rebuild again; or say \
                 that they may go: promote(subscriber_id, may_empty => true).",
            ),
            E::NotCopied(table, what) => Self::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("{table} has {what}, which a copy of it would not have"),
            )
            .hint("Rebuild it in place: rebuild(subscriber_id). verify() needs a copy too."),
            E::AlteredSinceCopied(table) => Self::new(
                state,
                format!("the columns of {table} have changed since it was copied"),
            )
            .hint("cancel_rebuild(subscriber_id), and rebuild again: the copy then has them too."),
            E::Referenced(table, by, key) => Self::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!(
                    "the rows of {table} cannot be replaced: the foreign key {key} of {by}, which is not \
                     part of the read model, would delete or change rows there, or be in the way"
                ),
            )
            .hint(format!(
                "Let {key} say ON DELETE NO ACTION, or list {by} in read_model where the handlers fill it."
            )),
            E::MessageDb(text) => Self::new(Code::ERRCODE_RAISE_EXCEPTION, text),
            E::NegativeLimit => Self::new(
                Code::ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                "LIMIT must not be negative",
            )
            .hint("batch_size takes 0 or more messages, or -1 for all."),
            E::OutOfRange(kind) => Self::new(
                Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                format!("{kind} out of range"),
            ),
            E::NoStore(missing) => {
                Self::new(state, "there is no message store in this database")
                    .detail(format!("message_store.{missing} does not exist."))
                    .hint("Run SELECT message_store.create_store(); once.")
            }
            E::StoreChanged(problem, repair) => Self::new(state, problem).hint(repair),
            E::SequenceChanged(problem) => Self::new(
                state,
                format!("message_store.messages_global_position_seq {problem}"),
            )
            .detail(
                "Readers rely on positions that are drawn one by one and only rise; \
                 a message written now could be skipped.",
            )
            .hint(
                "ALTER SEQUENCE message_store.messages_global_position_seq \
                 INCREMENT 1 CACHE 1 NO CYCLE; and set it past the highest global_position. After \
                 logical replication, set it to its last_value on the old server, once that one is \
                 closed (docs/backup.md).",
            ),
            E::TriggerInterfered(problem) => {
                Self::new(Code::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, problem).hint(
                    "A BEFORE INSERT trigger on messages may look, and may change type, data, \
                     metadata and columns of its own, but must return NEW with its stream name \
                     and positions.",
                )
            }
            E::NotRemoved(done, of, word) => Self::new(
                Code::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                format!("{done} of {of} messages were {word}: a trigger on messages kept the others"),
            )
            .hint("A BEFORE trigger must return OLD where a message is deleted, and NEW where its data are erased."),
            E::StillNeeded(what, needs) => Self::new(
                state,
                format!("{what}: subscriptions would skip messages"),
            )
            .detail(needs.join("\n"))
            .hint(
                "Let them come to them first: start them, promote or cancel a rebuild, retry or discard \
                 what is parked, drop what nobody needs. may_skip => true deletes all the same.",
            ),
            E::BeginningDeleted(subscriber, begin, deleted) => Self::new(
                state,
                format!(
                    "subscription \"{subscriber}\" would miss messages: it would go on after global position \
                     {begin}, and messages up to {deleted} were deleted"
                ),
            )
            .hint(
                "What they have brought cannot be made anew. Let its init make the read model as it was at \
                 a later position, and name that in the option baseline (docs/retention.md).",
            ),
            E::NoMessage(meant) => Self::new(
                Code::ERRCODE_NO_DATA_FOUND,
                format!("no message {meant}"),
            )
            .hint("Nothing was changed. Look what there is, for example with get_stream_messages()."),
            E::NotHeeded(what, repair) => Self::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("{what} on message_store.messages is not supported"),
            )
            .hint(*repair),
            E::OneSnapshot(function) => Self::new(
                Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
                format!("{function} needs isolation level READ COMMITTED"),
            )
            .detail(
                "It proves how far messages are settled and then looks with a new snapshot; \
                 a transaction that keeps its first snapshot could skip a message.",
            )
            .hint("BEGIN ISOLATION LEVEL READ COMMITTED, or call it outside a transaction."),
            E::Standby => Self::new(
                state,
                "this standby does not know how far messages are settled",
            )
            .detail(
                "The writers' locks are known to the primary only. A standby reads as far as what was \
                 recorded there, and no record has come to it.",
            )
            .hint(
                "On the primary: SELECT message_store.create_store(); where the store was made by a \
                 version before 0.4. Orchestrators then record it; without one, SELECT \
                 message_store.record_horizons() does.",
            ),
            E::NewerLibrary => {
                Self::new(state, "a newer message_store library is writing in this database")
                    .hint("Reconnect, so that this session loads the installed library.")
            }
            E::WaitInTransaction => Self::new(
                Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
                "wait_for_messages cannot run inside a transaction block or a function",
            )
            .hint("CALL it as a statement of its own, so that it can wait without a snapshot."),
            E::UnknownSubscription(subscriber) => Self::new(
                Code::ERRCODE_UNDEFINED_OBJECT,
                format!("subscription \"{subscriber}\" does not exist"),
            )
            .hint("message_store.create_subscription(...) makes it; the view subscription_status lists what there is."),
            E::UnknownHandler(handler, purpose) => Self::new(
                Code::ERRCODE_UNDEFINED_FUNCTION,
                format!("there is no function {handler} to use as {purpose}"),
            )
            .hint(
                "A handler takes one argument and returns no set: (bigint) or (bigint[]) for \
                 global positions, (message_store.message) or (message_store.message[]) for \
                 messages; an array gets a run of them. An init function takes none.",
            ),
            E::HandlerNotExecutable(handler, role) => Self::new(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("role \"{role}\" may not execute {handler}"),
            )
            .hint(format!("GRANT EXECUTE ON FUNCTION {handler} TO {}; handlers run with the rights of the subscription's owner.", quote_identifier(role))),
            E::SubscriptionExists(subscriber, source) => Self::new(
                Code::ERRCODE_DUPLICATE_OBJECT,
                format!("subscription \"{subscriber}\" already reads \"{source}\""),
            )
            .hint("Its position belongs to that source; use another subscriber_id for another."),
            E::OwnerDropped(role) => Self::new(
                Code::ERRCODE_UNDEFINED_OBJECT,
                format!("the subscription's owner, role {role}, does not exist"),
            )
            .hint("Its handlers run with its rights. Give it another: reassign(subscriber_id, owner)."),
            E::AheadOfLog(subscriber, position, drawn) => Self::new(
                state,
                format!("subscription \"{subscriber}\" is ahead of the log"),
            )
            .detail(format!("Its position is {position}; the last one drawn is {drawn}."))
            .hint(
                "After logical replication, message_store.messages_global_position_seq must be set \
                 to its last_value on the old server (docs/backup.md). Where the log was truncated, \
                 or restored without the subscriptions, message_store.reset(subscriber_id, position, \
                 reason) sets it to where it really is.",
            ),
            E::OtherLog(position) => Self::new(
                state,
                format!("global position {position} was kept with an epoch that this store does not know"),
            )
            .detail("It is of another log.")
            .hint("Begin anew, from the first message."),
            E::PartedLog(position, settled_up_to, began_at) => Self::new(
                state,
                format!("global position {position} may be of a log that was lost"),
            )
            .detail(format!(
                "At {began_at} the server was promoted, restored or moved. Up to {settled_up_to} the log is \
                 for certain what it was before; messages after that may be missing, or others than before."
            ))
            .hint(format!(
                "Begin again after {settled_up_to}, and keep the new epoch(). Where nothing was lost, as with \
                 synchronous replication, message_store_admin says so: confirm_epoch(epoch, reason)."
            )),
            E::SubscriptionState(subscriber, problem, repair) => Self::new(
                state,
                format!("subscription \"{subscriber}\" {problem}"),
            )
            .hint(*repair),
            E::LiveTableWritten(table) => Self::new(
                state,
                format!("a handler wrote to {table} while a copy of it is being filled"),
            )
            .hint(
                "Leave the schema out of the table's name in the handler (the search_path leads \
                 to the copy), or write to the schema that handler_context() names.",
            ),
            E::LeaseLost(subscriber) => Self::new(
                state,
                format!("the lease on subscription \"{subscriber}\" is not held any more"),
            )
            .detail("It ran out, or the messages were fetched again, or the database has lost it in a fail-over or restore: \
                 another may be handling them.")
            .hint("Fetch again; handle what comes, though it may have been handled before."),
            E::HandlerFailed(subscriber, position, error) => Self::new(
                Code::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
                format!(
                    "a handler of subscription \"{subscriber}\" fails at global position \
                     {position}: {}",
                    error.message
                ),
            )
            .detail(match error.detail_and_hint() {
                Some(more) => format!("Its SQLSTATE is {}. {more}", error.sqlstate),
                None => format!("Its SQLSTATE is {}.", error.sqlstate),
            })
            .hint("Nothing was changed. Repair the handler, or pass another."),
            E::TakenBack => Self::new(state, "taken back"),
            E::WaitForOwnMessages => Self::new(
                Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
                "wait_for cannot wait for messages of its own transaction",
            )
            .hint("Commit first; nobody can handle a message before."),
            E::NotOwner(subscriber) => Self::new(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("subscription \"{subscriber}\" belongs to another role"),
            )
            .hint("Its owner may see and steer it, and so may message_store_admin."),
            E::CodeOfAnother(subscriber, role) => Self::new(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!(
                    "what subscription \"{subscriber}\" runs, it runs with the rights of role \"{role}\""
                ),
            )
            .hint(
                "Only that role and its members choose its handlers, init, read_model and \
                 settings; message_store_admin steers it as it is.",
            ),
        }
    }
}
