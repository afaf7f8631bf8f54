//! Parked messages, as a tick or a consumer meets them.

use crate::error::Error;
use crate::shard;
use crate::subscription::definition::Definition;
use crate::subscription::member::Member;
use crate::tables::parked::{self, Due, LastFailure, ParkedMessage, Status};
use pgrx::PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION;
use std::collections::HashMap;
use std::time::Duration;

/// What must be known of parked messages while new ones are read.
#[derive(Default)]
pub struct Parked {
    has_any: bool,
    /// Streams whose messages wait, and whether behind one that failed; else behind one that is
    /// due.
    waiting_streams: HashMap<Vec<u8>, bool>,
    /// Messages with a status of their own, ahead of the position: `true` for discarded, `false`
    /// for replaying.
    ahead: HashMap<i64, bool>,
}

impl Parked {
    /// What is parked with `definition`, for a reader from `position` on.
    pub fn load(definition: &Definition, position: i64) -> Result<Self, Error> {
        let id = definition.subscriber_id.as_str();
        let original = definition.copy_of.as_deref();
        let mut loaded = Self {
            has_any: parked::has_any(id)? || original.map_or(Ok(false), parked::has_any)?,
            ..Self::default()
        };
        if !loaded.has_any {
            return Ok(loaded);
        }
        if definition.is_verification() {
            // What is parked is not in the live read model.
            let positions = parked::positions(id)?.into_iter();
            loaded.ahead = positions.map(|position| (position, true)).collect();
            return Ok(loaded);
        }
        loaded.waiting_streams = parked::waiting_streams(id)?.into_iter().collect();
        loaded.add_ahead(parked::ahead(id, false, position)?);
        if let Some(original) = original {
            // What is parked there, of whatever status, was never handled.
            loaded.add_ahead(parked::ahead(original, true, position)?);
        }
        Ok(loaded)
    }

    fn add_ahead(&mut self, ahead: Vec<(i64, bool)>) {
        for (position, is_discarded) in ahead {
            *self.ahead.entry(position).or_default() |= is_discarded;
        }
    }

    /// Whether nothing is parked that a tick meets.
    pub fn is_empty(&self) -> bool {
        self.waiting_streams.is_empty() && self.ahead.is_empty()
    }

    /// Whether a stream's messages wait.
    pub fn makes_wait(&self, stream_name: &[u8]) -> bool {
        self.waiting_streams.contains_key(stream_name)
    }

    /// Whether a message was given up for good.
    pub fn has_discarded(&self, position: i64) -> bool {
        self.ahead.get(&position) == Some(&true)
    }

    /// Whether a message that a replay comes to was never handled before.
    pub fn is_first_time(&self, position: i64) -> bool {
        self.ahead.get(&position) == Some(&false)
    }

    /// Parks a message whose handler failed.
    pub fn park_failed(
        &mut self,
        definition: &Definition,
        message: &ParkedMessage<'_>,
        failure: &LastFailure<'_>,
    ) -> Result<(), Error> {
        let holds_stream = definition.options.policy.holds_stream;
        if holds_stream {
            self.waiting_streams
                .insert(message.stream_name.to_vec(), true);
        }
        let id = &definition.subscriber_id;
        let status = Status::Failed;
        parked::put(id, message, status, holds_stream, Some(failure), None)?;
        if !definition.options.policy.is_trial {
            log(id, message, failure);
        }
        if holds_stream && self.has_any {
            parked::hold_back(id, message.stream_name)?;
        }
        Ok(())
    }

    /// Lets a message that failed when its turn came be handled again after a pause.
    pub fn park_to_retry(
        definition: &Definition,
        message: &ParkedMessage<'_>,
        failure: &LastFailure<'_>,
        after: Duration,
    ) -> Result<(), Error> {
        let holds_stream = definition.options.policy.holds_stream;
        let id = &definition.subscriber_id;
        let (status, failure) = (Status::Retry, Some(failure));
        parked::put(id, message, status, holds_stream, failure, Some(after))
    }

    /// Parks a message that waits behind another of its stream.
    pub fn park_waiting(
        &self,
        definition: &Definition,
        message: &ParkedMessage<'_>,
    ) -> Result<(), Error> {
        let behind_failed = self
            .waiting_streams
            .get(message.stream_name)
            .copied()
            .unwrap_or(true);
        let status = if behind_failed {
            Status::Waiting
        } else {
            Status::Retry
        };
        let (id, holds_stream) = (&definition.subscriber_id, true);
        parked::put(id, message, status, holds_stream, None, None)
    }

    /// The messages whose turn has come, for this member, in order.
    pub fn due(definition: &Definition, member: &Member) -> Result<Vec<Due>, Error> {
        let id = &definition.subscriber_id;
        if definition.is_verification() || !parked::has_any(id)? {
            return Ok(Vec::new());
        }
        let shard = shard::this()?;
        let mut own = Vec::new();
        for message in parked::due(id)? {
            let stream_name = &message.stream_name;
            // Where a shard has become two, both have what was parked before.
            if shard::lives_here(shard, stream_name)? && member.reads(stream_name)? {
                own.push(message);
            }
        }
        Ok(own)
    }
}

/// Writes into the server's log which message was parked, and why.
fn log(subscriber_id: &str, message: &ParkedMessage<'_>, failure: &LastFailure<'_>) {
    let name = String::from_utf8_lossy;
    let error = failure.error;
    let report = error.report(
        ERRCODE_SUCCESSFUL_COMPLETION,
        format!(
            "subscription \"{subscriber_id}\" parked the message at global position {} (type {}, \
             stream {}): {} ({})",
            message.position,
            name(message.message_type),
            name(message.stream_name),
            error.message,
            error.sqlstate
        ),
    );
    report.log();
}
