//! Signals: the first asks for a clean end, the second is obeyed at once.

use std::process::exit;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::error::{Error, Result};

/// The exit code after a second signal, as shells show an interrupted program.
pub const EXIT_AT_ONCE: i32 = 130;

/// Returns a token that Ctrl-C, SIGTERM or SIGHUP cancels. At a second signal
/// `last_act` runs (it must not block) and the program exits with code 130.
///
/// # Errors
/// [`Error::Io`] where the signal handlers cannot be installed.
pub fn on_signals(last_act: impl Fn() + Send + 'static) -> Result<CancellationToken> {
    let listen = |kind| signal(kind).map_err(Error::io("listen for signals"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                Some(()) = interrupt.recv() => "SIGINT",
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = hangup.recv() => "SIGHUP",
                else => return,
            };
            if shutdown.is_cancelled() {
                last_act();
                exit(EXIT_AT_ONCE);
            }
            info!("{name}: finishing what runs; once more exits at once");
            shutdown.cancel();
        }
    });
    Ok(token)
}
