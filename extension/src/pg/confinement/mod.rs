//! Code of one role that runs in a session of another must leave nothing behind that would run
//! later with the session's rights, or with those of the next role, and must not reach what the
//! session has open.
//!
//! Three looks: commands run as in a security-restricted operation of PostgreSQL's (`commands`),
//! functions whose effects outlive the transaction are refused (`functions`), and when the code has
//! ended the state of the session is compared with that of before: its portals, temporary objects
//! and session locks, however they came about.

mod commands;
mod functions;
mod portals;
mod session_locks;
mod state;
mod temporary;

use portals::Portals;
use session_locks::SessionLocks;
use temporary::TemporaryObjects;

/// Puts us into the way of commands and functions; called once, when a session loads the library.
pub fn install() {
    commands::install();
    functions::install();
}

/// Confines what runs until it is left, or dropped.
pub struct Confinement {
    before: bool,
    portals: Portals,
    temporary: TemporaryObjects,
    locks: SessionLocks,
}

impl Confinement {
    /// Begins; it may already have begun.
    pub fn enter() -> Self {
        Self {
            temporary: TemporaryObjects::of_now(),
            locks: SessionLocks::of_now(),
            portals: Portals::hidden(),
            before: state::confine(),
        }
    }

    /// Ends: portals and session locks that were added are gone; 42501 where temporary objects or
    /// prepared statements were. Call it with the rights of the code that was confined.
    pub fn leave(self) {
        self.portals.close_others();
        self.locks.release_others();
        self.temporary.require_no_others();
    }
}

impl Drop for Confinement {
    /// Also while an error unwinds: the session goes on.
    fn drop(&mut self) {
        state::put_back(self.before);
    }
}
