//! Applications that fetch the messages of the subscription `outside`, handle them, and acknowledge
//! or park them in the transaction in which they write down what they have handled.

use super::ledger::Ledger;
use super::model::Seen;
use super::step::{Call, Ending, Subject};
use super::world::{Outcome, World, let_go};
use promises::{Rows, Session};
use std::sync::Arc;

/// Applications that share the subscription.
pub const APPLICATIONS: usize = 2;
/// Errors of an application that is too late, or asks for a member that there is not now.
const TOO_LATE: [&str; 2] = ["55000", "22023"];
/// Messages that an application asks for, where no step says how many.
const MOST: i64 = 5;

/// What an application has fetched and not dealt with.
#[derive(Clone)]
pub struct Fetched {
    lease: i64,
    positions: Vec<i64>,
    state: Lease,
}

/// What has become of a lease.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// It runs.
    Held,
    /// Something has happened that may have ended it.
    InDoubt,
    /// It has ended.
    Lost,
}

/// One of those who fetch.
pub struct Application {
    pub session: Arc<Session>,
    pub fetched: Option<Fetched>,
}

impl World<'_> {
    /// Whatever applications have fetched, others may get it now.
    pub fn doubt_leases(&mut self) {
        for fetched in self.applications.iter_mut().filter_map(fetched_by) {
            if fetched.state == Lease::Held {
                fetched.state = Lease::InDoubt;
            }
        }
    }

    /// No lease is worth anything any more.
    pub fn lose_leases(&mut self) {
        for fetched in self.applications.iter_mut().filter_map(fetched_by) {
            fetched.state = Lease::Lost;
        }
    }

    /// All leases run out.
    pub async fn let_leases_run_out(&mut self) {
        let run_out = "UPDATE message_store.subscription_progress \
                       SET leased_until = clock_timestamp() - interval '1 s' \
                       WHERE subscriber_id = 'outside'";
        // Whoever looks cannot wait for the transaction that is held open.
        let ending = self.ledger.coin(Ending::Commit, Ending::Rollback);
        self.end_held(ending).await;
        self.watch.run(run_out).await.unwrap();
        self.lose_leases();
    }

    /// An application asks for messages: no other one may have them.
    pub async fn fetch(&mut self, who: usize, count: i64, member: Option<i64>) -> Outcome<()> {
        let member = member.map_or("NULL".to_owned(), |member| member.to_string());
        let sql = format!(
            "SELECT global_position, lease \
             FROM message_store.fetch('outside', {count}, '1 h', {member})"
        );
        let session = Arc::clone(&self.applications[who].session);
        let rows = match self.perform(&session, &sql).await {
            Ok(rows) => rows,
            Err(error) if member != "NULL" && error.sqlstate == "22023" => return Ok(()),
            Err(error) => return Err(format!("{sql}: {error:?}")),
        };
        let Some(fetched) = fetched(&rows) else {
            self.ledger.count("fetched nothing");
            return Ok(());
        };
        self.ledger.count("fetched");
        let Fetched { positions, .. } = &fetched;
        if positions.len() as i64 > count || !positions.is_sorted_by(|one, next| one < next) {
            return Err(format!("fetched {positions:?}, {count} at most"));
        }
        let others = self.applications.iter().enumerate();
        for (_, other) in others.filter(|(other, _)| *other != who) {
            let has = |position: &&i64| {
                let theirs = other.fetched.as_ref();
                theirs.is_some_and(|fetched| {
                    fetched.state == Lease::Held && fetched.positions.contains(position)
                })
            };
            if let Some(both) = positions.iter().find(has) {
                return Err(format!("two applications have {both}"));
            }
        }
        self.applications[who].fetched = Some(fetched);
        Ok(())
    }

    /// An application handles what it has fetched up to this one of it, at which it may fail, and says
    /// so. A message that it cannot handle it parks. If it has fetched nothing, it fetches first.
    pub async fn handle(
        &mut self,
        who: usize,
        at: usize,
        fails: bool,
        ending: Ending,
    ) -> Outcome<()> {
        if self.applications[who].fetched.is_none() {
            self.fetch(who, MOST, None).await?;
        }
        let Some(fetched) = self.applications[who].fetched.clone() else {
            return Ok(());
        };
        let Fetched {
            lease, positions, ..
        } = &fetched;
        let last = at % positions.len();
        let upto = &positions[..=last];
        let poisoned = upto
            .iter()
            .position(|position| self.ledger.fails(*position));
        let first_at_fault = poisoned.or(fails.then_some(last));
        let (handled, call, left) = match first_at_fault {
            Some(at) => {
                let call = format!("park('outside', {}, 'cannot', {lease})", upto[at]);
                // The lease ends with it, whatever is left.
                let left = Fetched {
                    state: Lease::Lost,
                    ..fetched.clone()
                };
                (&upto[..at], call, Some(left))
            }
            None => {
                let call = format!("ack('outside', {}, {lease})", upto[upto.len() - 1]);
                let left = &positions[upto.len()..];
                let left = (!left.is_empty()).then(|| Fetched {
                    positions: left.to_vec(),
                    ..fetched.clone()
                });
                (upto, call, left)
            }
        };
        self.ledger.count(if first_at_fault.is_some() {
            "parked by an application"
        } else {
            "acknowledged"
        });
        self.settle_lease(who, handled, &call, ending, left).await
    }

    /// An application that is not done yet keeps its lease.
    pub async fn renew(&mut self, who: usize) -> Outcome<()> {
        let Some(fetched) = self.applications[who].fetched.clone() else {
            return Ok(());
        };
        let call = format!("renew('outside', '1 h', {})", fetched.lease);
        self.settle_lease(who, &[], &call, Ending::Commit, Some(fetched))
            .await
    }

    /// Writes down what is handled in one transaction with a call about the lease. What the
    /// application has after its commit: `left`.
    async fn settle_lease(
        &mut self,
        who: usize,
        handled: &[i64],
        call: &str,
        ending: Ending,
        left: Option<Fetched>,
    ) -> Outcome<()> {
        let session = Arc::clone(&self.applications[who].session);
        let end = match ending {
            Ending::Commit | Ending::Prepare => "; COMMIT",
            Ending::Rollback => "; ROLLBACK",
            Ending::Terminate => "",
        };
        let sql = format!(
            "BEGIN; INSERT INTO rm.handled_outside (stream, position) \
             SELECT stream_name, global_position FROM message_store.messages \
             WHERE global_position = ANY ('{{{}}}') ORDER BY global_position; \
             SELECT message_store.{call}{end}",
            handled
                .iter()
                .map(i64::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        );
        let answer = self.perform(&session, &sql).await;
        let is_committed = end == "; COMMIT";
        let state = self.applications[who].fetched.as_ref();
        let state = state.map_or(Lease::Lost, |fetched| fetched.state);
        match answer {
            Ok(_) if state == Lease::Lost => return Err(format!("{call}, and its lease was lost")),
            Ok(_) if is_committed => self.applications[who].fetched = left,
            Ok(_) if end.is_empty() => {
                self.terminate(session.pid).await;
                self.applications[who].session = self.connect().await;
            }
            Ok(_) => {}
            Err(error) => {
                session.run("ROLLBACK").await.unwrap();
                let_go(&session).await;
                self.applications[who].fetched = None;
                if state == Lease::Held || !TOO_LATE.contains(&error.sqlstate.as_str()) {
                    return Err(format!("{call}: {error:?}"));
                }
                self.ledger.count("too late with a lease");
            }
        }
        Ok(())
    }

    /// One application deals with everything that is left, parked messages too.
    pub async fn finish_outside(&mut self, definition: &super::Definition) -> Outcome<()> {
        self.ask("SELECT message_store.start('outside')").await?;
        self.let_leases_run_out().await;
        let unfinished = "SELECT (SELECT count(*) FROM message_store.parked \
                                  WHERE subscriber_id = 'outside' AND status <> 'discarded') \
                               + (SELECT count(*) FROM message_store.subscription_progress \
                                  WHERE subscriber_id = 'outside' AND member < 0)";
        let most = 10 * (self.ledger.drawn + 10);
        for _ in 0..most {
            // A fetch that ends a draining member may hand out nothing.
            let was_finished = self.watch.bigint(unfinished).await == 0;
            self.applications[0].fetched = None;
            self.fetch(0, MOST, None).await?;
            if let Some(fetched) = &self.applications[0].fetched {
                let last = fetched.positions.len() - 1;
                self.handle(0, last, false, Ending::Commit).await?;
            } else if was_finished {
                let seen = Seen::look(&self.watch, None, &self.ledger).await;
                return seen.check_complete_outside(definition, &self.ledger);
            } else {
                self.ask("SELECT message_store.retry_parked('outside')")
                    .await?;
            }
        }
        Err(format!("outside is not done after {most} fetches"))
    }
}

impl Call {
    /// Whether it ends all leases.
    pub fn ends_leases(&self) -> bool {
        matches!(self, Self::Reset(Subject::Outside))
    }

    /// Whether it may end leases.
    pub fn may_end_leases(&self) -> bool {
        matches!(
            self,
            Self::Reset(Subject::Outside)
                | Self::Resize(Subject::Outside, _)
                | Self::DiscardParked(Subject::Outside, _)
        )
    }
}

impl Ledger {
    /// Whether an application fails at a message now.
    fn fails(&self, position: i64) -> bool {
        let kind = self.poison.get(&position);
        kind.is_some_and(|kind| ["raise", "deferred", "flaky"].contains(kind))
    }
}

fn fetched_by(application: &mut Application) -> Option<&mut Fetched> {
    application.fetched.as_mut()
}

fn fetched(rows: &Rows) -> Option<Fetched> {
    let number = |value: &Option<String>| value.as_deref().unwrap().parse().unwrap();
    Some(Fetched {
        lease: rows.first().map(|row| number(&row[1]))?,
        positions: rows.iter().map(|row| number(&row[0])).collect(),
        state: Lease::Held,
    })
}
