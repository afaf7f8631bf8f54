//! What a supervisor such as systemd is told, by the protocol of `sd_notify`: that we are ready, what
//! we are at, that the loop lives, and that we end. Where `NOTIFY_SOCKET` names nobody, nothing is
//! said, and a supervisor that does not listen is no reason to stop.

use std::{future::Future, pin::pin, time::Duration};

use sd_notify::NotifyState;
use tokio::time::interval;

use crate::health::StoreHealth;

/// How often it hears that we live: each second. The unit's `WatchdogSec` is far longer.
const WORD_INTERVAL: Duration = Duration::from_secs(1);

/// What it shows where nothing is missing.
const AT_WORK: &str = "ticking what is started";

/// The configuration can be used, and we listen. The database may be away.
pub fn say_ready() {
    say(&[NotifyState::Ready]);
}

/// The loop that calls this lives. Nothing but a loop may call it: who does not come round, or one of
/// whose loops does not, is restarted.
pub fn say_alive(store: &StoreHealth) {
    store.beat();
    let health = store.all();
    if !health.is_alive() {
        return;
    }
    let missing = health.missing();
    let status = missing.first().map_or(AT_WORK, String::as_str);
    say(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// What runs is finished, and nothing more is begun.
pub fn say_stopping() {
    say(&[NotifyState::Stopping]);
}

/// Says each second that we live, until `beginning` is done, which may wait for a database for hours.
pub async fn alive_during<T>(store: &StoreHealth, beginning: impl Future<Output = T>) -> T {
    let mut beginning = pin!(beginning);
    let mut words = interval(WORD_INTERVAL);
    loop {
        tokio::select! {
            done = &mut beginning => return done,
            _ = words.tick() => say_alive(store),
        }
    }
}

fn say(words: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(words);
}
