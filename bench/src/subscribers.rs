//! Many subscriptions to one category in a store of their own, ticked by one orchestrator, or by
//! plain SQL.

use std::time::{Duration, Instant};

use promises::{Cluster, Database, Running, Session};
use tokio::task::JoinHandle;

use crate::comparison::Identity;
use crate::processor::Meter;
use crate::server::drop_database;
use crate::viewing;

mod plain;

/// The pause between two looks how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long nothing may change while something is still to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handler that does nothing: what is measured is all the rest.
pub const HANDLER: &str = "CREATE FUNCTION public.see(global_positions bigint[]) RETURNS void \
     LANGUAGE sql AS ''";
const POSITIONS: &str =
    "SELECT position FROM message_store.subscription_progress ORDER BY subscriber_id";
const LEAST_POSITION: &str = "SELECT min(position) FROM message_store.subscription_progress";
const WRONG: &str = "SELECT count(*) FROM message_store.subscription_progress \
     WHERE handled <> (SELECT count(*) FROM message_store.messages \
                       WHERE message_store.category(stream_name) = 'viewings')";
const HEAD: &str = "SELECT max(global_position) FROM message_store.messages \
     WHERE message_store.category(stream_name) = 'viewings'";

/// Those who write beside none of them.
pub fn alone() -> Identity {
    Identity::new("writers alone", "no subscription and no orchestrator")
}

/// As many that plain SQL ticks.
pub fn beside_plain() -> Identity {
    Identity::new(
        "writers beside plain SQL",
        "one UPDATE a tick, as often; calls no handler and skips messages of writers at the same time",
    )
}

/// Who ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One orchestrator.
    Ours,
    /// One session with the least that a tick can be.
    Plain,
}

/// What ticks them.
enum Ticking {
    /// There is nothing to tick.
    Nothing,
    Orchestrator(Running),
    Plain(JoinHandle<()>),
}

/// Them, their store and what ticks them.
pub struct Subscribers<'a> {
    /// The store.
    pub database: Database<'a>,
    session: Session,
    count: usize,
    ticking: Ticking,
}

impl<'a> Subscribers<'a> {
    /// Makes so many in a new store and lets them be ticked; returns when each has handled a first
    /// message.
    pub async fn start(cluster: &'a Cluster, kind: Kind, count: usize) -> Self {
        let database = cluster.create_store().await;
        let session = database.connect().await;
        let ticking = match kind {
            _ if count == 0 => Ticking::Nothing,
            Kind::Plain => Ticking::Plain(plain::start(&database, count).await),
            Kind::Ours => Ticking::Orchestrator(subscribe(&database, &session, count).await),
        };
        let subscribers = Self {
            database,
            session,
            count,
            ticking,
        };
        let first = viewing::write_to("'viewings-first'");
        subscribers.session.run(&first).await.unwrap();
        subscribers.until_handled(subscribers.head().await).await;
        subscribers
    }

    /// A query for how far each of them is.
    pub fn positions(&self) -> &'static str {
        match self.ticking {
            Ticking::Plain(_) => plain::POSITIONS,
            Ticking::Orchestrator(_) | Ticking::Nothing => POSITIONS,
        }
    }

    /// A session in their store.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The position of the last message.
    pub async fn head(&self) -> i64 {
        self.session.bigint(HEAD).await
    }

    /// Waits until all of them have handled what is up to a position, as long as they move.
    pub async fn until_handled(&self, position: i64) {
        if self.count == 0 {
            return;
        }
        let least_position = match self.ticking {
            Ticking::Plain(_) => plain::LEAST_POSITION,
            Ticking::Orchestrator(_) | Ticking::Nothing => LEAST_POSITION,
        };
        let least_position = self.session.prepare(least_position).await.unwrap();
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let row = self.session.query_one(&least_position, &[]).await.unwrap();
            let least: i64 = row.get(0);
            if least >= position {
                return;
            }
            if least != last {
                (last, moved) = (least, Instant::now());
            }
            assert!(moved.elapsed() < PATIENCE, "{least} is not {position}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Begins to count the processor time of the orchestrator and its sessions.
    pub async fn meter(&self) -> Option<Meter<'_>> {
        let Ticking::Orchestrator(running) = &self.ticking else {
            return None;
        };
        Some(Meter::start(&self.session, running.pid()).await)
    }

    /// Fails unless each of ours has handled every message once; stops and removes all.
    pub async fn stop(self) {
        match self.ticking {
            Ticking::Nothing => {}
            Ticking::Plain(ticking) => ticking.abort(),
            Ticking::Orchestrator(running) => {
                let wrong = self.session.bigint(WRONG).await;
                assert_eq!(wrong, 0, "each handles every message once");
                running.stop();
            }
        }
        drop_database(self.database).await;
    }
}

/// Makes so many and starts their orchestrator.
async fn subscribe(database: &Database<'_>, session: &Session, count: usize) -> Running {
    session.run(HANDLER).await.unwrap();
    let create = format!(
        "SELECT message_store.create_subscription(id, 'viewings', \
                  '{{\"VideoViewed\": \"public.see\"}}'), \
                message_store.start(id) \
         FROM (SELECT 'aggregators:' || n AS id FROM generate_series(1, {count}) n) AS ids"
    );
    session.run(&create).await.unwrap();
    database.deploy("").start()
}
