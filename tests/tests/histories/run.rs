//! One history, from an empty log to the last look.

use super::act::creation;
use super::definition::{Definition, Duties, STREAMS};
use super::model::Seen;
use super::step::{Call, Ending, Finish, History, Subject};
use super::world::{Outcome, World};
use promises::Rows;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Steps between two looks at everything.
const LOOK_EVERY: usize = 4;

impl World<'_> {
    /// Runs a history. What it says where it fails names the step.
    pub async fn run(&mut self, history: &History) -> Outcome<()> {
        let definition = &history.definition;
        self.reset().await?;
        self.ledger.begin(definition);
        self.write(&definition.before).await?;
        self.ask(&creation(definition, self.ledger.drawn)).await?;
        let Duties { answers, ticks } = definition.duties;
        if answers || ticks {
            let duties = format!("INSERT INTO rm.duties VALUES ({answers}, {ticks})");
            self.ask(&duties).await?;
        }
        if ticks {
            self.ask(
                "SELECT message_store.create_subscription('nested', '$all', \
                 '{\"$any\": \"rm.on_nested\"}')",
            )
            .await?;
        }
        if let Some(outside) = &definition.outside {
            self.ask(&outside.creation()).await?;
        }
        let start = "SELECT start_position FROM message_store.subscriptions \
                     WHERE subscriber_id = 'subject'";
        self.ledger.start_position = self.watch.bigint(start).await;
        for (number, step) in history.steps.iter().enumerate() {
            let of_step = |problem| format!("{problem}, at step {number}, {step:?}");
            self.ledger.count("step");
            let is_worth_it = self.act(definition, step, number).await.map_err(of_step)?;
            if is_worth_it || number % LOOK_EVERY == LOOK_EVERY - 1 {
                let seen = Seen::look(&self.watch, self.held.as_ref(), &self.ledger).await;
                seen.check(definition, &self.ledger).map_err(of_step)?;
                // What handlers have written.
                self.ledger.drawn = self.ledger.drawn.max(seen.last_position());
            }
        }
        self.ledger.count("history");
        let ended = self.finish(definition, history.ending).await;
        ended.map_err(|problem| format!("{problem}, at the end"))
    }

    /// Makes a call that must succeed.
    pub async fn ask(&mut self, sql: &str) -> Outcome<Rows> {
        let session = Arc::clone(&self.steer);
        let answer = self.perform(&session, sql).await;
        answer.map_err(|error| format!("{sql}: {error:?}"))
    }

    async fn finish(&mut self, definition: &Definition, finish: Finish) -> Outcome<()> {
        let ending = self.ledger.coin(Ending::Commit, Ending::Rollback);
        self.end_held(ending).await;
        for number in 0..self.writers.len() {
            let ending = self.ledger.coin(Ending::Commit, Ending::Rollback);
            self.end_write(number, ending).await?;
        }
        self.heal(None).await;
        let seen = Seen::look(&self.watch, self.held.as_ref(), &self.ledger).await;
        seen.check(definition, &self.ledger)?;
        self.settle_all(definition, finish).await?;
        if seen.has_copy() {
            let call = if finish.promotes {
                Call::Promote
            } else {
                Call::CancelRebuild
            };
            self.ledger.count(if finish.promotes {
                "promoted at the end"
            } else {
                "given up at the end"
            });
            self.act_at_end(definition, call).await?;
            self.settle_all(definition, finish).await?;
        }
        if let Some(size) = finish.group_size {
            self.act_at_end(definition, Call::Resize(Subject::Live, size))
                .await?;
            self.settle_all(definition, finish).await?;
        }
        if definition.outside.is_some() {
            self.finish_outside(definition).await?;
        }
        let handled = self.check_all(definition, finish.verifies).await?;
        if finish.rebuilds {
            self.act_at_end(definition, Call::Rebuild).await?;
            self.settle_all(definition, finish).await?;
            // All messages in their order: nothing has failed since.
            self.ledger.reorders = false;
            self.check_all(definition, finish.verifies).await?;
        }
        self.check_calls(definition, &handled).await
    }

    async fn act_at_end(&mut self, definition: &Definition, call: Call) -> Outcome<()> {
        // No error is allowed for here.
        let (sql, _) = call.sql(self, definition, usize::MAX);
        self.ask(&sql).await?;
        let watch = Arc::clone(&self.watch);
        self.ledger.called(&watch, &call, usize::MAX).await;
        Ok(())
    }

    /// Starts it and lets it come to its end, parked messages too; nothing is wrong with any.
    async fn settle_all(&mut self, definition: &Definition, finish: Finish) -> Outcome<()> {
        self.ask("SELECT message_store.start('subject')").await?;
        loop {
            let outcome = self
                .settle(definition, Subject::Live, finish.batch_size)
                .await?;
            if outcome != "idle" {
                return Err(format!("the last tick said {outcome}"));
            }
            let retried = self
                .ask("SELECT message_store.retry_parked('subject')")
                .await?;
            if retried[0][0].as_deref() == Some("0") {
                break;
            }
        }
        Ok(())
    }

    /// The read model is complete, and the store knows.
    async fn check_all(
        &mut self,
        definition: &Definition,
        verifies: bool,
    ) -> Outcome<BTreeSet<i64>> {
        let seen = Seen::look(&self.watch, self.held.as_ref(), &self.ledger).await;
        let handled = seen.check_complete(definition, &self.ledger)?;
        let mut written: BTreeMap<&str, usize> = BTreeMap::new();
        for message in &seen.log {
            *written.entry(&message.stream).or_default() += 1;
        }
        for (stream, committed) in STREAMS.iter().zip(&self.ledger.committed) {
            let found = written.get(stream).copied().unwrap_or_default();
            if found != *committed {
                return Err(format!("{stream} has {found} messages, not {committed}"));
            }
        }
        let settled = "SELECT count(*) FROM message_store.get_all_messages(1, -1)";
        if self.watch.bigint(settled).await != seen.log.len() as i64 {
            return Err("get_all_messages does not return every message".to_owned());
        }
        let last = seen.log.last().map_or(0, |message| message.position);
        let waited = format!("SELECT message_store.wait_for('subject', {last}, '0 s')");
        if self.ask(&waited).await?[0][0].as_deref() != Some("t") {
            return Err(format!("wait_for does not know that {last} is handled"));
        }
        if verifies && definition.keeps_order() && !self.ledger.reorders {
            let rows = self
                .ask("SELECT * FROM message_store.verify('subject')")
                .await?;
            self.ledger.count("verify at the end");
            if !rows.is_empty() {
                return Err(format!("verify found differences: {rows:?}"));
            }
        }
        Ok(handled)
    }

    /// What handlers were told: each message is new once, and a replay whenever it comes again.
    async fn check_calls(
        &mut self,
        definition: &Definition,
        handled: &BTreeSet<i64>,
    ) -> Outcome<()> {
        let sql = "SELECT subscriber, position, is_replay FROM rm.calls ORDER BY seq";
        let rows = self.watch.run(sql).await.unwrap();
        let mut new: BTreeMap<i64, usize> = BTreeMap::new();
        let (mut last, mut descents) = (0, 0);
        for row in &rows {
            let position: i64 = row[1]
                .as_deref()
                .and_then(|text| text.parse().ok())
                .unwrap_or_default();
            let is_live = row[0].as_deref() == Some(Subject::Live.id());
            if row[2].as_deref() == Some("f") {
                *new.entry(position).or_default() += 1;
            } else if !new.contains_key(&position) {
                return Err(format!("{position} was called a replay when it first came"));
            }
            if is_live {
                descents += usize::from(position <= last);
                last = position;
            }
        }
        for position in handled {
            if !new.contains_key(position) {
                return Err(format!("{position} never came as a new message"));
            }
        }
        if !self.ledger.had_copy
            && let Some((position, times)) = new.iter().find(|(_, times)| **times > 1)
        {
            return Err(format!("{position} came as a new message {times} times"));
        }
        let is_one_line = !self.ledger.parks && !self.ledger.had_group && definition.keeps_order();
        if is_one_line && descents > self.ledger.replays {
            return Err(format!("{descents} calls were out of order"));
        }
        Ok(())
    }
}
