//! `orchestrator export`: messages as JSON lines, into a file or a pipe, as `import` takes them.

use std::time::Duration;

use super::{
    output::Output,
    progress::{position_bar, progress_bar},
    read::json_line,
    reader::{Reader, Types},
    target_of,
};
use crate::{cli::ExportArgs, count::count_of, error::Result, logging::say};
use message_store_client::database::{Database, Session, Source};

/// Where a reading of the last position answers at once.
const NOT_WAITING: Duration = Duration::ZERO;

pub(super) async fn export(args: ExportArgs) -> Result<()> {
    let target = target_of(&args.database)?;
    let database = Database::open(&target, 1)?;
    let source = database.source(&args.name).await?;
    // Every position is below the first one; so the answer is what the last one is.
    let last = match source {
        Source::Stream(_) => None,
        Source::Category(_) | Source::All => {
            let session = Session::connect(&target).await?;
            let last = session.wait_for_messages(-1, NOT_WAITING).await?;
            u64::try_from(last).ok()
        }
    };
    let progress = last.map_or_else(|| progress_bar(None), position_bar);
    let mut reader =
        Reader::from_kept(database, source, args.position, args.epoch.as_ref()).await?;
    let mut output = Output::open(args.output.as_deref())?;
    let types = Types(args.types);
    let mut count = 0;
    loop {
        let messages = tokio::select! {
            messages = reader.next_batch() => messages?,
            () = output.reader_left() => return Ok(()),
        };
        let Some(newest) = messages.last() else {
            break;
        };
        if last.is_some() {
            progress.set_position(newest.global_position.unsigned_abs());
        }
        for message in &messages {
            if types.want(message) {
                if !output.write(&json_line(message)?)? {
                    return Ok(());
                }
                count += 1;
            }
        }
        progress.set_message(count_of(count, "message"));
    }
    output.finish()?;
    progress.finish_and_clear();
    say(format_args!("{} exported", count_of(count, "message")));
    Ok(())
}
