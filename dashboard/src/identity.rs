//! Who asks, and what that person may do.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and act.
    Operator,
}

/// Who asks, as it was decided once for this request.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What the person may do.
    pub role: Role,
    /// Who it is, as the history of the subscriptions will have it.
    pub name: String,
    /// True where there is a session that can be left.
    pub has_session: bool,
    /// The name of the database that the pages are about; empty before anybody has asked for one.
    pub(super) database: Arc<str>,
    /// What a form must bring back, so that it is known to be one of ours.
    pub(super) form_key: String,
    /// Cancelled when the session ends; never where there is none.
    pub(super) left: CancellationToken,
}

impl Identity {
    /// True where the person may change something.
    pub fn may_act(&self) -> bool {
        self.role == Role::Operator
    }
}
