//! `orchestrator tail`: the last messages, and with `--follow` each one that comes.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    pipe,
    read::print_line,
    reader::{Reader, Types},
    target_of,
};
use crate::{cli::TailArgs, config::Delivery, error::Result, retry::Retry, shutdown};
use message_store_client::database::{Database, Session};

/// What was drawn is looked for again after pauses that double from the first to the second: a
/// message is drawn before it is committed.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn tail(args: TailArgs) -> Result<()> {
    let target = target_of(&args.database)?;
    let database = Database::open(&target, 1)?;
    let source = database.source(&args.name).await?;
    let count = i64::try_from(args.count).unwrap_or(i64::MAX);
    let start = database.start_of_last(&source, &args.types, count).await?;
    let mut tail = Tail {
        reader: Reader::new(database.clone(), source, Some(start)),
        types: Types(args.types),
    };
    if !args.follow {
        return tokio::select! {
            printed = tail.print_to_the_end() => printed.map(|_| ()),
            () = pipe::reader_left() => Ok(()),
        };
    }
    let shutdown = shutdown::on_signals(|| {})?;
    let mut retry = Retry::new(&Delivery::default());
    while let Err(error) = tail.follow(&database, &mut retry, &shutdown).await {
        if !error.is_connection_loss() {
            return Err(error);
        }
        if retry.is_fresh() {
            super::say_that_it_is_tried_again(&error);
        }
        tokio::select! {
            () = sleep(retry.next_pause()) => {}
            () = shutdown.cancelled() => break,
            () = pipe::reader_left() => break,
        }
    }
    Ok(())
}

/// How the printing ended.
#[derive(PartialEq, Eq)]
enum Printed {
    /// All there is.
    All { is_any: bool },
    /// The reader of our output has gone, as `head` does.
    Unwanted,
}

struct Tail {
    reader: Reader,
    types: Types,
}

impl Tail {
    async fn print_to_the_end(&mut self) -> Result<Printed> {
        let mut is_any = false;
        loop {
            let messages = self.reader.next_batch().await?;
            if messages.is_empty() {
                return Ok(Printed::All { is_any });
            }
            is_any = true;
            for message in &messages {
                if self.types.want(message) && !print_line(message)? {
                    return Ok(Printed::Unwanted);
                }
            }
        }
    }

    /// Prints what comes, until shutdown or until nobody reads it.
    async fn follow(
        &mut self,
        database: &Database,
        retry: &mut Retry,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        let session: Session = tokio::select! {
            session = database.session() => session?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let (mut drawn, mut pause) = (0, SHORTEST_PAUSE);
        loop {
            let printed = tokio::select! {
                printed = self.print_to_the_end() => printed?,
                () = shutdown.cancelled() => return Ok(()),
                () = pipe::reader_left() => return Ok(()),
            };
            retry.reset();
            match printed {
                Printed::Unwanted => return Ok(()),
                Printed::All { is_any: true } => pause = SHORTEST_PAUSE,
                Printed::All { is_any: false } => pause = (pause * 2).min(LONGEST_PAUSE),
            }
            let last = tokio::select! {
                last = session.wait_for_messages(drawn, pause) => last?,
                () = shutdown.cancelled() => {
                    session.cancel().await;
                    return Ok(());
                }
                () = pipe::reader_left() => {
                    session.cancel().await;
                    return Ok(());
                }
            };
            if last != drawn {
                (drawn, pause) = (last, SHORTEST_PAUSE);
            }
        }
    }
}
