//! Many subscriptions to one category in a store of their own, ticked by one orchestrator.

use std::time::{Duration, Instant};

use promises::{Cluster, Database, Running, Session};

use crate::comparison::Identity;
use crate::processor::Meter;
use crate::server::drop_database;
use crate::viewing;

/// The pause between two looks how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long nothing may change while something is still to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handler that does nothing: what is measured is all the rest.
pub const HANDLER: &str = "CREATE FUNCTION public.see(global_positions bigint[]) RETURNS void \
     LANGUAGE sql AS ''";
/// How far each of them is.
pub const POSITIONS: &str =
    "SELECT position FROM message_store.subscription_progress ORDER BY subscriber_id";
const LEAST_POSITION: &str = "SELECT min(position) FROM message_store.subscription_progress";
const HEAD: &str = "SELECT max(global_position) FROM message_store.messages";

/// Those who write beside none of them.
pub fn alone() -> Identity {
    Identity::new("writers alone", "no subscription and no orchestrator")
}

/// Them, their store and their orchestrator.
pub struct Subscribers<'a> {
    /// The store.
    pub database: Database<'a>,
    session: Session,
    count: usize,
    /// None where there is nothing to tick.
    running: Option<Running>,
}

impl<'a> Subscribers<'a> {
    /// Makes so many in a new store and starts the orchestrator; returns when each has handled a
    /// first message. With none there is no orchestrator.
    pub async fn start(cluster: &'a Cluster, count: usize) -> Self {
        let database = cluster.create_store().await;
        let session = database.connect().await;
        session.run(HANDLER).await.unwrap();
        let create = format!(
            "SELECT message_store.create_subscription(id, 'viewings', \
                      '{{\"VideoViewed\": \"public.see\"}}'), \
                    message_store.start(id) \
             FROM (SELECT 'aggregators:' || n AS id FROM generate_series(1, {count}) n) AS ids"
        );
        session.run(&create).await.unwrap();
        let running = (count > 0).then(|| database.deploy("").start());
        let subscribers = Self {
            database,
            session,
            count,
            running,
        };
        let first = viewing::write_to("'viewings-first'");
        subscribers.session.run(&first).await.unwrap();
        subscribers.until_handled(subscribers.head().await).await;
        subscribers
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
        let least_position = self.session.prepare(LEAST_POSITION).await.unwrap();
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
        let running = self.running.as_ref()?;
        Some(Meter::start(&self.session, running.pid()).await)
    }

    /// Fails unless each of them has handled every message once; stops and removes all.
    pub async fn stop(self) {
        let wrong = "SELECT count(*) FROM message_store.subscription_progress \
             WHERE handled <> (SELECT count(*) FROM message_store.messages)";
        let wrong = self.session.bigint(wrong).await;
        assert_eq!(wrong, 0, "each handles every message once");
        if let Some(running) = self.running {
            running.stop();
        }
        drop_database(self.database).await;
    }
}
