//! Messages that are parked, and those whose turn comes again.

use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::slot::RowFetch;
use crate::pg::transaction;
use crate::subscription::definition::policy::Decision;
use crate::subscription::deliver::calls::BatchMessage;
use crate::subscription::deliver::delivery::Delivery;
use crate::subscription::deliver::delivery::outcome::{Fault, keep};
use crate::subscription::parked::Parked;
use crate::tables::messages::{self, column};
use crate::tables::parked::{self, LastFailure, ParkedMessage};

impl Delivery<'_> {
    pub(super) fn park(
        &mut self,
        item: BatchMessage,
        error: KeptError,
        attempts: i64,
    ) -> Result<(), Error> {
        let (stream_name, message_type) = {
            let mut rows = RowFetch::begin(&self.source.table, &self.snapshot);
            rows.row(item.address).map_or_else(Default::default, |row| {
                let bytes = |number| row.text(number).bytes().to_vec();
                (bytes(column::STREAM_NAME), bytes(column::TYPE))
            })
        };
        let message = ParkedMessage {
            position: item.position,
            stream_name: &stream_name,
            message_type: &message_type,
            is_replay: item.is_replay,
        };
        self.park_message(&message, error, attempts)
    }

    pub(super) fn park_message(
        &mut self,
        message: &ParkedMessage<'_>,
        error: KeptError,
        attempts: i64,
    ) -> Result<(), Error> {
        let id = &self.definition.subscriber_id;
        self.member.note_error(id, &error)?;
        let failure = LastFailure {
            error: &error,
            attempts,
        };
        self.parked
            .park_failed(self.definition, message, &failure)?;
        self.messages_parked += 1;
        self.parked_for = Some(Fault {
            position: message.position,
            attempts,
            error,
        });
        Ok(())
    }

    /// The messages whose streams do not wait behind a parked one; the others will be parked.
    pub(super) fn without_waiting(
        &mut self,
        items: &[BatchMessage],
    ) -> Result<Vec<BatchMessage>, Error> {
        if self.parked.is_empty() || !self.definition.options.policy.holds_stream {
            return Ok(items.to_vec());
        }
        let mut left = Vec::with_capacity(items.len());
        let mut rows = RowFetch::begin(&self.source.table, &self.snapshot);
        for item in items {
            let Some(row) = rows.row(item.address) else {
                continue;
            };
            if self
                .parked
                .makes_wait(row.text(column::STREAM_NAME).bytes())
            {
                self.waiting.push(*item);
            } else {
                left.push(*item);
            }
        }
        Ok(left)
    }

    /// Parks what waits behind parked messages, as far as the delivery has come: what lies
    /// beyond is read again.
    pub(super) fn park_waiting(&mut self, position: i64) -> Result<(), Error> {
        let mut rows = RowFetch::begin(&self.source.table, &self.snapshot);
        for item in self.waiting.iter().filter(|item| item.position <= position) {
            let Some(row) = rows.row(item.address) else {
                continue;
            };
            let message = ParkedMessage {
                position: item.position,
                stream_name: row.text(column::STREAM_NAME).bytes(),
                message_type: row.text(column::TYPE).bytes(),
                is_replay: item.is_replay,
            };
            self.parked.park_waiting(self.definition, &message)?;
            self.messages_parked += 1;
        }
        Ok(())
    }

    /// Handles parked messages whose turn has come, each alone; returns how many.
    pub(super) fn retry_parked(&mut self, limit: i64) -> Result<i64, Error> {
        let due = Parked::due(self.definition, self.member)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut stuck: Vec<Vec<u8>> = Vec::new();
        let mut retried = 0;
        for due in due.into_iter().take(limit) {
            if stuck.contains(&due.stream_name) {
                continue;
            }
            retried += 1;
            let found = messages::find(&self.source.table, &self.snapshot, due.position)?;
            let Some((address, message_type)) = found else {
                parked::take(&self.definition.subscriber_id, due.position)?;
                continue;
            };
            let error = match self.calls.handler_of(&message_type) {
                Ok(None) => None,
                Ok(Some(handler)) => {
                    let item = BatchMessage {
                        position: due.position,
                        address,
                        handler,
                        is_replay: due.is_replay,
                        message: None,
                    };
                    match self.try_calls(&[&[item]], Some(due.attempts)) {
                        Ok(()) => None,
                        Err(failed) => Some(keep(*failed.failure, self.definition)?),
                    }
                }
                Err(error) => Some(KeptError::of_report(&error.into())),
            };
            match error {
                None => {
                    parked::take(&self.definition.subscriber_id, due.position)?;
                    self.count(1);
                }
                Some(error) => {
                    let failed = ParkedMessage {
                        position: due.position,
                        stream_name: &due.stream_name,
                        message_type: &message_type,
                        is_replay: due.is_replay,
                    };
                    self.fail_again(&failed, error, due.attempts)?;
                    stuck.push(due.stream_name);
                }
            }
        }
        Ok(retried)
    }

    /// A parked message failed when its turn came. One that only waited for its turn has attempts
    /// left; whatever the error is, they count, since nothing behind it in other streams waits.
    fn fail_again(
        &mut self,
        message: &ParkedMessage<'_>,
        error: KeptError,
        attempts: i64,
    ) -> Result<(), Error> {
        let policy = &self.definition.options.policy;
        let (failing_for, jitter) = (policy.transient_limit, transaction::random());
        match policy.decide(&error.sqlstate, attempts, failing_for, jitter) {
            Decision::GiveUp => self.park_message(message, error, attempts + 1),
            Decision::Retry { after, .. } => {
                let failure = LastFailure {
                    error: &error,
                    attempts: attempts + 1,
                };
                Parked::park_to_retry(self.definition, message, &failure, after)
            }
        }
    }
}
