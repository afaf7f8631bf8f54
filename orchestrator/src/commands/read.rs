//! `orchestrator read`: messages as JSON lines.

use std::io::{ErrorKind, Write, stdout};

use serde::Serialize;

use super::target_of;
use crate::{
    cli::ReadArgs,
    database::{Database, Source},
    error::{Error, Result},
};

/// Messages asked for at a time.
const BATCH_SIZE: u64 = 1000;

pub(super) async fn read(args: ReadArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let source = source_of(&args.name);
    let first = if matches!(source, Source::Stream(_)) {
        0
    } else {
        1
    };
    let mut position = args.position.unwrap_or(first);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let batch_size = left.min(BATCH_SIZE).cast_signed();
        let messages = database
            .read_messages(&source, position, batch_size)
            .await?;
        for message in &messages {
            if !print_line(message)? {
                return Ok(());
            }
        }
        let count = messages.len() as u64;
        let Some(last) = messages
            .last()
            .filter(|_| count == batch_size.cast_unsigned())
        else {
            break;
        };
        let read_to = match source {
            Source::Stream(_) => last.position,
            Source::Category(_) | Source::All => last.global_position,
        };
        // Nothing can follow the last position there is.
        let Some(next) = read_to.checked_add(1) else {
            break;
        };
        position = next;
        left -= count;
    }
    Ok(())
}

/// Prints one line; false where the reader of our output has gone, as `head` does.
pub(super) fn print_line(value: &impl Serialize) -> Result<bool> {
    let mut line =
        serde_json::to_vec(value).map_err(|error| Error::io("print a message")(error.into()))?;
    line.push(b'\n');
    match stdout().write_all(&line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written
            .map(|()| true)
            .map_err(Error::io("write to standard output")),
    }
}

fn source_of(name: &str) -> Source {
    match name {
        "$all" => Source::All,
        name if name.contains('-') => Source::Stream(name.to_owned()),
        name => Source::Category(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dash_is_a_stream() {
        assert_eq!(
            source_of("viewings-1"),
            Source::Stream("viewings-1".to_owned())
        );
        assert_eq!(
            source_of("viewings"),
            Source::Category("viewings".to_owned())
        );
        assert_eq!(
            source_of("identity:command"),
            Source::Category("identity:command".to_owned())
        );
        assert_eq!(source_of("$all"), Source::All);
    }
}
