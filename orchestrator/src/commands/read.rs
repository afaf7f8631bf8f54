//! `orchestrator read`: messages as JSON lines.

use std::io::{ErrorKind, Write, stdout};

use serde::Serialize;

use super::{
    pipe::reader_left,
    reader::{Reader, Types},
    target_of,
};
use crate::{
    cli::ReadArgs,
    error::{Error, Result},
};
use message_store_client::database::Database;
use printable::printable;

pub(super) async fn read(args: ReadArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let source = database.source(&args.name).await?;
    let mut reader =
        Reader::from_kept(database, source, args.position, args.epoch.as_ref()).await?;
    let types = Types(args.types);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        // A filter may leave nothing of a batch that is cut to what is left.
        let most = match types.are_all() {
            true => i64::try_from(left).unwrap_or(i64::MAX),
            false => i64::MAX,
        };
        // A filter may find nothing for long.
        let messages = tokio::select! {
            messages = reader.next_batch_of(most) => messages?,
            () = reader_left() => return Ok(()),
        };
        if messages.is_empty() {
            break;
        }
        for message in &messages {
            if types.want(message) && left > 0 {
                if !print_line(message)? {
                    return Ok(());
                }
                left -= 1;
            }
        }
    }
    Ok(())
}

/// Prints one line; false where the reader of our output has gone, as `head` does.
pub(super) fn print_line(value: &impl Serialize) -> Result<bool> {
    print_bytes(&json_line(value)?)
}

/// The same for what is printable as it is.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<bool> {
    match stdout().write_all(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written
            .map(|()| true)
            .map_err(Error::io("write to standard output")),
    }
}

/// A value as one line of JSON.
pub(super) fn json_line(value: &impl Serialize) -> Result<Vec<u8>> {
    let line =
        serde_json::to_string(value).map_err(|error| Error::io("print a message")(error.into()))?;
    let mut line = printable(&line).into_owned().into_bytes();
    line.push(b'\n');
    Ok(line)
}
