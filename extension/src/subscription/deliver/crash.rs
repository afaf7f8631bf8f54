//! A handler that takes its server process with it is found out.
//!
//! Such a handler leaves no error: its tick began and never ended. So before each call of a
//! handler a tick notes in a small file which messages it calls it with, and takes the note away
//! when it ends, whatever way it ends. A note that is still there belongs to a process that was
//! killed. The file is written without flushing it: it outlives processes, and a machine that
//! loses power had no fault of a handler's.
//!
//! The crash of one process ends all others of the server, so the first time a note is found says
//! little. But suspects are then called one by one, and one at a time in the whole cluster: who is
//! noted again is the culprit. A server that was stopped meanwhile had its own reasons, a few times.

use crate::consumer_group::hash_64;
use crate::pg::exit;
use crate::pg::lock::Tag;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Where PostgreSQL keeps statistics of the moment; backups leave it out.
const FOLDER: &str = "pg_stat_tmp";
/// Unclean ends at one message that was called as the only suspect, while the server ran on, that
/// convict it.
const PROOF: u32 = 1;
/// Unclean ends at one message that convict it even where the server was stopped each time.
const PROOF_ACROSS_RESTARTS: u32 = 5;

/// Held by whoever calls suspects.
const SUSPECTS: Tag = Tag {
    high: 0,
    low: 0,
    class: 0x4C43,
};

/// What a file says: which messages a handler is or was called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    is_running: bool,
    /// Whether no other suspect was called meanwhile.
    is_alone: bool,
    first: i64,
    last: i64,
    strikes: u32,
    server: i64,
}

impl Note {
    fn to_text(self) -> String {
        let Self {
            is_running,
            is_alone,
            first,
            last,
            strikes,
            server,
        } = self;
        let (is_running, is_alone) = (u8::from(is_running), u8::from(is_alone));
        format!("{is_running} {is_alone} {first} {last} {strikes} {server}")
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(str::parse::<i64>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            is_running: next()? != 0,
            is_alone: next()? != 0,
            first: next()?,
            last: next()?,
            strikes: u32::try_from(next()?).ok()?,
            server: next()?,
        })
    }
}

/// Messages that a process died with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspects {
    /// The first one's global position.
    pub first: i64,
    /// The last one's.
    pub last: i64,
    strikes: u32,
    is_proven: bool,
}

impl Suspects {
    /// Whether a message is one of them: it is called alone.
    pub fn contain(&self, position: i64) -> bool {
        (self.first..=self.last).contains(&position)
    }

    /// The message that is proven to kill the process of its handler.
    pub fn culprit(&self) -> Option<i64> {
        self.is_proven.then_some(self.first)
    }

    fn of(note: Note, server: i64) -> Self {
        let strikes = note.strikes + u32::from(note.is_running && note.is_alone);
        let is_single = note.first == note.last;
        let needed = if note.server == server {
            PROOF
        } else {
            PROOF_ACROSS_RESTARTS
        };
        Self {
            first: note.first,
            last: note.last,
            strikes,
            is_proven: is_single && strikes >= needed,
        }
    }
}

thread_local! {
    /// The notes of this session's running ticks, to be taken away when it ends in order.
    static OPEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of a file: a note, padded with spaces so that a shorter one covers a longer one.
const NOTE_LENGTH: usize = 96;

/// Writes a note over the one before. Where it cannot be written a crash would go unseen, as
/// without this module; no reason to fail.
fn put(file: &File, text: &str) {
    let _: io::Result<()> = file.write_all_at(format!("{text:NOTE_LENGTH$}").as_bytes(), 0);
}

fn open(path: &str) -> Option<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.open(path).ok()
}

/// The notes of one tick.
pub struct Watch {
    path: String,
    file: Option<File>,
    server: i64,
    suspects: Option<Suspects>,
    done_until: i64,
}

impl Watch {
    /// Begins to watch the tick of a member; the caller holds its progress.
    pub fn begin(database: u32, subscriber_id: &str, member: i64) -> Self {
        let subscription = hash_64(subscriber_id.as_bytes()) as u64;
        let path = format!("{FOLDER}/message_store.{database}.{subscription:016x}.{member}");
        let server = exit::server_incarnation();
        let suspects = fs::read_to_string(&path)
            .ok()
            .and_then(|text| Note::from_text(&text))
            .map(|note| Suspects::of(note, server));
        exit::before_end(take_away_all);
        OPEN.with_borrow_mut(|open| open.push(path.clone()));
        Self {
            path,
            file: None,
            server,
            suspects,
            done_until: 0,
        }
    }

    /// Whom an earlier tick died with.
    pub fn suspects(&self) -> Option<Suspects> {
        self.suspects
    }

    /// Whether this tick may go on: suspects are called one at a time, until the transaction ends.
    pub fn may_call(&self) -> bool {
        self.suspects.is_none() || SUSPECTS.try_in_cluster_until_end()
    }

    /// Notes that a handler is about to be called with these messages.
    pub fn note(&mut self, first: i64, last: i64) {
        let strikes = match self.suspects {
            Some(suspects) if suspects.first == first && suspects.last == last => suspects.strikes,
            _ => 0,
        };
        let is_suspect = self
            .suspects
            .is_some_and(|suspects| suspects.contain(first));
        let note = Note {
            is_running: true,
            is_alone: is_suspect,
            first,
            last,
            strikes,
            server: self.server,
        };
        if self.file.is_none() {
            self.file = open(&self.path);
        }
        if let Some(file) = &self.file {
            put(file, &note.to_text());
        }
    }

    /// Messages up to here are dealt with, for good or ill.
    pub fn done(&mut self, position: i64) {
        self.done_until = self.done_until.max(position);
    }
}

impl Drop for Watch {
    /// The tick ends, also with an error. Suspects that it did not come to stay suspect.
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| open.retain(|path| *path != self.path));
        let left = self
            .suspects
            .filter(|suspects| suspects.last > self.done_until);
        let note = left.map(|suspects| Note {
            is_running: false,
            is_alone: false,
            first: suspects.first.max(self.done_until + 1),
            last: suspects.last,
            strikes: suspects.strikes,
            server: self.server,
        });
        let is_noted = self.file.is_some() || self.suspects.is_some();
        let file = match self.file.take() {
            None if is_noted => open(&self.path),
            file => file,
        };
        if let Some(file) = file {
            put(&file, &note.map_or_else(String::new, Note::to_text));
        }
    }
}

fn take_away_all() {
    OPEN.with_borrow(|paths| {
        for path in paths {
            if let Some(file) = open(path) {
                put(&file, "");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: Note = Note {
        is_running: true,
        is_alone: true,
        first: 7,
        last: 7,
        strikes: 0,
        server: 99,
    };

    #[test]
    fn a_note_is_read_as_it_was_written() {
        assert_eq!(Note::from_text(&NOTE.to_text()), Some(NOTE));
        assert_eq!(Note::from_text(""), None);
        assert_eq!(Note::from_text("1 2"), None);
    }

    #[test]
    fn who_died_among_others_is_suspect_and_who_died_alone_is_the_culprit() {
        let among_others = Note {
            is_alone: false,
            ..NOTE
        };
        assert_eq!(Suspects::of(among_others, 99).culprit(), None);
        assert_eq!(Suspects::of(NOTE, 99).culprit(), Some(7));
    }

    #[test]
    fn who_was_not_being_called_gets_no_strike() {
        let resting = Note {
            is_running: false,
            ..NOTE
        };
        assert_eq!(Suspects::of(resting, 99).culprit(), None);
    }

    #[test]
    fn a_stopped_server_convicts_nobody_at_once() {
        let again = Note { strikes: 1, ..NOTE };
        assert_eq!(Suspects::of(again, 100).culprit(), None);
        let often = Note { strikes: 4, ..NOTE };
        assert_eq!(Suspects::of(often, 100).culprit(), Some(7));
    }

    #[test]
    fn a_run_is_never_a_culprit() {
        let run = Note {
            last: 9,
            strikes: 8,
            ..NOTE
        };
        assert_eq!(Suspects::of(run, 99).culprit(), None);
        let suspects = Suspects::of(run, 99);
        let contained: Vec<i64> = (6..11).filter(|at| suspects.contain(*at)).collect();
        assert_eq!(contained, [7, 8, 9]);
    }
}
