//! What a person should hear of: each trouble once, its end once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tracing::{debug, error, info, warn};

use super::schedule::Changes;
use message_store_client::{
    Error,
    database::{ErrorDetails, Outcome, Tick},
};

use crate::{config::Delivery as Pace, retry::Retry};

/// How much longer than its retry takes a trouble must have been silent before
/// another member's success counts as its end.
const SILENCE: Duration = Duration::from_secs(1);

/// Who is in trouble, and of which kind.
pub struct Journal {
    pace: Pace,
    /// The members of each group: one may be well while another is not.
    groups: HashMap<Arc<str>, i64>,
    troubles: HashMap<Arc<str>, Entry>,
    unlisted: String,
}

struct Entry {
    said: String,
    silent_after: Option<Instant>,
    retry: Retry,
}

impl Journal {
    /// One that knows nobody.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            groups: HashMap::new(),
            troubles: HashMap::new(),
            unlisted: String::new(),
        }
    }

    /// Says who came and who went.
    pub fn listed(&mut self, changes: &Changes) {
        self.unlisted.clear();
        for row in &changes.added {
            info!(
                subscriber_id = row.subscriber_id,
                source = row.source,
                "delivering"
            );
            let id: Arc<str> = row.subscriber_id.as_str().into();
            self.groups.insert(id, row.group_size);
        }
        for id in &changes.removed {
            info!(
                subscriber_id = &**id,
                "no longer delivering: paused, stopped or dropped"
            );
            self.groups.remove(id);
            self.troubles.remove(id);
        }
    }

    /// Says that the list could not be had, once for each cause.
    pub fn unlisted(&mut self, error: &Error) {
        let cause = error.to_string();
        // The waiter says it once for all when the database is away.
        if error.is_connection_loss() || cause == self.unlisted {
            debug!("{cause}");
        } else {
            error!("{cause}; will ask again every second");
            self.unlisted = cause;
        }
    }

    /// Says what a tick found, where it is news.
    pub fn ticked(&mut self, id: &Arc<str>, tick: &Tick, now: Instant) {
        debug!(
            subscriber_id = &**id,
            outcome = ?tick.outcome,
            scanned = tick.scanned,
            handled = tick.handled,
            position = tick.position,
            "tick"
        );
        self.parked(id, tick);
        match (tick.outcome, &tick.trouble) {
            (Outcome::Retrying, Some(trouble)) => {
                let message = first_line(&trouble.error);
                let until = now + trouble.retry_in.unwrap_or_default() + SILENCE;
                let what = format!("retrying {} {message}", trouble.sqlstate);
                if self.is_news(id, what, Some(until)) {
                    warn!(
                        subscriber_id = &**id,
                        position = tick.position,
                        sqlstate = trouble.sqlstate,
                        retry_at = trouble.retry_at,
                        details = details(&trouble.error_details),
                        "handler failed, will try again: {message}"
                    );
                }
            }
            (Outcome::Stopped, Some(trouble)) => {
                let message = first_line(&trouble.error);
                if self.is_news(id, format!("stopped {} {message}", trouble.sqlstate), None) {
                    error!(
                        subscriber_id = &**id,
                        position = tick.position,
                        sqlstate = trouble.sqlstate,
                        details = details(&trouble.error_details),
                        "stopped by a failure; repair it, then start it again: {message}"
                    );
                }
            }
            (Outcome::Progressed | Outcome::Idle, _) => self.recovered(id, tick.position, now),
            _ => {}
        }
    }

    /// Each message that was parked since its handler failed, and how many there are in all.
    fn parked(&self, id: &Arc<str>, tick: &Tick) {
        for message in &tick.failed {
            warn!(
                subscriber_id = &**id,
                position = message.position,
                r#type = message.message_type,
                stream_name = message.stream_name,
                sqlstate = message.sqlstate,
                details = details(&message.error_details),
                "message was parked: {}",
                first_line(&message.error)
            );
        }
        if tick.parked > 0 {
            warn!(
                subscriber_id = &**id,
                parked = tick.parked,
                "messages were parked, with those that wait behind them"
            );
        }
    }

    /// Says that a tick was refused, where it is news; returns how long to
    /// pause before the next.
    pub fn failed(&mut self, id: &Arc<str>, error: &Error) -> Duration {
        let cause = error.to_string();
        // The waiter says once for all that the database is away, and the scheduler that it takes no
        // writes.
        if error.is_connection_loss() || is_gone(error) {
            debug!(subscriber_id = &**id, "not delivering: {cause}");
        } else if self.is_news(id, cause, None) {
            warn!(
                subscriber_id = &**id,
                "cannot be ticked, will try again: {error}"
            );
        }
        self.entry(id).retry.next_pause()
    }

    fn entry(&mut self, id: &Arc<str>) -> &mut Entry {
        self.troubles.entry(id.clone()).or_insert_with(|| Entry {
            said: String::new(),
            silent_after: None,
            retry: Retry::new(&self.pace),
        })
    }

    fn is_news(&mut self, id: &Arc<str>, what: String, silent_after: Option<Instant>) -> bool {
        let entry = self.entry(id);
        entry.silent_after = silent_after;
        let is_news = entry.said != what;
        entry.said = what;
        is_news
    }

    fn recovered(&mut self, id: &Arc<str>, position: i64, now: Instant) {
        let Some(entry) = self.troubles.get(id) else {
            return;
        };
        let is_group = self.groups.get(id).is_some_and(|size| *size > 1);
        if is_group && entry.silent_after.is_some_and(|moment| now < moment) {
            return;
        }
        if !entry.said.is_empty() {
            info!(subscriber_id = &**id, position, "delivering again");
        }
        self.troubles.remove(id);
    }
}

/// Of a subscription that was dropped, or a copy that was promoted, since the list was made: the next
/// list says that it is gone.
fn is_gone(error: &Error) -> bool {
    error.sql_state() == Some(&SqlState::UNDEFINED_OBJECT)
}

fn first_line(error: &str) -> &str {
    error.lines().next().unwrap_or_default()
}

/// What an error said besides, on one line.
fn details(details: &ErrorDetails) -> Option<String> {
    let parts: Vec<_> = details
        .parts()
        .map(|(name, part)| format!("{name}: {}", part.replace('\n', "; ")))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
