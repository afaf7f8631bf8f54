//! Promise: a consumer of the client crate handles each message in order, keeps its messages while it
//! handles them, however long that takes, and outlives the database.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use message_store_client::{Consumer, Error, Failure, connection::Target, database};
use promises::{Cluster, Database, Session, StopMode};
use subscriber::{create_with, write};
use tokio::sync::Notify;

const POSITION: &str = "SELECT position FROM message_store.subscription_progress";

async fn set_up(database: &Database<'_>, messages: usize) -> Session {
    let session = database.connect().await;
    create_with(&session, "s", "a", "{}", "{}").await;
    for _ in 0..messages {
        write(&session, "a-1", "A").await;
    }
    session
}

fn consumer(database: &Database<'_>) -> Consumer {
    let target = Target::parse(&database.url("postgres"), "the test").unwrap();
    Consumer::new(&database::Database::open(&target, 2).unwrap(), "s")
}

/// What it has handled, by global position.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<Vec<i64>>>);

impl Handled {
    fn add(&self, position: i64) {
        self.0.lock().unwrap().push(position);
    }

    fn all(&self) -> Vec<i64> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_message_that_takes_longer_than_the_lease_is_handled_by_nobody_else() {
    let database = Cluster::shared().create_store().await;
    let session = set_up(&database, 2).await;
    let (handled, may_end) = (Handled::default(), Arc::new(Notify::new()));
    let (seen, wait) = (handled.clone(), may_end.clone());
    let slow = consumer(&database).lease(Duration::from_secs(3));
    let running = tokio::spawn(async move {
        slow.run(|fetched| {
            let (seen, wait) = (seen.clone(), wait.clone());
            async move {
                wait.notified().await;
                seen.add(fetched.message.global_position);
                Ok(())
            }
        })
        .await
    });
    let lease = "SELECT leased_until FROM message_store.subscription_progress";
    session
        .wait_until(&format!("SELECT ({lease}) IS NOT NULL"))
        .await;
    let first = session.value(lease).await.unwrap();
    let is_renewed = format!("SELECT ({lease}) > timestamptz '{first}' + '4 s'");
    session.wait_until(&is_renewed).await;
    let others = "SELECT count(*) FROM message_store.fetch('s', 10, '1 s')";
    assert_eq!(session.bigint(others).await, 0);
    may_end.notify_one();
    session
        .wait_until(&format!("SELECT ({POSITION}) = 1"))
        .await;
    may_end.notify_one();
    session
        .wait_until(&format!("SELECT ({POSITION}) = 2"))
        .await;
    assert_eq!(handled.all(), [1, 2]);
    running.abort();
}

#[tokio::test]
async fn a_handler_parks_a_message_and_stops_at_another() {
    let database = Cluster::shared().create_store().await;
    let session = set_up(&database, 1).await;
    write(&session, "a-2", "A").await;
    write(&session, "a-3", "A").await;
    let handled = Handled::default();
    let stopped = consumer(&database)
        .run(|fetched| async move {
            match fetched.message.global_position {
                1 => Err(Failure::Park("no such mailbox".to_owned())),
                2 => Err("the mail service is away".into()),
                _ => unreachable!("what comes after it"),
            }
        })
        .await;
    let Err(Error::Handler { position: 2, .. }) = stopped else {
        panic!("{stopped:?}");
    };
    let parked = "SELECT global_position FROM message_store.parked_messages \
                  WHERE error = 'no such mailbox'";
    assert_eq!(session.bigint(parked).await, 1);
    // Nothing of it is lost to the next, once the lease has run out.
    session
        .run("UPDATE message_store.subscription_progress SET leased_until = clock_timestamp()")
        .await
        .unwrap();
    let next = consumer(&database);
    let ended = next
        .run(|fetched| {
            let position = fetched.message.global_position;
            handled.add(position);
            async move {
                match position {
                    3 => Err("enough".into()),
                    _ => Ok(()),
                }
            }
        })
        .await;
    assert!(ended.is_err());
    assert_eq!(handled.all(), [2, 3]);
}

#[tokio::test]
async fn a_consumer_goes_on_when_the_database_is_back() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_store().await;
    let session = set_up(&database, 1).await;
    let handled = Handled::default();
    let seen = handled.clone();
    let consumer = consumer(&database);
    let running = tokio::spawn(async move {
        consumer
            .run(|fetched| {
                seen.add(fetched.message.global_position);
                async { Ok(()) }
            })
            .await
    });
    session
        .wait_until(&format!("SELECT ({POSITION}) = 1"))
        .await;
    cluster.restart(StopMode::Immediate);
    let session = database.connect().await;
    let position = write(&session, "a-1", "A").await;
    session
        .wait_until(&format!("SELECT ({POSITION}) = {position}"))
        .await;
    assert_eq!(handled.all(), [1, position]);
    running.abort();
}

#[tokio::test]
async fn a_consumer_of_a_subscription_that_is_not_there_says_so() {
    let database = Cluster::shared().create_store().await;
    let error = consumer(&database)
        .run(|_| async { Ok(()) })
        .await
        .unwrap_err();
    let state = error.sql_state().map(|state| state.code().to_owned());
    assert_eq!(state.as_deref(), Some("42704"), "{error}");
}
