//! Every setting, its meaning and its default. Those of conditions and notices are Message DB's, and off
//! unless set.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::CString;

/// `message_store.sql_condition`: whether the `condition` argument of the readers is accepted.
/// The condition runs with the caller's own rights, whatever this says.
pub static SQL_CONDITION: GucSetting<bool> = GucSetting::<bool>::new(false);
/// `message_store.debug`: notices of every read and write.
pub static DEBUG: GucSetting<bool> = GucSetting::<bool>::new(false);
/// `message_store.debug_get`: notices of reads.
pub static DEBUG_GET: GucSetting<bool> = GucSetting::<bool>::new(false);
/// `message_store.debug_write`: notices of writes.
pub static DEBUG_WRITE: GucSetting<bool> = GucSetting::<bool>::new(false);

/// `message_store.actor`: the person for whom an application steers subscriptions.
static ACTOR: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// `message_store.inherited_metadata`: what else a message takes over from the one that caused it.
static INHERITED_METADATA: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"traceId, userId, traceparent, tracestate"));

/// Makes the settings known to PostgreSQL; called once, when the library is loaded.
pub fn define() {
    let settings = [
        (
            c"message_store.sql_condition",
            c"Accept the condition argument of get_stream_messages and get_category_messages.",
            &SQL_CONDITION,
        ),
        (
            c"message_store.debug",
            c"Print notices of every read and write.",
            &DEBUG,
        ),
        (
            c"message_store.debug_get",
            c"Print notices of every read.",
            &DEBUG_GET,
        ),
        (
            c"message_store.debug_write",
            c"Print notices of every write.",
            &DEBUG_WRITE,
        ),
    ];
    for (name, description, setting) in settings {
        GucRegistry::define_bool_guc(
            name,
            description,
            c"As in Message DB. Default: off.",
            setting,
            GucContext::Userset,
            GucFlags::default(),
        );
    }
    GucRegistry::define_string_guc(
        c"message_store.actor",
        c"The person for whom an application steers subscriptions, for subscription_history.",
        c"The application's word: the role is noted beside it. Default: nobody.",
        &ACTOR,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"message_store.inherited_metadata",
        c"Keys of metadata that a message takes over from the one that caused it, separated by commas.",
        c"Beside correlationStreamName and replyStreamName. Default: traceId, userId, traceparent, tracestate.",
        &INHERITED_METADATA,
        GucContext::Userset,
        GucFlags::default(),
    );
}

/// Keys of metadata that a message takes over from the one that caused it.
pub fn inherited_metadata() -> Vec<String> {
    let keys = INHERITED_METADATA.get().unwrap_or_default();
    let keys = keys.to_string_lossy();
    let keys = keys.split(',').map(str::trim);
    keys.filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The person for whom the application acts, where it said so.
pub fn actor() -> Option<String> {
    let actor = ACTOR.get()?.to_string_lossy().into_owned();
    (!actor.is_empty()).then_some(actor)
}

/// Whether reads are to print notices.
pub fn debug_get() -> bool {
    DEBUG_GET.get() || DEBUG.get()
}

/// Whether writes are to print notices.
pub fn debug_write() -> bool {
    DEBUG_WRITE.get() || DEBUG.get()
}
