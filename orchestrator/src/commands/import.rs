//! `orchestrator import`: a file of messages, a JSON object a line, in transactions of many.

use std::{path::Path, time::Duration};

use indicatif::{HumanCount, ProgressBar};
use tokio_util::sync::CancellationToken;

use super::{progress::progress_bar, target_of};
use crate::{
    cli::ImportArgs,
    count::count_of,
    error::{Error, Result},
    import::{self, Batch, Reading},
    logging::say,
    shutdown,
};
use message_store_client::{
    connection::Target,
    database::{Refused, Session, WriteStatements},
};
use printable::printable;

pub(super) async fn import(args: ImportArgs) -> Result<()> {
    let reading = Reading {
        skip_lines: args.skip_lines,
        keep_going: args.keep_going,
    };
    load(&target_of(&args.database)?, &args.file, reading).await
}

/// Loads a file. Every failure says up to which line it is written.
pub(super) async fn load(target: &Target, file: &Path, reading: Reading) -> Result<()> {
    let (input, length) = import::open(file)?;
    check_order(file, length.is_some(), reading)?;
    let session = Session::connect(target).await?;
    let statements = session.prepare_write().await?;
    let token = shutdown::on_signals(|| {})?;
    let mut batches = import::read_batches(input, reading);
    let mut load = Load {
        session,
        statements,
        keep_going: reading.keep_going,
        progress: progress_bar(length),
        origin: file.display().to_string(),
        lines: reading.skip_lines,
        count: 0,
        left_out: 0,
    };
    while let Some(batch) = batches.recv().await {
        if token.is_cancelled() {
            break;
        }
        load.write(batch).await?;
    }
    load.progress.finish_and_clear();
    load.finish(&token)
}

/// Refuses a file whose lines are not in order before anything is written: once it is sorted, nobody
/// could say which of its lines are written. What cannot be read twice is checked as it is written.
fn check_order(file: &Path, is_file: bool, reading: Reading) -> Result<()> {
    if !is_file || reading.keep_going {
        return Ok(());
    }
    let (mut input, _) = import::open(file)?;
    match import::first_out_of_order(&mut input, reading.skip_lines) {
        None => Ok(()),
        Some(problem) => {
            let origin = format!("{} line {}", file.display(), problem.line);
            Err(import::failure_of(&problem, &origin, reading.skip_lines))
        }
    }
}

/// A load under way.
struct Load {
    session: Session,
    statements: WriteStatements,
    keep_going: bool,
    progress: ProgressBar,
    origin: String,
    /// Everything up to this line is committed, or was left out and said so.
    lines: u64,
    /// Messages of this run that are committed.
    count: u64,
    /// Lines that could not be written.
    left_out: u64,
}

impl Load {
    /// Writes a batch: all of it, or where it may go on, all that can be written.
    async fn write(&mut self, mut batch: Batch) -> Result<()> {
        while !batch.messages.is_empty() {
            let written = self
                .session
                .write_transaction(&self.statements, &batch.messages)
                .await;
            match written {
                Ok(()) => break,
                Err(refused) => self.leave_out(&mut batch, refused)?,
            }
        }
        self.lines = self.lines.max(batch.last_line);
        self.count += batch.messages.len() as u64;
        self.progress.set_position(batch.bytes);
        self.progress.set_message(count_of(self.count, "message"));
        for problem in batch.problems {
            let origin = format!("{} line {}", self.origin, problem.line);
            if !self.keep_going {
                return Err(import::failure_of(&problem, &origin, self.lines));
            }
            self.say_left_out(&origin, &problem.text);
        }
        Ok(())
    }

    /// Takes the message that was refused out of the batch, where that one is known and the load
    /// may go on without it.
    fn leave_out(&mut self, batch: &mut Batch, refused: Refused) -> Result<()> {
        let at = refused
            .index
            .filter(|index| *index < batch.lines.len() && self.keep_going)
            .filter(|_| refused.error.is_of_the_data());
        let Some(index) = at else {
            return Err(self.failure(batch, refused));
        };
        let line = batch.lines.remove(index);
        batch.messages.remove(index);
        let origin = format!("{} line {line}", self.origin);
        self.say_left_out(&origin, &refused.error.to_string());
        Ok(())
    }

    fn say_left_out(&mut self, origin: &str, problem: &str) {
        self.left_out += 1;
        self.progress.suspend(|| {
            say(format_args!(
                "{}: {}; left out",
                printable(origin),
                printable(problem)
            ))
        });
    }

    fn failure(&self, batch: &Batch, refused: Refused) -> Error {
        let line = refused.index.and_then(|index| batch.lines.get(index));
        let first = batch.lines.first().copied().unwrap_or(self.lines);
        let state = import::state(self.lines);
        if refused.error.is_connection_loss() {
            // The server may have committed and failed to say so.
            let unknown = format!(
                "lines {first} to {} may or may not be written: look for one of them with \
                 `orchestrator read`",
                batch.last_line
            );
            return Error::Load {
                origin: self.origin.clone(),
                cause: Box::new(refused.error.into()),
                state: format!("{unknown}; {state}"),
            };
        }
        let origin = match line {
            Some(line) => format!("{} line {line}", self.origin),
            None => format!("{} lines {first} to {}", self.origin, batch.last_line),
        };
        if refused.error.is_of_the_data() {
            return import::failure(&origin, &refused.error.to_string(), self.lines);
        }
        Error::Load {
            origin,
            cause: Box::new(refused.error.into()),
            state,
        }
    }

    fn finish(&self, token: &CancellationToken) -> Result<()> {
        if token.is_cancelled() {
            return Err(Error::Interrupted {
                state: format!(
                    "{} up to line {} is written; go on with --skip-lines {}",
                    self.origin, self.lines, self.lines
                ),
            });
        }
        let elapsed: Duration = self.progress.elapsed();
        let per_second = self.count as f64 / elapsed.as_secs_f64().max(0.001);
        say(format_args!(
            "{} written in {:.1} s ({}/s)",
            count_of(self.count, "message"),
            elapsed.as_secs_f64(),
            HumanCount(per_second as u64)
        ));
        match self.left_out {
            0 => Ok(()),
            left_out => Err(Error::Input {
                origin: self.origin.clone(),
                problem: format!(
                    "{} {} left out, as said above; everything else is written",
                    count_of(left_out, "line"),
                    if left_out == 1 { "was" } else { "were" }
                ),
            }),
        }
    }
}
