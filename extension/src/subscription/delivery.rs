//! Messages to handlers: what succeeds is kept, what fails is found and dealt with, one message at
//! a time, and nothing is lost, repeated or reordered.
//!
//! A batch is called in one subtransaction, which costs next to nothing. Where a call fails all of
//! it is taken back: what came before the failing run is called again, a run is halved until one
//! message is left, and the policy says what becomes of that one.

use super::batch::{self, Batch};
use super::calls::{Calls, Item};
use super::context::HandlerCall;
use super::crash::Watch;
use super::definition::Definition;
use super::member::Member;
use super::parked::{self, Cause, Parked};
use super::policy::Decision;
use super::read_model;
use super::source::Source;
use crate::error::Error;
use crate::message::{self, column};
use crate::pg::failure::Failure;
use crate::pg::slot::RowFetch;
use crate::pg::snapshot::Fresh;
use crate::pg::subtransaction::attempt;
use crate::pg::transaction;
use std::cell::Cell;
use std::time::Duration;

/// How a delivery ended.
pub enum End {
    /// With all that was read dealt with.
    Done,
    /// At a message whose handler failed and is called again after a pause.
    Retrying(Fault, Duration),
    /// At a message that nothing can be done about.
    Stopped(Fault),
}

/// A message that cannot be handled, and why.
pub struct Fault {
    /// Its global position.
    pub position: i64,
    /// Failed calls that count, this one included.
    pub attempts: i64,
    /// Five characters.
    pub sqlstate: String,
    /// What the error said.
    pub error: String,
}

/// What became of a batch.
pub struct Delivered {
    /// Messages read.
    pub scanned: i64,
    /// Messages handled.
    pub handled: i64,
    /// Messages put aside.
    pub parked: i64,
    /// The last position dealt with.
    pub position: i64,
    /// How it ended.
    pub end: End,
    /// The last failure for which a message was put aside.
    pub put_aside_for: Option<Fault>,
    /// Whether a handler wrote messages.
    pub has_written: bool,
}

/// Runs that were called and taken back.
struct FailedRuns {
    /// The one that failed; `None` where it was something that all had deferred.
    run: Option<usize>,
    failure: Box<Failure>,
}

impl FailedRuns {
    fn at(run: Option<usize>, failure: Failure) -> Self {
        let failure = Box::new(failure);
        Self { run, failure }
    }
}

/// What is known of a failure once it is caught.
struct Said {
    sqlstate: String,
    error: String,
}

impl Said {
    /// A person's cancel is no fault of a message: it goes on.
    fn of(failure: Failure) -> Result<Self, Error> {
        if failure.is_cancel() {
            return Err(failure.go_on());
        }
        let context = failure.context.trim();
        let error = if context.is_empty() {
            failure.message
        } else {
            format!("{}\n{context}", failure.message)
        };
        Ok(Self {
            sqlstate: failure.sqlstate,
            error,
        })
    }

    fn of_message(self, item: Item, attempts: i64) -> Fault {
        Fault {
            position: item.position,
            attempts,
            sqlstate: self.sqlstate,
            error: self.error,
        }
    }
}

/// A delivery of one member, under way.
pub struct Delivery<'a> {
    definition: &'a Definition,
    member: &'a Member,
    source: &'a Source,
    snapshot: Fresh,
    calls: Calls,
    watch: Watch,
    parked: Parked,
    handled: i64,
    put_aside: i64,
    put_aside_for: Option<Fault>,
    /// Messages that wait behind parked ones of their streams.
    behind: Vec<Item>,
}

impl<'a> Delivery<'a> {
    /// Prepares to call the handlers of `definition` for `member`, whose progress the caller holds.
    pub fn begin(
        definition: &'a Definition,
        member: &'a Member,
        source: &'a Source,
    ) -> Result<Self, Error> {
        let mut told = HandlerCall::of(definition);
        (told.member, told.group_size) = (member.group_member(), member.group_size);
        let snapshot = Fresh::take();
        Ok(Self {
            calls: Calls::new(definition, &definition.handlers, told)?,
            watch: Watch::begin(
                transaction::database(),
                &definition.subscriber_id,
                member.number,
            ),
            parked: Parked::load(definition, member.position)?,
            definition,
            member,
            source,
            snapshot,
            handled: 0,
            put_aside: 0,
            put_aside_for: None,
            behind: Vec::new(),
        })
    }

    /// Whether handlers may be called now: not while another subscription's are suspected of
    /// killing their process, as these are.
    pub fn may_call(&self) -> bool {
        self.watch.may_call()
    }

    /// Deals with up to `limit` messages: parked ones whose turn has come, then new ones.
    pub fn deliver(mut self, limit: i64) -> Result<Delivered, Error> {
        let retried = self.retry_parked(limit)?;
        if retried > 0 {
            self.parked = Parked::load(self.definition, self.member.position)?;
        }
        let batch = Batch::read(
            self.definition,
            self.member,
            self.source,
            &self.snapshot,
            &self.parked,
            &mut self.calls,
            limit.saturating_sub(retried),
        )?;
        self.behind.extend(&batch.behind);
        let (end, position) = self.handle(&batch)?;
        self.put_behind(position)?;
        let scanned = if position == batch.position {
            batch.scanned
        } else {
            let before = batch
                .items
                .partition_point(|item| item.position <= position);
            i64::try_from(before).unwrap_or(i64::MAX)
        };
        self.watch.done(position);
        Ok(Delivered {
            scanned: scanned + retried,
            handled: self.handled,
            parked: self.put_aside,
            position,
            end,
            put_aside_for: self.put_aside_for,
            has_written: self.calls.have_written(),
        })
    }

    /// Returns how it ended and the last position dealt with.
    fn handle(&mut self, batch: &Batch) -> Result<(End, i64), Error> {
        if let Some(end) = self.convict(batch)? {
            return Ok(end);
        }
        if !self.definition.options.is_strict && self.handle_by_handler(&batch.items)? {
            return Ok(self.end_of(batch));
        }
        match self.handle_items(&batch.items)? {
            Some(stopped) => Ok(stopped),
            None => Ok(self.end_of(batch)),
        }
    }

    fn end_of(&self, batch: &Batch) -> (End, i64) {
        match &batch.no_handler {
            // What came before it commits; the next tick begins with it.
            Some((position, error)) if batch.position == self.member.position => {
                let (sqlstate, error) = error.sqlstate_and_message();
                let fault = Fault {
                    position: *position,
                    attempts: 0,
                    sqlstate,
                    error,
                };
                (End::Stopped(fault), batch.position)
            }
            _ => (End::Done, batch.position),
        }
    }

    /// A message that is proven to kill the process of its handler is not handled again. Comes
    /// first in its batch, since the tick that it killed left nothing behind.
    fn convict(&mut self, batch: &Batch) -> Result<Option<(End, i64)>, Error> {
        let culprit = self
            .watch
            .suspects()
            .and_then(|suspects| suspects.culprit());
        let Some(at) = culprit
            .and_then(|culprit| batch.items.iter().position(|item| item.position == culprit))
        else {
            return Ok(None);
        };
        let fault = Said {
            sqlstate: "58000".to_owned(),
            error: "the server process ended while the message was being handled".to_owned(),
        };
        if let Some(end) = self.handle_items(&batch.items[..at])? {
            return Ok(Some(end));
        }
        let item = batch.items[at];
        self.watch.done(item.position);
        if !self.definition.options.policy.parks {
            let fault = fault.of_message(item, self.member.attempts + 1);
            return Ok(Some((End::Stopped(fault), item.position - 1)));
        }
        self.park(item, fault, self.member.attempts + 1)?;
        let rest = self.without_held(&batch.items[at + 1..])?;
        match self.handle_items(&rest)? {
            Some(end) => Ok(Some(end)),
            None => Ok(Some(self.end_of(batch))),
        }
    }

    /// All messages of one handler, then all of the next: longer runs for handlers of arrays.
    /// False, with nothing done, where one fails.
    fn handle_by_handler(&mut self, items: &[Item]) -> Result<bool, Error> {
        let mut sorted = items.to_vec();
        sorted.sort_by_key(|item| item.handler);
        let runs = self.runs(&sorted);
        match self.try_runs(&runs) {
            Ok(()) => {
                self.count(items.len());
                Ok(true)
            }
            Err(failed) => Said::of(*failed.failure).map(|_| false),
        }
    }

    fn runs<'b>(&self, items: &'b [Item]) -> Vec<&'b [Item]> {
        let is_single = batch::is_single(
            self.watch.suspects(),
            self.member.failing_position,
            &self.parked,
        );
        batch::runs(items, &self.calls, is_single)
    }

    fn count(&mut self, messages: usize) {
        self.handled = self
            .handled
            .saturating_add(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// Handles messages in order. Returns how it ended early, and the last position dealt with.
    fn handle_items(&mut self, items: &[Item]) -> Result<Option<(End, i64)>, Error> {
        let mut rest = items.to_vec();
        while !rest.is_empty() {
            let runs = self.runs(&rest);
            let (failed, fault) = match self.try_runs(&runs) {
                Ok(()) => {
                    self.count(rest.len());
                    break;
                }
                Err(failed) => (failed.run, Said::of(*failed.failure)?),
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
                    rest = self.without_held(&rest[one.len()..])?;
                    continue;
                }
                None => 0,
            };
            let length = failed.map_or(rest.len(), |run| runs[run].len());
            let done = rest[..before].to_vec();
            if let Some(end) = self.handle_items(&done)? {
                return Ok(Some(end));
            }
            let run = rest[before..before + length].to_vec();
            let (in_run, end) = self.handle_failing_run(&run, fault)?;
            if end.is_some() {
                return Ok(end);
            }
            rest = self.without_held(&rest[before + in_run..])?;
        }
        Ok(None)
    }

    /// Finds the message at which a run fails, and deals with it. Returns how many messages of the
    /// run are dealt with.
    fn handle_failing_run(
        &mut self,
        run: &[Item],
        mut fault: Said,
    ) -> Result<(usize, Option<(End, i64)>), Error> {
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
                    fault = Said::of(*failed.failure)?;
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
                Err(failed) => fault = Said::of(*failed.failure)?,
            }
        }
        let end = self.decide(item, fault)?;
        Ok((low + 1, end.map(|end| (end, item.position - 1))))
    }

    /// What becomes of a message whose handler failed; `None` where it is parked.
    fn decide(&mut self, item: Item, fault: Said) -> Result<Option<End>, Error> {
        let policy = &self.definition.options.policy;
        let (attempts, failing_for) = if self.member.failing_position == Some(item.position) {
            (self.member.attempts, self.member.failing_for)
        } else {
            Default::default()
        };
        let jitter = transaction::random();
        match policy.decide(&fault.sqlstate, attempts, failing_for, jitter) {
            Decision::Retry { after, counts } => {
                let fault = fault.of_message(item, attempts + i64::from(counts));
                Ok(Some(End::Retrying(fault, after)))
            }
            Decision::GiveUp if policy.parks => {
                self.park(item, fault, attempts + 1)?;
                Ok(None)
            }
            Decision::GiveUp => Ok(Some(End::Stopped(fault.of_message(item, attempts + 1)))),
        }
    }

    fn park(&mut self, item: Item, said: Said, attempts: i64) -> Result<(), Error> {
        let (stream_name, message_type) = {
            let mut rows = RowFetch::begin(&self.source.table, &self.snapshot);
            rows.row(item.address).map_or_else(Default::default, |row| {
                let bytes = |number| row.text(number).bytes().to_vec();
                (bytes(column::STREAM_NAME), bytes(column::TYPE))
            })
        };
        let message = parked::Message {
            position: item.position,
            stream_name: &stream_name,
            message_type: &message_type,
            is_replay: item.is_replay,
        };
        self.put_aside(&message, said, attempts)
    }

    fn put_aside(
        &mut self,
        message: &parked::Message<'_>,
        said: Said,
        attempts: i64,
    ) -> Result<(), Error> {
        let (sqlstate, error) = (said.sqlstate, said.error);
        let id = &self.definition.subscriber_id;
        self.member.note_error(id, (&sqlstate, &error))?;
        let cause = Cause {
            sqlstate: &sqlstate,
            error: &error,
            attempts,
        };
        self.parked.put_failed(self.definition, message, &cause)?;
        self.put_aside += 1;
        self.put_aside_for = Some(Fault {
            position: message.position,
            attempts,
            sqlstate,
            error,
        });
        Ok(())
    }

    /// The messages whose streams do not wait behind a parked one; the others will be put aside.
    fn without_held(&mut self, items: &[Item]) -> Result<Vec<Item>, Error> {
        if self.parked.is_empty() || !self.definition.options.policy.holds_stream {
            return Ok(items.to_vec());
        }
        let mut left = Vec::with_capacity(items.len());
        let mut rows = RowFetch::begin(&self.source.table, &self.snapshot);
        for item in items {
            let Some(row) = rows.row(item.address) else {
                continue;
            };
            if self.parked.holds(row.text(column::STREAM_NAME).bytes()) {
                self.behind.push(*item);
            } else {
                left.push(*item);
            }
        }
        Ok(left)
    }

    /// Puts aside what waits behind parked messages, as far as the delivery has come: what lies
    /// beyond is read again.
    fn put_behind(&mut self, position: i64) -> Result<(), Error> {
        let mut rows = RowFetch::begin(&self.source.table, &self.snapshot);
        for item in self.behind.iter().filter(|item| item.position <= position) {
            let Some(row) = rows.row(item.address) else {
                continue;
            };
            let message = parked::Message {
                position: item.position,
                stream_name: row.text(column::STREAM_NAME).bytes(),
                message_type: row.text(column::TYPE).bytes(),
                is_replay: item.is_replay,
            };
            self.parked.put_behind(self.definition, &message)?;
            self.put_aside += 1;
        }
        Ok(())
    }

    /// Handles parked messages whose turn has come, each alone; returns how many.
    fn retry_parked(&mut self, limit: i64) -> Result<i64, Error> {
        let due = Parked::due(self.definition, self.member)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut stuck: Vec<Vec<u8>> = Vec::new();
        let mut retried = 0;
        for due in due.into_iter().take(limit) {
            if stuck.contains(&due.stream_name) {
                continue;
            }
            retried += 1;
            let found = message::find(&self.source.table, &self.snapshot, due.position)?;
            let Some((address, message_type)) = found else {
                Parked::take(self.definition, due.position)?;
                continue;
            };
            let fault = match self.calls.handler_of(&message_type) {
                Ok(None) => None,
                Ok(Some(handler)) => {
                    let item = Item {
                        position: due.position,
                        address,
                        handler,
                        is_replay: due.is_replay,
                    };
                    match self.try_calls(&[&[item]], Some(due.attempts)) {
                        Ok(()) => None,
                        Err(failed) => Some(Said::of(*failed.failure)?),
                    }
                }
                Err(error) => {
                    let (sqlstate, error) = error.sqlstate_and_message();
                    Some(Said { sqlstate, error })
                }
            };
            match fault {
                None => {
                    Parked::take(self.definition, due.position)?;
                    self.count(1);
                }
                Some(fault) => {
                    let failed = parked::Message {
                        position: due.position,
                        stream_name: &due.stream_name,
                        message_type: &message_type,
                        is_replay: due.is_replay,
                    };
                    self.put_aside(&failed, fault, due.attempts + 1)?;
                    stuck.push(due.stream_name);
                }
            }
        }
        Ok(retried)
    }

    fn try_runs(&mut self, runs: &[&[Item]]) -> Result<(), FailedRuns> {
        self.try_calls(runs, None)
    }

    /// Calls handlers with runs in one subtransaction, as the owner. On failure all of it is taken
    /// back; returns the run that failed, `None` where it was something that all had deferred.
    ///
    /// `parked_attempts`: how often a parked message has failed, for one that is retried.
    fn try_calls(
        &mut self,
        runs: &[&[Item]],
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
                    Parked::take(self.definition, item.position)
                        .map_err(|error| FailedRuns::at(None, Failure::from(error)))?;
                }
            }
        }
        Ok(())
    }
}
