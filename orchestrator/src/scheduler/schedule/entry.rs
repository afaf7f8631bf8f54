//! One subscription: what it waits for, and what follows its ticks.

use std::time::Duration;

use tokio::time::Instant;

use super::{Failure, Ticked};
use message_store_client::database::{Outcome, Started};

/// The first pause after a tick that writers in flight held back.
const HELD_BACK_MIN: Duration = Duration::from_millis(1);
/// The longest of these pauses: each costs the server a look at its locks.
const HELD_BACK_MAX: Duration = Duration::from_millis(50);
/// The pause while another orchestrator ticks the same subscriber.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// A tick of a group that takes longer gets another member's beside it.
const HELP_AFTER: Duration = Duration::from_millis(5);
/// The shortest wait for a retry, should the server's clock have passed it.
const RETRY_MIN: Duration = Duration::from_millis(1);
/// Who found a message within this time is ticked at every wake-up.
const LATELY: Duration = Duration::from_secs(1);
/// A pause longer than this may be ended by a probe.
const PATIENT: Duration = Duration::from_secs(1);

/// A subscription in the schedule.
pub(super) struct Entry {
    pub(super) row: Started,
    pub(super) is_listed: bool,
    /// Waits in `due`.
    pub(super) is_due: bool,
    pub(super) running: usize,
    /// How many ticks may run at once: rises while there is work for them.
    wanted: usize,
    /// The most there can be work for.
    most: usize,
    pub(super) pause: Pause,
    held_back: Duration,
    pub(super) ticked_at: Option<Instant>,
    found_at: Option<Instant>,
}

/// What a subscription that is not due waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// For new messages.
    Wake,
    /// For a moment, and for nothing else.
    Until(Instant),
    /// For a moment or new messages, whichever comes first.
    WakeOrUntil(Instant),
    /// For its running tick to end, for new messages, or for the moment at
    /// which another member's tick is started beside it.
    Help(Instant),
    /// For the next list.
    List,
}

impl Entry {
    /// Due at once. `connections` is the most ticks there can be.
    pub(super) fn new(row: Started, connections: usize) -> Self {
        Self {
            most: most_ticks(&row, connections),
            row,
            is_listed: true,
            is_due: false,
            running: 0,
            wanted: 1,
            pause: Pause::Wake,
            held_back: HELD_BACK_MIN,
            ticked_at: None,
            found_at: None,
        }
    }

    /// Takes a row of the list over; true where that asks for a tick.
    pub(super) fn take_over(&mut self, row: Started, connections: usize) -> bool {
        let is_news = self.row != row || self.pause == Pause::List;
        self.most = most_ticks(&row, connections);
        self.row = row;
        is_news
    }

    /// What follows a tick; true where another one follows at once. Idle is the
    /// proof that everything drawn before it is processed, so only then may a
    /// subscription rely on the next wake-up.
    pub(super) fn finish(
        &mut self,
        ticked: Ticked,
        rest: Duration,
        was_woken: bool,
        now: Instant,
    ) -> bool {
        let Ticked {
            outcome,
            scanned,
            retry_in,
        } = ticked;
        let held_back = std::mem::replace(&mut self.held_back, HELD_BACK_MIN);
        let wanted = std::mem::replace(&mut self.wanted, 1);
        if matches!(outcome, Outcome::Progressed | Outcome::HeldBack) {
            self.found_at = Some(now);
        }
        match outcome {
            // There is more, or another member of its group may find some.
            Outcome::Progressed if scanned >= self.row.batch_size || self.most > 1 => {
                self.wanted = (wanted + 1).min(self.most);
                return true;
            }
            Outcome::Progressed => self.pause = Pause::Until(now + rest),
            Outcome::Idle if was_woken => return true,
            // A retry that another member's tick has asked for stays.
            Outcome::Idle if matches!(self.pause, Pause::WakeOrUntil(_)) => {}
            Outcome::Idle => self.pause = Pause::Wake,
            Outcome::HeldBack => {
                self.pause = Pause::Until(now + held_back);
                self.held_back = (held_back * 2).min(HELD_BACK_MAX);
            }
            Outcome::Busy => self.pause = Pause::Until(now + BUSY_PAUSE),
            Outcome::Retrying => {
                let moment = now + retry_in.unwrap_or_default().max(RETRY_MIN);
                // Only one member of a group waits; the others go on.
                self.pause = match self.row.group_size {
                    ..=1 => Pause::Until(moment),
                    _ => Pause::WakeOrUntil(moment),
                };
            }
            Outcome::Stopped | Outcome::Paused => self.pause = Pause::List,
        }
        false
    }

    /// What follows a tick that raised an error.
    pub(super) fn fail(&mut self, failure: Failure, until: Instant) {
        self.wanted = 1;
        self.pause = match failure {
            Failure::ConnectionLost => Pause::WakeOrUntil(until),
            Failure::Refused => Pause::Until(until),
        };
    }

    /// Where it found nothing lately and had its turn a moment ago, it waits for
    /// the next one; true then.
    pub(super) fn wait_for_turn(&mut self, turn: Duration, now: Instant) -> bool {
        if self.found_lately(now) || self.running > 0 || self.is_due {
            return false;
        }
        let next = self.ticked_at.map(|at| at + turn);
        match next.filter(|next| *next > now) {
            Some(next) => self.pause = Pause::Until(next),
            None => return false,
        }
        true
    }

    /// Whether a tick found a message a moment ago.
    pub(super) fn found_lately(&self, now: Instant) -> bool {
        self.found_at.is_some_and(|at| now - at < LATELY)
    }

    /// A tick has begun: if it lasts, another member's may run beside it.
    pub(super) fn ask_for_help(&mut self, now: Instant) {
        if !self.is_due && self.running < self.most {
            self.pause = Pause::Help(now + HELP_AFTER);
        }
    }

    /// True where it rests, or pauses for long.
    pub(super) fn may_be_probed(&self, now: Instant) -> bool {
        let rests = match self.pause {
            Pause::Wake => true,
            Pause::Until(moment) | Pause::WakeOrUntil(moment) => moment > now + PATIENT,
            Pause::Help(_) | Pause::List => false,
        };
        rests && self.running == 0 && !self.is_due
    }

    /// The same as [`Entry::become_due`], where beside a tick that runs there
    /// may be work for another member.
    pub(super) fn become_due_beside_others(&mut self) -> bool {
        if self.running > 0 {
            self.wanted = self.most.min(self.running + 1);
        }
        self.become_due()
    }

    /// True where it now has to be put into the queue.
    pub(super) fn become_due(&mut self) -> bool {
        self.pause = Pause::Wake;
        if self.is_due || self.running >= self.wanted {
            return false;
        }
        self.is_due = true;
        true
    }
}

fn most_ticks(subscription: &Started, connections: usize) -> usize {
    let members = usize::try_from(subscription.group_size).unwrap_or(1);
    members.clamp(1, connections)
}

impl Pause {
    pub(super) fn moment(self) -> Option<Instant> {
        match self {
            Self::Until(moment) | Self::WakeOrUntil(moment) | Self::Help(moment) => Some(moment),
            Self::Wake | Self::List => None,
        }
    }
}
