//! Messages to handlers: what succeeds is kept, what fails is found and dealt with, one message at
//! a time, and nothing is lost, repeated or reordered.
//!
//! A batch is called in one subtransaction, which costs next to nothing. Where a call fails all of
//! it is taken back: what came before the failing run is called again, a run is halved until one
//! message is left, and the policy says what becomes of that one (`attempts`). Parked messages, and
//! those that wait behind them, are dealt with in `parking`.

use crate::error::Error;
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;

use crate::kept_error::KeptError;
use crate::subscription::definition::Definition;
use crate::subscription::deliver::batch::Batch;
use crate::subscription::deliver::calls::{BatchMessage, Calls};
use crate::subscription::deliver::crash::Watch;
use crate::subscription::member::Member;
use crate::subscription::parked::Parked;
use crate::subscription::source::Source;

mod attempts;
pub mod outcome;
mod parking;

use outcome::{Delivered, DeliveryEnd, Fault};

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
    messages_parked: i64,
    parked_for: Option<Fault>,
    /// Messages that wait behind parked ones of their streams.
    waiting: Vec<BatchMessage>,
}

impl<'a> Delivery<'a> {
    /// Prepares to call the handlers of `definition` for `member`, whose progress the caller holds.
    pub fn begin(
        definition: &'a Definition,
        member: &'a Member,
        source: &'a Source,
    ) -> Result<Self, Error> {
        let mut told = definition.handler_call();
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
            messages_parked: 0,
            parked_for: None,
            waiting: Vec::new(),
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
        self.waiting.extend(&batch.waiting);
        let (end, position) = self.handle(&batch)?;
        self.park_waiting(position)?;
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
            parked: self.messages_parked,
            position,
            end,
            parked_for: self.parked_for,
            has_written: self.calls.have_written(),
        })
    }

    /// Returns how it ended and the last position dealt with.
    fn handle(&mut self, batch: &Batch) -> Result<(DeliveryEnd, i64), Error> {
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

    fn end_of(&self, batch: &Batch) -> (DeliveryEnd, i64) {
        match &batch.no_handler {
            // What came before it commits; the next tick begins with it.
            Some((position, error)) if batch.position == self.member.position => {
                let fault = Fault {
                    position: *position,
                    attempts: 0,
                    error: KeptError::of_report(&error.into()),
                };
                (DeliveryEnd::Stopped(fault), batch.position)
            }
            _ => (DeliveryEnd::Done, batch.position),
        }
    }

    /// A message that is proven to kill the process of its handler is not handled again. Comes
    /// first in its batch, since the tick that it killed left nothing behind.
    fn convict(&mut self, batch: &Batch) -> Result<Option<(DeliveryEnd, i64)>, Error> {
        let culprit = self
            .watch
            .suspects()
            .and_then(|suspects| suspects.culprit());
        let Some(at) = culprit
            .and_then(|culprit| batch.items.iter().position(|item| item.position == culprit))
        else {
            return Ok(None);
        };
        let error = KeptError::new(
            "58000",
            "the server process ended while the message was being handled",
        );
        if let Some(end) = self.handle_items(&batch.items[..at])? {
            return Ok(Some(end));
        }
        let item = batch.items[at];
        self.watch.done(item.position);
        if !self.definition.options.policy.parks {
            let fault = Fault::new(item, error, self.member.attempts + 1);
            return Ok(Some((DeliveryEnd::Stopped(fault), item.position - 1)));
        }
        self.park(item, error, self.member.attempts + 1)?;
        let rest = self.without_waiting(&batch.items[at + 1..])?;
        match self.handle_items(&rest)? {
            Some(end) => Ok(Some(end)),
            None => Ok(Some(self.end_of(batch))),
        }
    }
}
