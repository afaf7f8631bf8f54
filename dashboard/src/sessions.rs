//! Who has typed a token: kept in memory, gone with the process.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::identity::{Identity, Role};

/// How long a session lasts without a request: 12 h.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// The most sessions of a role at a time; of these, the one idle for longest makes room.
const MOST: usize = 1000;
/// The most of them that began from one address, which makes room for its own only.
const MOST_OF_ADDRESS: usize = 100;

/// The sessions.
#[derive(Default)]
pub struct Sessions {
    by_key: Mutex<HashMap<String, Session>>,
}

struct Session {
    identity: Identity,
    address: IpAddr,
    used: Instant,
    /// Ends what its browsers still follow when it is removed, for whatever reason.
    _left: DropGuard,
}

impl Sessions {
    /// Begins a session; returns the key that the browser keeps.
    pub fn begin(&self, role: Role, address: IpAddr) -> String {
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
                database: Arc::default(),
                form_key: random_key(),
                left: left.clone(),
            },
            address,
            used: Instant::now(),
            _left: left.drop_guard(),
        };
        let key = random_key();
        let mut sessions = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.used.elapsed() < IDLE);
        let is_of_role = |one: &Session| one.identity.role == role;
        make_room(&mut sessions, MOST_OF_ADDRESS, |one| {
            is_of_role(one) && one.address == address
        });
        make_room(&mut sessions, MOST, is_of_role);
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

/// Where there are as many sessions of a kind as there may be, ends the one idle for longest.
fn make_room(
    sessions: &mut HashMap<String, Session>,
    most: usize,
    is_of_kind: impl Fn(&Session) -> bool,
) {
    let of_kind = || sessions.iter().filter(|(_, one)| is_of_kind(one));
    if of_kind().count() >= most {
        let oldest = of_kind().min_by_key(|(_, one)| one.used);
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            sessions.remove(&oldest);
        }
    }
}

/// 244 bits that nobody can guess.
pub fn random_key() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: usize) -> IpAddr {
        IpAddr::from([192, 0, 2, u8::try_from(last).unwrap()])
    }

    #[test]
    fn a_session_lasts_until_it_is_left() {
        let sessions = Sessions::default();
        let key = sessions.begin(Role::Viewer, address(1));
        let identity = sessions.find(&key).unwrap();
        assert_eq!(identity.role, Role::Viewer);
        assert!(!identity.left.is_cancelled());
        sessions.end(&key);
        assert!(sessions.find(&key).is_none());
        assert!(identity.left.is_cancelled());
    }

    #[test]
    fn an_address_makes_room_for_its_own_sessions_only() {
        let sessions = Sessions::default();
        let operator = sessions.begin(Role::Operator, address(1));
        let other = sessions.begin(Role::Viewer, address(2));
        let first = sessions.begin(Role::Viewer, address(1));
        let identity = sessions.find(&first).unwrap();
        for _ in 0..MOST_OF_ADDRESS {
            sessions.begin(Role::Viewer, address(1));
        }
        assert!(sessions.find(&first).is_none());
        assert!(identity.left.is_cancelled());
        assert!(sessions.find(&other).is_some());
        assert!(sessions.find(&operator).is_some());
        assert_eq!(sessions.by_key.lock().unwrap().len(), MOST_OF_ADDRESS + 2);
    }

    #[test]
    fn viewers_of_many_addresses_sign_no_operator_out() {
        let sessions = Sessions::default();
        let operator = sessions.begin(Role::Operator, address(1));
        for number in 0..=MOST {
            sessions.begin(Role::Viewer, address(number % 250));
        }
        assert!(sessions.find(&operator).is_some());
        assert_eq!(sessions.by_key.lock().unwrap().len(), MOST + 1);
    }
}
