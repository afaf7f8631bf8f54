//! Reading a source batch by batch, up to where it ends now.

use message_store_client::{
    database::{Database, Epoch, Source, StoredMessage},
    error::{Error, Result},
};

/// Types of messages that are asked for; none for all.
pub(super) struct Types(pub(super) Vec<String>);

impl Types {
    /// True where nothing is left out.
    pub(super) fn are_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a message is asked for.
    pub(super) fn want(&self, message: &StoredMessage) -> bool {
        self.are_all() || self.0.contains(&message.message_type)
    }
}

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

    /// The same, where the position was kept with an epoch.
    ///
    /// # Errors
    /// [`Error::Database`] where what lies before it is not in this log for certain; [`Error::Input`] for a
    /// position in a stream, which has no epoch.
    pub(super) async fn from_kept(
        database: Database,
        source: Source,
        position: Option<i64>,
        epoch: Option<&Epoch>,
    ) -> Result<Self> {
        if let (Some(epoch), Some(position)) = (epoch, position) {
            if let Source::Stream(_) = source {
                return Err(Error::Input {
                    problem: format!(
                        "--epoch is for global positions, and those of {source} are its own; leave it out"
                    ),
                });
            }
            database
                .check_position(epoch, position.saturating_sub(1))
                .await?;
        }
        Ok(Self::new(database, source, position))
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
            let read_to = self.source.position(last.position, last.global_position);
            self.position = read_to.checked_add(1);
        }
        Ok(messages)
    }
}
