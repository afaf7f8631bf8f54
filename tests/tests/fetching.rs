//! Promise: an application that acknowledges what it has handled handles every message once and in
//! order, whatever becomes of its leases.
//!
//! Histories are made at random: applications fetch, acknowledge, park and renew, leases run out,
//! the subscription is reset under them, its group resized, parked messages retried and discarded.
//! What an application has handled it writes down in the transaction that acknowledges it. After each
//! step that must be what the log, the positions and the parked messages say.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use promises::{Cluster, Rows, Session, SqlError, check_property};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use subscriber::{create_with, texts};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

const CASES: u32 = 120;
const APPLICATIONS: usize = 3;
const STREAMS: [&str; 5] = ["a-1", "a-2", "a-3+x", "a-3+y", "a"];

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    /// Messages in one batch, by the numbers of their streams.
    Write(Vec<usize>),
    /// By an application, so many, for a member where it is said.
    Fetch(usize, i64, Option<i64>),
    /// What an application has fetched, up to this one of it.
    Ack(usize, usize),
    /// An application cannot handle this one of what it has fetched; it has handled those before.
    Park(usize, usize),
    Renew(usize),
    /// All leases run out.
    Expire,
    Reset,
    Resize(i64),
    Retry,
    Discard,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..APPLICATIONS;
    let member = prop::option::weighted(0.3, 0..3_i64);
    prop_oneof![
        6 => prop::collection::vec(0..STREAMS.len(), 1..6).prop_map(Step::Write),
        8 => (who(), 1..6_i64, member).prop_map(|(who, count, member)| Step::Fetch(who, count, member)),
        8 => (who(), 0..6_usize).prop_map(|(who, at)| Step::Ack(who, at)),
        3 => (who(), 0..6_usize).prop_map(|(who, at)| Step::Park(who, at)),
        1 => who().prop_map(Step::Renew),
        1 => Just(Step::Expire),
        1 => Just(Step::Reset),
        1 => (1..4_i64).prop_map(Step::Resize),
        2 => Just(Step::Retry),
        1 => Just(Step::Discard),
    ]
}

/// What an application has fetched and not acknowledged.
#[derive(Clone, Debug)]
struct Held {
    lease: i64,
    positions: Vec<i64>,
    /// Nothing has happened that may have ended the lease.
    is_sure: bool,
}

struct Application {
    session: Session,
    held: Option<Held>,
}

struct World {
    admin: Session,
    applications: Vec<Application>,
}

/// What is handled, and what should be, of each stream.
const DIFFERENCES: &str = "
    WITH progress AS (
      SELECT * FROM message_store.subscription_progress WHERE subscriber_id = 's'
    ), size AS (
      SELECT max(group_size) FILTER (WHERE member >= 0) AS new,
             max(group_size) FILTER (WHERE member < 0) AS old, max(drains_until) AS until
      FROM progress
    ), expected AS (
      SELECT m.stream_name, array_agg(m.global_position ORDER BY m.global_position) AS positions
      FROM message_store.messages m, size
      CROSS JOIN LATERAL (
        SELECT coalesce(abs(message_store.hash_64(message_store.cardinal_id(m.stream_name::varchar))), 0) AS hash
      ) AS h
      LEFT JOIN progress own ON own.member = h.hash % size.new
      LEFT JOIN progress draining ON draining.member = -1 - h.hash % size.old
      WHERE m.global_position <= CASE WHEN size.old IS NULL THEN own.position
                                 ELSE coalesce(draining.position, size.until) END
        AND NOT EXISTS (SELECT FROM message_store.parked p
                        WHERE p.subscriber_id = 's' AND p.global_position = m.global_position)
      GROUP BY 1
    ), found AS (
      -- Where a message is discarded while an application has it, the application decides.
      SELECT stream_name, array_agg(position ORDER BY entry) AS positions FROM done
      WHERE NOT EXISTS (SELECT FROM message_store.parked p
                        WHERE p.global_position = position AND p.status = 'discarded')
      GROUP BY 1
    )
    SELECT stream_name, found.positions, expected.positions
    FROM found FULL JOIN expected USING (stream_name)
    WHERE found.positions IS DISTINCT FROM expected.positions";

impl World {
    async fn new() -> Self {
        let database = Cluster::shared().create_store().await;
        let admin = database.connect().await;
        admin
            .run("CREATE TABLE done (entry bigserial, stream_name text, position bigint)")
            .await
            .unwrap();
        let mut applications = Vec::new();
        for _ in 0..APPLICATIONS {
            let session = database.connect().await;
            applications.push(Application {
                session,
                held: None,
            });
        }
        Self {
            admin,
            applications,
        }
    }

    async fn begin(&mut self, group_size: i64) {
        self.admin
            .run(
                "SELECT message_store.drop_subscription('s'); TRUNCATE done;
                 TRUNCATE message_store.messages RESTART IDENTITY",
            )
            .await
            .unwrap();
        let options = format!("{{\"on_failure\": \"park\", \"group_size\": {group_size}}}");
        create_with(&self.admin, "s", "a", "{}", &options).await;
        for application in &mut self.applications {
            application.held = None;
        }
    }

    async fn act(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write(streams) => {
                let elements: Vec<String> = streams
                    .iter()
                    .map(|stream| {
                        format!("ROW('{}', 'T', NULL, NULL, NULL, NULL)", STREAMS[*stream])
                    })
                    .collect();
                let write = format!(
                    "SELECT message_store.write_messages(ARRAY[{}]::message_store.new_message[])",
                    elements.join(", ")
                );
                self.admin.run(&write).await.unwrap();
            }
            Step::Fetch(who, count, member) => self.fetch(*who, *count, *member).await?,
            Step::Ack(who, at) => {
                let Some(held) = self.applications[*who].held.clone() else {
                    return Ok(());
                };
                let at = at % held.positions.len();
                let (handled, left) = held.positions.split_at(at + 1);
                let call = format!("ack('s', {}, {})", held.positions[at], held.lease);
                let left = (!left.is_empty()).then(|| left.to_vec());
                self.settle(*who, handled, &call, left).await?;
            }
            Step::Park(who, at) => {
                let Some(held) = self.applications[*who].held.clone() else {
                    return Ok(());
                };
                let at = at % held.positions.len();
                let call = format!("park('s', {}, 'no', {})", held.positions[at], held.lease);
                self.settle(*who, &held.positions[..at], &call, None)
                    .await?;
            }
            Step::Renew(who) => {
                if let Some(held) = self.applications[*who].held.clone() {
                    let call = format!("renew('s', '1 h', {})", held.lease);
                    self.settle(*who, &[], &call, Some(held.positions)).await?;
                }
            }
            Step::Expire => {
                let expire = "UPDATE message_store.subscription_progress \
                              SET leased_until = clock_timestamp() - interval '1 s'";
                self.admin.run(expire).await.unwrap();
                self.doubt();
            }
            Step::Reset => {
                let reset = "BEGIN; SELECT message_store.reset('s', 0, 'test'); \
                             TRUNCATE done; COMMIT";
                self.steer(reset).await?;
                self.doubt();
            }
            Step::Resize(size) => {
                self.steer(&format!("SELECT message_store.resize_group('s', {size})"))
                    .await?;
                self.doubt();
            }
            Step::Retry => self.steer("SELECT message_store.retry_parked('s')").await?,
            Step::Discard => {
                self.steer("SELECT message_store.discard_parked('s', 'test')")
                    .await?;
                self.doubt();
            }
        }
        Ok(())
    }

    /// A call by a person; while a group drains some are refused.
    async fn steer(&self, sql: &str) -> Result<(), TestCaseError> {
        if let Err(error) = self.admin.run(sql).await {
            self.admin.run("ROLLBACK").await.unwrap();
            prop_assert_eq!(&error.sqlstate, "55000", "{}: {:?}", sql, error);
        }
        Ok(())
    }

    fn doubt(&mut self) {
        for held in self
            .applications
            .iter_mut()
            .filter_map(|one| one.held.as_mut())
        {
            held.is_sure = false;
        }
    }

    async fn fetch(
        &mut self,
        who: usize,
        count: i64,
        member: Option<i64>,
    ) -> Result<(), TestCaseError> {
        let member = member.map_or("NULL".to_owned(), |member| member.to_string());
        let fetch = format!(
            "SELECT global_position, lease FROM message_store.fetch('s', {count}, '1 h', {member})"
        );
        let rows = match self.applications[who].session.run(&fetch).await {
            Ok(rows) => rows,
            Err(error) => {
                prop_assert_eq!(&error.sqlstate, "22023", "{:?}", error);
                return Ok(());
            }
        };
        let Some(held) = held(&rows) else {
            return Ok(());
        };
        prop_assert!(held.positions.len() as i64 <= count);
        prop_assert!(held.positions.is_sorted_by(|one, next| one < next));
        for (other, application) in self.applications.iter().enumerate() {
            if let Some(others) = application.held.as_ref().filter(|held| held.is_sure)
                && other != who
            {
                let both = others
                    .positions
                    .iter()
                    .find(|at| held.positions.contains(at));
                prop_assert_eq!(both, None, "{} and {} have it", who, other);
            }
        }
        self.applications[who].held = Some(held);
        Ok(())
    }

    /// Writes down what is handled in one transaction with a call about the lease. What the
    /// application holds after it: `left`, or nothing any more.
    async fn settle(
        &mut self,
        who: usize,
        handled: &[i64],
        call: &str,
        left: Option<Vec<i64>>,
    ) -> Result<(), TestCaseError> {
        let application = &mut self.applications[who];
        let sql = format!(
            "BEGIN;
             INSERT INTO done (stream_name, position)
             SELECT stream_name, global_position FROM message_store.messages
             WHERE global_position = ANY ('{{{}}}') ORDER BY global_position;
             SELECT message_store.{call}; COMMIT",
            handled
                .iter()
                .map(i64::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        );
        let answer: Result<Rows, SqlError> = application.session.run(&sql).await;
        let before = application.held.take();
        match answer {
            Ok(_) => {
                application.held = before
                    .zip(left)
                    .map(|(held, positions)| Held { positions, ..held });
            }
            Err(error) => {
                application.session.run("ROLLBACK").await.unwrap();
                let is_sure = before.is_some_and(|held| held.is_sure);
                prop_assert!(!is_sure, "{}: {:?}", call, error);
                prop_assert!(
                    ["55000", "22023"].contains(&error.sqlstate.as_str()),
                    "{:?}",
                    error
                );
            }
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), TestCaseError> {
        let differences = texts(&self.admin, DIFFERENCES).await;
        prop_assert!(differences.is_empty(), "{:#?}", differences);
        Ok(())
    }

    /// Everything that is left is fetched and handled by one application.
    async fn finish(&mut self) -> Result<(), TestCaseError> {
        self.act(&Step::Expire).await?;
        let unfinished =
            "SELECT (SELECT count(*) FROM message_store.parked WHERE status <> 'discarded')
            + (SELECT count(*) FROM message_store.subscription_progress WHERE member < 0)";
        loop {
            // A fetch that ends a draining member may hand out nothing.
            let was_finished = self.admin.bigint(unfinished).await == 0;
            self.fetch(0, 4, None).await?;
            if let Some(held) = &self.applications[0].held {
                let last = held.positions.len() - 1;
                self.act(&Step::Ack(0, last)).await?;
                self.check().await?;
            } else if was_finished {
                break;
            } else {
                self.act(&Step::Retry).await?;
            }
        }
        let left = "SELECT count(*) FROM message_store.messages
                    WHERE global_position NOT IN (SELECT position FROM done)
                      AND global_position NOT IN (SELECT global_position FROM message_store.parked)";
        prop_assert_eq!(self.admin.bigint(left).await, 0);
        Ok(())
    }
}

fn held(rows: &Rows) -> Option<Held> {
    let number = |value: &Option<String>| value.as_deref().unwrap().parse().unwrap();
    let lease = rows.first().map(|row| number(&row[1]))?;
    Some(Held {
        lease,
        positions: rows.iter().map(|row| number(&row[0])).collect(),
        is_sure: true,
    })
}

#[test]
fn an_application_handles_every_message_once_and_in_order_whatever_becomes_of_its_leases() {
    let runtime = Runtime::new().unwrap();
    let world = Mutex::new(runtime.block_on(World::new()));
    let histories = (1..4_i64, prop::collection::vec(step(), 1..40));
    check_property(&runtime, CASES, &histories, async |(group_size, steps)| {
        let mut world = world.lock().await;
        world.begin(group_size).await;
        for step in &steps {
            world.act(step).await?;
            world.check().await?;
        }
        world.finish().await
    });
}
