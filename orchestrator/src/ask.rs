//! Asks the database until it answers: it may be away for hours, at boot too.

use std::{future::Future, time::Duration};

use message_store_client::{Error, Result};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{config::Delivery as Pace, retry::Retry};

/// How long the database may take to answer a question of the beginning.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer, or an error that may not pass; none at shutdown.
pub async fn until_answered<T, Answer: Future<Output = Result<T>>>(
    question: impl Fn() -> Answer,
    may_pass: impl Fn(&Error) -> bool,
    pace: &Pace,
    shutdown: &CancellationToken,
) -> Option<Result<T>> {
    let mut retry = Retry::new(pace);
    loop {
        let answer = tokio::select! {
            answer = timeout(PATIENCE, question()) => answer.unwrap_or_else(|_| {
                Err(Error::no_answer("the database", PATIENCE))
            }),
            () = shutdown.cancelled() => return None,
        };
        let error = match answer {
            Err(error) if may_pass(&error) => error,
            settled => return Some(settled),
        };
        let pause = retry.next_pause();
        warn!(
            pause_ms = pause.as_millis() as u64,
            "waiting for the database: {error}"
        );
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.cancelled() => return None,
        }
    }
}
