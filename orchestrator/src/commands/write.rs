//! `orchestrator write`: one message, or a file of them.

use std::path::Path;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{read::print_line, target_of};
use crate::{
    cli::WriteArgs,
    connection::Target,
    database::{Database, NewMessage, Refused, Session},
    error::{Error, Result},
    import::{self, Batch},
    shutdown,
};

pub(super) async fn write(args: WriteArgs) -> Result<()> {
    let target = target_of(&args.database)?;
    match &args.from {
        Some(file) => load(&target, file, args.skip_lines).await,
        None => {
            let message = one_message(args)?;
            let position = Database::open(&target, 1)?.write_message(&message).await?;
            let written =
                json!({ "id": message.id, "stream": message.stream, "position": position });
            print_line(&written).map(|_| ())
        }
    }
}

fn one_message(args: WriteArgs) -> Result<NewMessage> {
    let bad = |origin: &str, problem: String| Error::Input {
        origin: origin.to_owned(),
        problem: format!("{problem}; nothing is written"),
    };
    let stream = args.stream.unwrap_or_default();
    let message_type = args.message_type.unwrap_or_default();
    import::check_names(&stream, &message_type).map_err(|problem| bad("message", problem))?;
    let data =
        import::parse_json(&args.data).map_err(|problem| bad("DATA is not JSON", problem))?;
    let metadata = args
        .metadata
        .map(|text| {
            import::parse_json(&text).map_err(|problem| bad("--metadata is not JSON", problem))
        })
        .transpose()?;
    Ok(NewMessage {
        id: args.id.unwrap_or_else(Uuid::new_v4).to_string(),
        stream,
        message_type,
        data,
        metadata,
        expected_version: args.expected_version,
    })
}

/// Loads a file. Every failure says up to which line it is written.
async fn load(target: &Target, file: &Path, skip_lines: u64) -> Result<()> {
    let (input, length) = import::open(file)?;
    let session = Session::connect(target).await?;
    let statement = session.prepare_write().await?;
    let token = shutdown::on_signals(|| {})?;
    let progress = progress_bar(length);
    let mut batches = import::read_batches(input, skip_lines);
    let mut written = Written {
        origin: file.display().to_string(),
        lines: skip_lines,
        count: 0,
    };

    while let Some(batch) = batches.recv().await {
        if token.is_cancelled() {
            break;
        }
        if !batch.messages.is_empty() {
            session
                .write_transaction(&statement, &batch.messages)
                .await
                .map_err(|refused| written.refused(&batch, refused))?;
        }
        written.lines = written.lines.max(batch.last_line);
        written.count += batch.messages.len() as u64;
        progress.set_position(batch.bytes);
        progress.set_message(HumanCount(written.count).to_string());
        if let Some(problem) = batch.problem {
            let origin = format!("{} line {}", written.origin, problem.line);
            return Err(import::failure(&origin, &problem.text, written.lines));
        }
    }
    progress.finish_and_clear();
    written.finish(&token, progress.elapsed())
}

/// What is committed so far.
struct Written {
    origin: String,
    /// Everything up to this line.
    lines: u64,
    /// Messages of this run.
    count: u64,
}

impl Written {
    fn refused(&self, batch: &Batch, refused: Refused) -> Error {
        let line = refused.index.and_then(|index| batch.lines.get(index));
        let first = batch.lines.first().copied().unwrap_or(self.lines);
        if refused.error.is_connection_loss() {
            // The server may have committed and failed to say so.
            let problem = format!(
                "{}; lines {first} to {} may or may not be written: look for one of them with \
                 `orchestrator read`",
                refused.error, batch.last_line
            );
            return import::failure(&self.origin, &problem, self.lines);
        }
        let origin = match line {
            Some(line) => format!("{} line {line}", self.origin),
            None => format!("{} lines {first} to {}", self.origin, batch.last_line),
        };
        import::failure(&origin, &refused.error.to_string(), self.lines)
    }

    fn finish(&self, token: &CancellationToken, elapsed: std::time::Duration) -> Result<()> {
        if token.is_cancelled() {
            return Err(Error::Interrupted {
                state: format!(
                    "{} up to line {} is written; go on with --skip-lines {}",
                    self.origin, self.lines, self.lines
                ),
            });
        }
        let per_second = self.count as f64 / elapsed.as_secs_f64().max(0.001);
        eprintln!(
            "{} messages written in {:.1} s ({}/s)",
            HumanCount(self.count),
            elapsed.as_secs_f64(),
            HumanCount(per_second as u64)
        );
        Ok(())
    }
}

/// On standard error, and only where that is a terminal.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:30} {percent:>3} %  {msg} messages  {bytes_per_sec}  {eta} left",
        None => "{spinner} {msg} messages  {bytes} read  {bytes_per_sec}",
    };
    let target = ProgressDrawTarget::stderr_with_hz(5);
    let bar = ProgressBar::with_draw_target(length, target);
    // The templates are ours; a typing error in one would only make the bar plain.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
