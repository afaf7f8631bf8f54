//! What an action came to, shown on the page it leads to.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::sessions::random_key;

/// The most notices kept; the oldest makes room.
const MOST: usize = 200;

/// The result of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// True where it was done.
    pub is_good: bool,
    /// What happened.
    pub text: String,
}

/// Notices by a key that cannot be guessed: nobody makes up a link that has our
/// page say something.
#[derive(Default)]
pub struct Notices {
    kept: Mutex<VecDeque<(String, Notice)>>,
}

impl Notices {
    /// Keeps a notice; returns its key.
    pub fn keep(&self, notice: Notice) -> String {
        let key = random_key();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back((key.clone(), notice));
        key
    }

    /// The notice of a key; it stays, so that a reload shows it again.
    pub fn find(&self, key: &str) -> Option<Notice> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .find(|(one, _)| one == key)
            .map(|(_, notice)| notice.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_shown_to_who_has_its_key_and_the_oldest_is_forgotten() {
        let notices = Notices::default();
        let notice = Notice {
            is_good: true,
            text: "done".to_owned(),
        };
        let first = notices.keep(notice.clone());
        assert_eq!(notices.find(&first), Some(notice.clone()));
        assert_eq!(notices.find("made up"), None);
        for _ in 0..MOST {
            notices.keep(notice.clone());
        }
        assert_eq!(notices.find(&first), None);
    }
}
