//! The role that ticks has nothing to steal: whatever a handler of somebody else's finds in its
//! session, it could not do much with it.

use tracing::warn;

use message_store_client::database::Powers;

/// What it was when it was last looked at. A superuser is no matter of warnings: the connections
/// that tick are not given to one.
#[derive(Debug, Default)]
pub struct TickingRole {
    known: Vec<Powers>,
}

impl TickingRole {
    /// Warns of what it has beyond what it needs, where that is not what it had.
    pub fn look(&mut self, powers: Vec<Powers>) {
        if self.known == powers {
            return;
        }
        for power in powers.iter().filter(|powers| !powers.all.is_empty()) {
            warn!(
                "the role {} ticks and has {}. {}.",
                power.role,
                power.all.join(", "),
                Powers::REPAIR
            );
        }
        self.known = powers;
    }
}
