//! Who does something that is kept, for whom, and why.

use crate::error::Error;
use crate::pg::identity;
use crate::pg::text::Text;
use crate::settings;

/// Who deletes, erases or declares something, and why.
pub struct Account {
    /// The role.
    pub role: String,
    /// The person for whom the application acts, where it named one.
    pub actor: Option<String>,
    /// Why.
    pub reason: String,
}

impl Account {
    /// The current role's, with the argument `reason`.
    pub fn of(reason: Option<Text<'_>>) -> Result<Self, Error> {
        require_reason(reason).map(Self::because)
    }

    /// The current role's, with a reason that was given before.
    pub fn because(reason: String) -> Self {
        Self {
            role: identity::role_name(identity::current_role()),
            actor: settings::actor(),
            reason,
        }
    }
}

/// The argument `reason`, which must say something.
pub fn require_reason(reason: Option<Text<'_>>) -> Result<String, Error> {
    let reason = reason.map(|reason| reason.to_str().trim().to_owned());
    reason
        .filter(|reason| !reason.is_empty())
        .ok_or_else(|| Error::argument("reason", "must not be empty", "Say why; it is kept."))
}
