//! Reading a source batch by batch, up to where it ends now.

use crate::{
    database::{Database, Source, StoredMessage},
    error::Result,
};

/// Messages asked for at a time.
const BATCH_SIZE: i64 = 1000;

/// Reads on from a position.
pub(super) struct Reader {
    database: Database,
    source: Source,
    /// Where the next batch begins; none behind the last position there can be.
    position: Option<i64>,
}

impl Reader {
    /// From a position on, else from the first.
    pub(super) fn new(database: Database, source: Source, position: Option<i64>) -> Self {
        let first = match source {
            Source::Stream(_) => 0,
            Source::Category(_) | Source::All => 1,
        };
        Self {
            database,
            source,
            position: Some(position.unwrap_or(first)),
        }
    }

    /// The next messages; none where there are no more at present.
    pub(super) async fn next_batch(&mut self) -> Result<Vec<StoredMessage>> {
        self.next_batch_of(BATCH_SIZE).await
    }

    /// The same, at most so many and at most [`BATCH_SIZE`].
    pub(super) async fn next_batch_of(&mut self, most: i64) -> Result<Vec<StoredMessage>> {
        let Some(position) = self.position else {
            return Ok(Vec::new());
        };
        let batch_size = most.min(BATCH_SIZE);
        let messages = self
            .database
            .read_messages(&self.source, position, batch_size)
            .await?;
        if let Some(last) = messages.last() {
            let read_to = match self.source {
                Source::Stream(_) => last.position,
                Source::Category(_) | Source::All => last.global_position,
            };
            self.position = read_to.checked_add(1);
        }
        Ok(messages)
    }
}

/// A stream's name has a dash; `$all` is everything; the rest are categories.
pub(super) fn source_of(name: &str) -> Source {
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
        let stream = |name: &str| Source::Stream(name.to_owned());
        let category = |name: &str| Source::Category(name.to_owned());
        assert_eq!(source_of("viewings-1"), stream("viewings-1"));
        assert_eq!(source_of("viewings"), category("viewings"));
        assert_eq!(source_of("identity:command"), category("identity:command"));
        assert_eq!(source_of("$all"), Source::All);
    }
}
