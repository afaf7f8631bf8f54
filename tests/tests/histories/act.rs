//! Steps, done.

use super::definition::Definition;
use super::model::Seen;
use super::step::{Blow, Call, Ending, Step, Subject};
use super::world::{Open, Outcome, World, let_go};
use promises::{Rows, SqlError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest batch of a tick.
const LONGEST_BATCH: i64 = 7;
/// How often we look whether a handler has come to where it is to be struck.
const LOOK_EVERY: Duration = Duration::from_micros(500);

impl Subject {
    /// Its subscriber id.
    pub fn id(self) -> &'static str {
        match self {
            Self::Live => "subject",
            Self::Copy => "subject#rebuild",
            Self::Outside => "outside",
        }
    }
}

impl Call {
    /// As SQL, with the streams it writes to. `number`: of the step, kept as the reason of a
    /// discarding.
    pub fn sql(
        &self,
        world: &mut World<'_>,
        definition: &Definition,
        number: usize,
    ) -> (String, Vec<usize>) {
        if self.may_end_leases() {
            world.doubt_leases();
        }
        if let Self::WriteAndTick(draft) = self {
            let writing = world.writing(std::slice::from_ref(draft), &[]);
            let (writing, streams) = writing.unwrap_or_else(|| ("SELECT".to_owned(), Vec::new()));
            let tick = "SELECT * FROM message_store.tick('subject')";
            return (format!("{writing}; {tick}"), streams);
        }
        (
            self.sql_without_writing(world, definition, number),
            Vec::new(),
        )
    }

    fn sql_without_writing(
        &self,
        world: &mut World<'_>,
        definition: &Definition,
        number: usize,
    ) -> String {
        let or_null =
            |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
        let of = |function: &str, subject: Subject| {
            format!("SELECT message_store.{function}('{}')", subject.id())
        };
        match self {
            Self::Tick(subject, batch, member) => format!(
                "SELECT last_value - (NOT is_called)::int FROM rm.failures; \
                 SELECT * FROM message_store.tick('{}', {}, {}); \
                 SELECT last_value - (NOT is_called)::int FROM rm.failures",
                subject.id(),
                or_null(*batch),
                or_null(*member)
            ),
            Self::RetryParked(subject, which) => {
                let position = which.and_then(|which| world.ledger.pick_poisoned(which));
                let id = subject.id();
                format!(
                    "SELECT message_store.retry_parked('{id}', {})",
                    or_null(position)
                )
            }
            Self::DiscardParked(subject, which) => {
                let position = which.and_then(|which| world.ledger.pick_poisoned(which));
                format!(
                    "SELECT message_store.discard_parked('{}', 'step {number}', {})",
                    subject.id(),
                    or_null(position)
                )
            }
            Self::Rebuild => of("rebuild", Subject::Live),
            Self::RebuildBeside => "SELECT message_store.rebuild('subject', true)".to_owned(),
            Self::Promote => of("promote", Subject::Live),
            Self::CancelRebuild => of("cancel_rebuild", Subject::Live),
            Self::Resize(subject, size) => format!(
                "SELECT message_store.resize_group('{}', {size})",
                subject.id()
            ),
            Self::Pause(subject) => of("pause", *subject),
            Self::Stop(subject) => of("stop", *subject),
            Self::Start(subject) => of("start", *subject),
            Self::AlterHandlers(shapes) => {
                let handlers = definition.handlers(shapes);
                format!("SELECT message_store.alter_subscription('subject', {handlers})")
            }
            Self::AlterPolicy(policy) => {
                world.ledger.allow(*policy);
                let options = policy.options();
                format!("SELECT message_store.alter_subscription('subject', NULL, '{{{options}}}')")
            }
            Self::AlterBatchSize(size) => format!(
                "SELECT message_store.alter_subscription('subject', NULL, '{{\"batch_size\": {size}}}')"
            ),
            Self::CreateAgain => creation(definition, 0),
            Self::Reset(Subject::Outside) => "SELECT message_store.reset('outside', 0, 'again'); \
                 DELETE FROM rm.handled_outside"
                .to_owned(),
            Self::Reset(_) => format!(
                "SELECT message_store.reset('subject', {}, 'again'); \
                 DELETE FROM rm.entities; SELECT rm.prepare()",
                world.ledger.start_position
            ),
            Self::Verify => {
                {
                    // The row that init makes is missing where it was never started.
                    "SELECT * FROM message_store.verify('subject') \
                 WHERE coalesce(expected, found) ->> 'stream' <> ''"
                        .to_owned()
                }
            }
            Self::DryRun => "SELECT * FROM message_store.dry_run('subject', NULL, 3)".to_owned(),
            Self::WriteAndTick(_) => String::new(),
        }
    }

    /// Whether it may answer with this error.
    fn may_fail(&self, world: &World<'_>, error: &SqlError) -> bool {
        let state = error.sqlstate.as_str();
        let is_poisoned = !world.ledger.poison.is_empty();
        match self {
            Self::Tick(Subject::Copy, ..)
            | Self::RetryParked(Subject::Copy, _)
            | Self::DiscardParked(Subject::Copy, _)
            | Self::Pause(Subject::Copy)
            | Self::Stop(Subject::Copy)
            | Self::Start(Subject::Copy)
                if state == "42704" =>
            {
                true
            }
            Self::RetryParked(Subject::Outside, _)
            | Self::DiscardParked(Subject::Outside, _)
            | Self::Pause(Subject::Outside)
            | Self::Stop(Subject::Outside)
            | Self::Start(Subject::Outside)
            | Self::Reset(Subject::Outside)
            | Self::Resize(Subject::Outside, _)
                if world.ledger.outside.is_none() =>
            {
                state == "42704"
            }
            Self::Tick(_, _, Some(_)) => state == "22023",
            // The copy has handled it.
            Self::DiscardParked(Subject::Live, _) => state == "55000",
            Self::Rebuild | Self::Reset(_) | Self::RebuildBeside | Self::Resize(..) => {
                state == "55000"
            }
            Self::Promote => state == "55000" || (is_poisoned && state == "38000"),
            Self::Verify | Self::DryRun => state == "55000" || (is_poisoned && state == "38000"),
            _ => false,
        }
    }

    /// The name it is counted by.
    fn name(&self) -> &'static str {
        match self {
            Self::Tick(Subject::Live, ..) => "tick",
            Self::Tick(..) => "tick of a copy",
            Self::RetryParked(..) => "retry_parked",
            Self::DiscardParked(..) => "discard_parked",
            Self::Rebuild => "rebuild in place",
            Self::RebuildBeside => "rebuild side by side",
            Self::Promote => "promote",
            Self::CancelRebuild => "cancel_rebuild",
            Self::Resize(Subject::Outside, _) => "resize_group outside",
            Self::Resize(..) => "resize_group",
            Self::Pause(_) => "pause",
            Self::Stop(_) => "stop",
            Self::Start(_) => "start",
            Self::AlterHandlers(_) | Self::AlterPolicy(_) | Self::AlterBatchSize(_) => "alter",
            Self::CreateAgain => "create again",
            Self::Reset(Subject::Outside) => "reset outside",
            Self::Reset(_) => "reset",
            Self::Verify => "verify",
            Self::DryRun => "dry_run",
            Self::WriteAndTick(_) => "write and tick",
        }
    }

    /// Whether the read model may be quite another afterwards.
    fn changes_much(&self) -> bool {
        matches!(
            self,
            Self::Promote | Self::Rebuild | Self::Reset(_) | Self::CancelRebuild
        )
    }
}

/// The call that creates the subscription.
pub fn creation(definition: &Definition, drawn: i64) -> String {
    format!(
        "SELECT message_store.create_subscription('subject', '{}', {}, {})",
        definition.source,
        definition.handlers(&definition.shapes),
        definition.options(drawn)
    )
}

impl World<'_> {
    /// Does one step. True where it is worth to look at everything afterwards.
    pub async fn act(
        &mut self,
        definition: &Definition,
        step: &Step,
        number: usize,
    ) -> Outcome<bool> {
        match step {
            Step::Write(drafts) => self.write(drafts).await?,
            Step::OpenWrite(writer, drafts) => self.open_write(*writer, drafts).await?,
            Step::EndWrite(writer, ending) => self.end_write(*writer, *ending).await?,
            Step::Call(call) => {
                self.call(definition, call, number).await?;
                return Ok(call.changes_much());
            }
            Step::CallTwice(call) => self.call_twice(definition, call, number).await?,
            Step::Hold(call) => self.hold(definition, call, number).await?,
            Step::EndHeld(ending) => self.end_held(*ending).await,
            Step::Race(first, second) => self.race(definition, first, second, number).await?,
            Step::Settle(subject) => {
                self.settle(definition, *subject, None).await?;
            }
            Step::Poison(at, kind) => {
                let position = 1 + *at as i64 % (self.ledger.drawn + 3);
                self.ledger.poison(position, kind);
                let sql = format!(
                    "INSERT INTO rm.poison VALUES ({position}, '{kind}') \
                     ON CONFLICT (position) DO UPDATE SET kind = excluded.kind"
                );
                self.watch.run(&sql).await.unwrap();
            }
            Step::Heal(which) => {
                let position = which.and_then(|which| self.ledger.pick_poisoned(which));
                self.heal(position).await;
            }
            Step::Fetch(..) | Step::Handle(..) | Step::Renew(_) | Step::RunOut
                if definition.outside.is_none() => {}
            Step::Fetch(who, count, member) => self.fetch(*who, *count, *member).await?,
            Step::Handle(who, at, fails, ending) => self.handle(*who, *at, *fails, *ending).await?,
            Step::Renew(who) => self.renew(*who).await?,
            Step::RunOut => self.let_leases_run_out().await,
            Step::Strike(batch, blow) => {
                self.strike(*batch, *blow).await?;
                return Ok(true);
            }
            Step::Crash => {
                self.crash().await;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes one message, or all, sound again.
    pub async fn heal(&mut self, position: Option<i64>) {
        let condition = match position {
            Some(position) => {
                self.ledger.poison.remove(&position);
                format!("position = {position}")
            }
            None => {
                self.ledger.poison.clear();
                "true".to_owned()
            }
        };
        let sql = format!("DELETE FROM rm.poison WHERE {condition}");
        self.watch.run(&sql).await.unwrap();
    }

    /// Makes a call in a transaction of its own.
    async fn call(&mut self, definition: &Definition, call: &Call, number: usize) -> Outcome<()> {
        let (sql, streams) = call.sql(self, definition, number);
        let session = Arc::clone(&self.steer);
        match self.perform(&session, &sql).await {
            Ok(rows) => {
                self.ledger.count(call.name());
                self.ledger.written(&streams);
                if call.ends_leases() {
                    self.lose_leases();
                }
                let watch = Arc::clone(&self.watch);
                self.ledger.called(&watch, call, number).await;
                self.judge(definition, call, &rows)
            }
            Err(error) if call.may_fail(self, &error) => {
                self.ledger.count("refused");
                Ok(())
            }
            Err(error) => Err(format!("{sql}: {error:?}")),
        }
    }

    /// What a call has answered.
    fn judge(&mut self, definition: &Definition, call: &Call, rows: &Rows) -> Outcome<()> {
        match call {
            Call::Tick(_, batch, _) => {
                let failures: Vec<i64> = [rows.first(), rows.last()]
                    .into_iter()
                    .flatten()
                    .filter_map(|row| row[0].as_deref()?.parse().ok())
                    .collect();
                let outcome = rows[1][0].as_deref().unwrap_or_default();
                self.ledger.count(outcome_name(outcome));
                if outcome == "busy" && self.held.is_none() {
                    return Err("busy, though nobody else ticks".to_owned());
                }
                let failed = failures[1] - failures[0];
                let one = match self.ledger.poison.values().next() {
                    Some(kind) if self.ledger.poison.len() == 1 => *kind,
                    _ => return Ok(()),
                };
                let batch = batch.unwrap_or(LONGEST_BATCH);
                let most = 1 + i64::from(batch.ilog2()) + i64::from(definition.per_handler);
                if ["raise", "transient"].contains(&one) && failed > most {
                    return Err(format!(
                        "one poisonous message made {failed} calls fail in a batch of {batch}"
                    ));
                }
                Ok(())
            }
            Call::Verify
                if definition.keeps_order() && !self.ledger.reorders && !rows.is_empty() =>
            {
                Err(format!("verify found differences: {rows:?}"))
            }
            _ => Ok(()),
        }
    }

    /// A call, taken back to a savepoint and made again, in one transaction.
    async fn call_twice(
        &mut self,
        definition: &Definition,
        call: &Call,
        number: usize,
    ) -> Outcome<()> {
        if matches!(call, Call::WriteAndTick(_)) {
            return self.call(definition, call, number).await;
        }
        let (sql, _) = call.sql(self, definition, number);
        let session = Arc::clone(&self.steer);
        let sql = format!("BEGIN; SAVEPOINT before; {sql}; ROLLBACK TO before; {sql}; COMMIT");
        match self.perform(&session, &sql).await {
            Ok(_) => {
                self.ledger.count("call twice");
                let watch = Arc::clone(&self.watch);
                self.ledger.called(&watch, call, number).await;
                Ok(())
            }
            Err(error) => {
                session.run("ROLLBACK").await.unwrap();
                if call.may_fail(self, &error) {
                    Ok(())
                } else {
                    Err(format!("{sql}: {error:?}"))
                }
            }
        }
    }

    /// Makes a call whose transaction stays open.
    async fn hold(&mut self, definition: &Definition, call: &Call, number: usize) -> Outcome<()> {
        let ending = self.ledger.coin(Ending::Commit, Ending::Rollback);
        self.end_held(ending).await;
        let (sql, streams) = call.sql(self, definition, number);
        let session = Arc::clone(&self.other);
        match session.run(&format!("BEGIN; {sql}")).await {
            Ok(_) => {
                self.ledger.count("hold");
                self.held = Some(Open {
                    streams,
                    call: Some((call.clone(), number)),
                    is_prepared: false,
                });
                Ok(())
            }
            Err(error) => {
                session.run("ROLLBACK").await.unwrap();
                if call.may_fail(self, &error) {
                    Ok(())
                } else {
                    Err(format!("{sql}: {error:?}"))
                }
            }
        }
    }

    /// Two calls at the same time.
    async fn race(
        &mut self,
        definition: &Definition,
        first: &Call,
        second: &Call,
        number: usize,
    ) -> Outcome<()> {
        if matches!(second, Call::WriteAndTick(_)) {
            return Ok(());
        }
        self.end_held(Ending::Commit).await;
        let sql = [first, second].map(|call| call.sql(self, definition, number).0);
        let (one, two) = tokio::join!(self.other.run(&sql[0]), self.steer.run(&sql[1]));
        self.ledger.count("race");
        for (answer, call, sql) in [(one, first, &sql[0]), (two, second, &sql[1])] {
            match answer {
                Ok(_) => {
                    let watch = Arc::clone(&self.watch);
                    self.ledger.called(&watch, call, number).await;
                }
                Err(error) if error.sqlstate == "40P01" => self.ledger.count("deadlock"),
                Err(error) if call.may_fail(self, &error) => {}
                // The other call may have made or dropped the copy.
                Err(error) if ["42704", "55000", "22023"].contains(&error.sqlstate.as_str()) => {}
                Err(error) => return Err(format!("race: {sql}: {error:?}")),
            }
        }
        Ok(())
    }

    /// Ticks until there is nothing to do, and sees that there is indeed nothing.
    pub async fn settle(
        &mut self,
        definition: &Definition,
        subject: Subject,
        batch: Option<i64>,
    ) -> Outcome<String> {
        let most = 10 * (self.ledger.drawn + 10) + 8 * self.ledger.poison.len() as i64;
        let session = Arc::clone(&self.steer);
        for _ in 0..most {
            let sql = format!(
                "SELECT outcome FROM message_store.tick('{}', {})",
                subject.id(),
                or_null(batch)
            );
            let outcome = match self.perform(&session, &sql).await {
                Ok(rows) => rows[0][0].clone().unwrap_or_default(),
                Err(error) if subject == Subject::Copy && error.sqlstate == "42704" => {
                    return Ok(String::new());
                }
                Err(error) => return Err(format!("{sql}: {error:?}")),
            };
            self.ledger.count(outcome_name(&outcome));
            if outcome == "idle" && subject == Subject::Live && self.held.is_none() {
                let seen = Seen::look(&self.watch, self.held.as_ref(), &self.ledger).await;
                seen.is_idle(definition, &self.ledger)?;
            }
            if !["progressed", "retrying"].contains(&outcome.as_str()) {
                return Ok(outcome);
            }
        }
        let endless = ["transient", "flaky"];
        if self
            .ledger
            .poison
            .values()
            .any(|kind| endless.contains(kind))
        {
            return Ok(String::new());
        }
        Err(format!("{} is not done after {most} ticks", subject.id()))
    }

    /// A tick that ends from outside, in the middle of a handler's call.
    async fn strike(&mut self, batch: i64, blow: Blow) -> Outcome<()> {
        self.end_held(Ending::Commit).await;
        let block = "SELECT pg_advisory_lock(1); INSERT INTO rm.poison VALUES (0, 'block')";
        self.watch.run(block).await.unwrap();
        let other = Arc::clone(&self.other);
        let sql = format!("SELECT outcome FROM message_store.tick('subject', {batch})");
        let tick = tokio::spawn(async move { other.simple_query(&sql).await.is_ok() });
        let started = Instant::now();
        let waits = format!(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {} AND NOT granted)",
            self.other.pid
        );
        while !tick.is_finished() && self.watch.value(&waits).await.as_deref() != Some("t") {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the tick hangs"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let is_struck = !tick.is_finished();
        if is_struck {
            self.ledger.count(match blow {
                Blow::Terminate => "struck: terminated",
                Blow::Cancel => "struck: cancelled",
                Blow::Crash => "struck: crashed",
            });
        }
        match blow {
            Blow::Crash => self.crash().await,
            Blow::Terminate if is_struck => self.end_other().await,
            Blow::Cancel if is_struck => {
                let cancel = format!("SELECT pg_cancel_backend({})", self.other.pid);
                self.watch.run(&cancel).await.unwrap();
            }
            _ => {}
        }
        let has_succeeded = tick.await.unwrap();
        let_go(&self.other).await;
        let release = "SELECT pg_advisory_unlock_all(); DELETE FROM rm.poison WHERE position = 0";
        self.watch.run(release).await.unwrap();
        if is_struck == has_succeeded && !matches!(blow, Blow::Crash) {
            return Err(format!(
                "a tick that was struck {is_struck} ended {has_succeeded}"
            ));
        }
        Ok(())
    }
}

fn or_null(value: Option<i64>) -> String {
    value.map_or("NULL".to_owned(), |value| value.to_string())
}

/// Outcomes of ticks, as they are counted.
fn outcome_name(outcome: &str) -> &'static str {
    let known = [
        "outcome progressed",
        "outcome idle",
        "outcome held_back",
        "outcome busy",
        "outcome retrying",
        "outcome stopped",
        "outcome paused",
    ];
    let named = known.into_iter().find(|known| known.ends_with(outcome));
    named.unwrap_or("outcome unknown")
}
