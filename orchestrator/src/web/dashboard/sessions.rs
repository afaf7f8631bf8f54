//! Who has typed a token: kept in memory, gone with the process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::identity::{Identity, Role};

/// How long a session lasts without a request: 12 h.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// The most sessions at a time; the one idle for longest makes room.
const MOST: usize = 1000;

/// The sessions.
#[derive(Default)]
pub struct Sessions {
    by_key: Mutex<HashMap<String, Session>>,
}

struct Session {
    identity: Identity,
    used: Instant,
    /// Ends what its browsers still follow when it is removed, for whatever reason.
    _left: DropGuard,
}

impl Sessions {
    /// Begins a session; returns the key that the browser keeps.
    pub fn begin(&self, role: Role) -> String {
        let word = match role {
            Role::Operator => "operator (token)",
            Role::Viewer => "viewer (token)",
        };
        let left = CancellationToken::new();
        let session = Session {
            identity: Identity {
                role,
                name: word.to_owned(),
                has_session: true,
                form_key: random_key(),
                left: left.clone(),
            },
            used: Instant::now(),
            _left: left.drop_guard(),
        };
        let key = random_key();
        let mut sessions = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.used.elapsed() < IDLE);
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(key.clone(), session);
        key
    }

    /// Whose session it is, where it has not ended.
    pub fn find(&self, key: &str) -> Option<Identity> {
        let mut sessions = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(key)?;
        if session.used.elapsed() >= IDLE {
            sessions.remove(key);
            return None;
        }
        session.used = Instant::now();
        Some(session.identity.clone())
    }

    /// Ends a session.
    pub fn end(&self, key: &str) {
        let mut sessions = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(key);
    }
}

/// 244 bits that nobody can guess.
pub fn random_key() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_until_it_is_left() {
        let sessions = Sessions::default();
        let key = sessions.begin(Role::Viewer);
        let identity = sessions.find(&key).unwrap();
        assert_eq!(identity.role, Role::Viewer);
        assert!(!identity.left.is_cancelled());
        sessions.end(&key);
        assert!(sessions.find(&key).is_none());
        assert!(identity.left.is_cancelled());
    }

    #[test]
    fn old_sessions_make_room() {
        let sessions = Sessions::default();
        let first = sessions.begin(Role::Viewer);
        let identity = sessions.find(&first).unwrap();
        for _ in 0..MOST {
            sessions.begin(Role::Viewer);
        }
        assert!(sessions.find(&first).is_none());
        assert!(identity.left.is_cancelled());
        assert_eq!(sessions.by_key.lock().unwrap().len(), MOST);
    }
}
