//! Who did what to a subscription is kept.

use crate::error::Error;
use crate::pg::identity;
use crate::settings;
use crate::subscription::definition::Definition;
use crate::tables::history::{self, HistoryEntry};

/// Keeps that the current role did `action`, and for whom, where the application said so.
pub fn note(
    definition: &Definition,
    action: &str,
    position: Option<i64>,
    reason: Option<&str>,
) -> Result<(), Error> {
    history::insert(&HistoryEntry {
        subscriber_id: &definition.subscriber_id,
        owner: definition.owner,
        role: &identity::role_name(identity::current_role()),
        action,
        position,
        reason,
        actor: settings::actor().as_deref(),
    })
}
