//! Calling handlers, and finding the message at which a call fails.

use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::failure::Failure;
use crate::pg::slot::RowFetch;
use crate::pg::subtransaction::attempt;
use crate::pg::transaction;
use crate::subscription::definition::policy::Decision;
use crate::subscription::deliver::batch;
use crate::subscription::deliver::calls::BatchMessage;
use crate::subscription::deliver::delivery::Delivery;
use crate::subscription::deliver::delivery::outcome::{DeliveryEnd, Fault, keep};
use crate::subscription::read_model;
use crate::tables::parked;
use std::cell::Cell;

/// Runs that were called and taken back.
pub(super) struct FailedRuns {
    /// The one that failed; `None` where it was something that all had deferred.
    pub(super) run: Option<usize>,
    pub(super) failure: Box<Failure<Error>>,
}

impl FailedRuns {
    pub(super) fn at(run: Option<usize>, failure: Failure<Error>) -> Self {
        let failure = Box::new(failure);
        Self { run, failure }
    }
}

impl Delivery<'_> {
    /// All messages of one handler, then all of the next: longer runs for handlers of arrays.
    /// False, with nothing done, where one fails.
    pub(super) fn handle_by_handler(&mut self, items: &[BatchMessage]) -> Result<bool, Error> {
        let mut sorted = items.to_vec();
        sorted.sort_by_key(|item| item.handler);
        let runs = self.runs(&sorted);
        match self.try_runs(&runs) {
            Ok(()) => {
                self.count(items.len());
                Ok(true)
            }
            Err(failed) => keep(*failed.failure, self.definition).map(|_| false),
        }
    }

    pub(super) fn runs<'b>(&self, items: &'b [BatchMessage]) -> Vec<&'b [BatchMessage]> {
        let is_single = batch::is_single(
            self.watch.suspects(),
            self.member.failing_position,
            &self.parked,
        );
        batch::runs(items, &self.calls, is_single)
    }

    pub(super) fn count(&mut self, messages: usize) {
        self.handled = self
            .handled
            .saturating_add(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// Handles messages in order. Returns how it ended early, and the last position dealt with.
    pub(super) fn handle_items(
        &mut self,
        items: &[BatchMessage],
    ) -> Result<Option<(DeliveryEnd, i64)>, Error> {
        let mut rest = items.to_vec();
        while !rest.is_empty() {
            let runs = self.runs(&rest);
            let (failed, error) = match self.try_runs(&runs) {
                Ok(()) => {
                    self.count(rest.len());
                    break;
                }
                Err(failed) => (failed.run, keep(*failed.failure, self.definition)?),
            };
            let before: usize = match failed {
                Some(run) => runs[..run].iter().map(|run| run.len()).sum(),
                // Something deferred failed at the end: who deferred it shows when each run is
                // called alone.
                None if runs.len() > 1 => {
                    let one = runs[0].to_vec();
                    if let Some(end) = self.handle_items(&one)? {
                        return Ok(Some(end));
                    }
                    rest = self.without_waiting(&rest[one.len()..])?;
                    continue;
                }
                None => 0,
            };
            let length = failed.map_or(rest.len(), |run| runs[run].len());
            let (done, parked) = (rest[..before].to_vec(), self.messages_parked);
            if let Some(end) = self.handle_items(&done)? {
                return Ok(Some(end));
            }
            if self.messages_parked > parked {
                // What succeeded before has failed now: its stream's messages are not called.
                rest = self.without_waiting(&rest[before..])?;
                continue;
            }
            let run = rest[before..before + length].to_vec();
            let (in_run, end) = self.handle_failing_run(&run, error)?;
            if end.is_some() {
                return Ok(end);
            }
            rest = self.without_waiting(&rest[before + in_run..])?;
        }
        Ok(None)
    }

    /// Finds the message at which a run fails, and deals with it. Returns how many messages of the
    /// run are dealt with.
    pub(super) fn handle_failing_run(
        &mut self,
        run: &[BatchMessage],
        mut error: KeptError,
    ) -> Result<(usize, Option<(DeliveryEnd, i64)>), Error> {
        // Somewhere in low..high is a message that fails, and all before it have succeeded.
        let (mut low, mut high) = (0, run.len());
        let mut is_its_own = run.len() == 1;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.try_runs(&[&run[low..middle]]) {
                Ok(()) => {
                    self.count(middle - low);
                    low = middle;
                }
                Err(failed) => {
                    error = keep(*failed.failure, self.definition)?;
                    high = middle;
                    is_its_own = high - low == 1;
                }
            }
        }
        let item = run[low];
        if !is_its_own {
            match self.try_runs(&[&run[low..=low]]) {
                Ok(()) => {
                    self.count(1);
                    return Ok((low + 1, None));
                }
                Err(failed) => error = keep(*failed.failure, self.definition)?,
            }
        }
        let end = self.decide(item, error)?;
        Ok((low + 1, end.map(|end| (end, item.position - 1))))
    }

    /// What becomes of a message whose handler failed; `None` where it is parked.
    pub(super) fn decide(
        &mut self,
        item: BatchMessage,
        error: KeptError,
    ) -> Result<Option<DeliveryEnd>, Error> {
        let policy = &self.definition.options.policy;
        let (attempts, failing_for) = if self.member.failing_position == Some(item.position) {
            (self.member.attempts, self.member.failing_for)
        } else {
            Default::default()
        };
        let jitter = transaction::random();
        match policy.decide(&error.sqlstate, attempts, failing_for, jitter) {
            Decision::Retry { after, counts } => {
                let fault = Fault::new(item, error, attempts + i64::from(counts));
                Ok(Some(DeliveryEnd::Retrying(fault, after)))
            }
            Decision::GiveUp if policy.parks => {
                self.park(item, error, attempts + 1)?;
                Ok(None)
            }
            Decision::GiveUp => Ok(Some(DeliveryEnd::Stopped(Fault::new(
                item,
                error,
                attempts + 1,
            )))),
        }
    }

    pub(super) fn try_runs(&mut self, runs: &[&[BatchMessage]]) -> Result<(), FailedRuns> {
        self.try_calls(runs, None)
    }

    /// Calls handlers with runs in one subtransaction, as the owner. On failure all of it is taken
    /// back; returns the run that failed, `None` where it was something that all had deferred.
    ///
    /// `parked_attempts`: how often a parked message has failed, for one that is retried.
    pub(super) fn try_calls(
        &mut self,
        runs: &[&[BatchMessage]],
        parked_attempts: Option<i64>,
    ) -> Result<(), FailedRuns> {
        let (definition, member, source) = (self.definition, self.member, self.source);
        let snapshot = &self.snapshot;
        let (calls, watch) = (&mut self.calls, &mut self.watch);
        let at = Cell::new(None);
        let tried = attempt(|| {
            let guarded = read_model::Guarded::begin(definition)?;
            // What it holds belongs to the subtransaction.
            let mut rows = RowFetch::begin(&source.table, snapshot);
            definition.as_owner(definition.copy_schema.as_deref(), || {
                for (number, run) in runs.iter().enumerate() {
                    let (Some(first), Some(last)) = (run.first(), run.last()) else {
                        continue;
                    };
                    at.set(Some(number));
                    watch.note(first.position, last.position);
                    calls.call(run, &mut rows, |told| {
                        told.is_replay = first.is_replay;
                        told.is_retry = parked_attempts.is_some();
                        told.attempt = 1 + parked_attempts.unwrap_or(
                            if member.failing_position == Some(first.position) {
                                member.attempts
                            } else {
                                0
                            },
                        );
                    });
                }
                at.set(None);
                Ok(())
            })?;
            guarded.end()
        });
        tried.map_err(|failure| FailedRuns::at(at.get(), failure))?;
        for run in runs {
            for item in *run {
                if self.parked.is_first_time(item.position) {
                    parked::take(&self.definition.subscriber_id, item.position)
                        .map_err(|error| FailedRuns::at(None, Failure::returned(error)))?;
                }
            }
        }
        Ok(())
    }
}
