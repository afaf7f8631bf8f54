//! `orchestrator delete`: messages for good, archived first where that is asked for.

use std::path::Path;

use super::{confirm::confirm, output::Output, read::json_line, reader::Reader, target_of};
use crate::{
    cli::DeleteArgs,
    count::count_of,
    error::{Error, Result},
    logging::say,
    shutdown,
};
use message_store_client::database::{Database, Deletion, Source};

pub(super) async fn delete(args: DeleteArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let source = database.source(&args.name).await?;
    let mut deletion = deletion(&args, &source)?;
    confirm(&format!("This deletes messages of {} for good", args.name))?;
    if let Some(file) = &args.archive {
        match archive(&database, source, &deletion, file).await? {
            None => return Ok(()),
            Some(archived) => deletion = archived,
        }
    }
    let token = shutdown::on_signals(|| {})?;
    let mut deleted = 0;
    loop {
        let now = database
            .delete(&deletion, &args.reason, args.may_skip, args.batch_size)
            .await?;
        deleted += now;
        let count = count_of(deleted.unsigned_abs(), "message");
        if now < args.batch_size {
            say(format_args!("{count} deleted"));
            return Ok(());
        }
        if token.is_cancelled() {
            return Err(Error::Interrupted {
                state: format!("{count} deleted; the same command goes on"),
            });
        }
    }
}

/// What the arguments mean.
fn deletion(args: &DeleteArgs, source: &Source) -> Result<Deletion> {
    let refused = |problem: &str, repair| {
        Err(Error::Refused {
            problem: problem.to_owned(),
            repair,
        })
    };
    match (source, args.before_position, &args.before_time) {
        (Source::All, _, _) => refused(
            "$all is not deleted as a whole",
            "Name a stream, or a category with --before-position or --before-time.",
        ),
        (Source::Stream(_), _, Some(_)) => refused(
            "--before-time goes with a category",
            "Give a stream --before-position, or nothing to delete all of it.",
        ),
        (Source::Stream(name), before, None) => Ok(Deletion::Stream {
            name: name.clone(),
            before,
            restart: args.restart,
        }),
        (Source::Category(_), _, _) if args.restart => refused(
            "--restart goes with a stream",
            "Leave it out: streams of a category keep their versions.",
        ),
        (Source::Category(name), Some(position), _) => Ok(Deletion::CategoryBefore {
            name: name.clone(),
            position,
        }),
        (Source::Category(name), None, Some(time)) => Ok(Deletion::CategoryBeforeTime {
            name: name.clone(),
            time: time.clone(),
        }),
        (Source::Category(_), None, None) => refused(
            "a category is deleted up to somewhere",
            "Give --before-position or --before-time.",
        ),
    }
}

/// Writes what is to be deleted into a file; returns the deletion of just that, or nothing where there
/// is nothing.
async fn archive(
    database: &Database,
    source: Source,
    deletion: &Deletion,
    file: &Path,
) -> Result<Option<Deletion>> {
    let time = match deletion {
        Deletion::CategoryBeforeTime { time, .. } => Some(database.time_of_message(time).await?),
        _ => None,
    };
    let mut reader = Reader::new(database.clone(), source, None);
    let mut output = Output::open(Some(file))?;
    let (mut count, mut last) = (0, None);
    'batches: loop {
        let messages = reader.next_batch().await?;
        if messages.is_empty() {
            break;
        }
        for message in &messages {
            let stays = match deletion {
                Deletion::Stream { before, .. } => {
                    before.is_some_and(|before| message.position >= before)
                }
                Deletion::CategoryBefore { position, .. } => message.global_position >= *position,
                Deletion::CategoryBeforeTime { .. } => Some(&message.time) >= time.as_ref(),
            };
            if stays {
                break 'batches;
            }
            output.write(&json_line(message)?)?;
            count += 1;
            last = Some((message.position, message.global_position));
        }
    }
    output.finish()?;
    say(format_args!(
        "{} archived in {}",
        count_of(count, "message"),
        file.display()
    ));
    let deletion = last.map(|(position, global_position)| match deletion {
        Deletion::Stream { name, .. } => Deletion::Stream {
            name: name.clone(),
            // Of the whole stream, what was written since stays.
            before: Some(position + 1),
            restart: false,
        },
        Deletion::CategoryBefore { name, .. } | Deletion::CategoryBeforeTime { name, .. } => {
            Deletion::CategoryBefore {
                name: name.clone(),
                position: global_position + 1,
            }
        }
    });
    Ok(deletion)
}
