//! A loop that handles the messages of a subscription in this program.
//!
//! ```no_run
//! # async fn run() -> message_store_client::Result<()> {
//! use message_store_client::{Consumer, Failure, connection::Target, database::Database};
//!
//! let target = Target::parse("postgresql://localhost/shop", "the address")?;
//! let database = Database::open(&target, 2)?;
//! let consumer = Consumer::new(&database, "services:mailer");
//! consumer
//!     .run(|fetched| async move {
//!         let order: serde_json::Value = fetched.data()?;
//!         let Some(email) = order["email"].as_str() else {
//!             return Err(Failure::Park("the order has no email".to_owned()));
//!         };
//!         println!("a mail to {email}");
//!         Ok(())
//!     })
//!     .await
//! # }
//! ```

use std::{error, pin::pin, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_postgres::error::SqlState;
use tracing::{debug, warn};

use crate::{
    database::{Database, FetchedMessage, Session},
    error::{Error, Result},
};

/// The longest wait for new messages. Whoever dies with a lease tells nobody, so this is also how
/// often an idle consumer looks whether a lease of another has run out.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// A lease is at least so long, whatever was asked for.
const SHORTEST_LEASE: Duration = Duration::from_millis(30);
/// The pauses while the database is away double from the first to the second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a handler did not handle a message.
#[derive(Debug)]
pub enum Failure {
    /// The message cannot be handled, for this reason: it is parked.
    Park(String),
    /// The message is not at fault: the consumer ends with this error, and the message comes again.
    Stop(Box<dyn error::Error + Send + Sync>),
}

impl<E: Into<Box<dyn error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

/// Fetches the messages of a subscription without handlers, hands each to a function, and
/// acknowledges it: at least once and in order. Several consumers of one subscription take turns;
/// in a group, each takes a member that nobody holds.
#[derive(Clone)]
pub struct Consumer {
    database: Database,
    subscriber_id: String,
    batch_size: i64,
    lease: Duration,
}

impl Consumer {
    /// A consumer of this subscription. It uses two connections: one of the pool's, and one that waits.
    pub fn new(database: &Database, subscriber_id: &str) -> Self {
        Self {
            database: database.clone(),
            subscriber_id: subscriber_id.to_owned(),
            batch_size: 100,
            lease: Duration::from_secs(30),
        }
    }

    /// The most messages that are fetched at a time. Default: 100.
    pub fn batch_size(mut self, messages: i64) -> Self {
        self.batch_size = messages;
        self
    }

    /// How long others wait for the messages of a consumer that died. A consumer that lives renews
    /// its lease after each third of it. Default: 30 s;
    /// at least 30 ms.
    pub fn lease(mut self, lasts: Duration) -> Self {
        self.lease = lasts.max(SHORTEST_LEASE);
        self
    }

    /// Handles messages until there is an error that does not pass by itself. While the database is
    /// away it waits and tries again. Dropping the future ends it too: whatever was not acknowledged
    /// comes again.
    ///
    /// # Errors
    /// [`Error::Handler`] with which the handler stopped; [`Error::Database`], among others for a
    /// subscription that is not there (42704) or has handlers (55000); [`Error::Config`].
    pub async fn run<H, R>(&self, mut handler: H) -> Result<()>
    where
        H: FnMut(FetchedMessage) -> R,
        R: Future<Output = Result<(), Failure>>,
    {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(SHORTEST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times();
        let mut waiting = Waiting::default();
        let mut pause = pauses.build();
        loop {
            let handled = match self.handle_next(&mut handler).await {
                Ok(0) => waiting.wait(&self.database).await,
                other => other.map(|_| ()),
            };
            match handled {
                Ok(()) => pause = pauses.build(),
                Err(error) if error.is_connection_loss() => {
                    warn!(
                        subscriber_id = self.subscriber_id,
                        "will try again: {error}"
                    );
                    waiting = Waiting::default();
                    sleep(pause.next().unwrap_or(LONGEST_PAUSE)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Handles a batch; returns how many messages were fetched.
    async fn handle_next<H, R>(&self, handler: &mut H) -> Result<usize>
    where
        H: FnMut(FetchedMessage) -> R,
        R: Future<Output = Result<(), Failure>>,
    {
        let (id, database) = (&self.subscriber_id, &self.database);
        let batch = database.fetch(id, self.batch_size, self.lease).await?;
        let count = batch.len();
        let third = self.lease / 3;
        let mut renewal = interval_at(Instant::now() + third, third);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for fetched in batch {
            let (position, lease) = (fetched.message.global_position, fetched.lease);
            let ended = {
                let mut handling = pin!(handler(fetched));
                loop {
                    tokio::select! {
                        ended = &mut handling => break ended,
                        _ = renewal.tick() => self.renew(lease).await,
                    }
                }
            };
            let is_parked = matches!(ended, Err(Failure::Park(_)));
            let told = match ended {
                Ok(()) => database.acknowledge(id, position, lease).await,
                Err(Failure::Park(problem)) => database.park(id, position, &problem, lease).await,
                Err(Failure::Stop(cause)) => Err(self.stopped(position, cause)),
            };
            match told {
                Err(error) if is_lease_lost(&error) => {
                    warn!(subscriber_id = id, "too slow: {error}");
                    break;
                }
                told => told?,
            }
            // Parking has ended the lease: what is left comes again.
            if is_parked {
                break;
            }
        }
        Ok(count)
    }

    /// A handler that lost the database, through our own client, has nothing against the message.
    fn stopped(&self, position: i64, cause: Box<dyn error::Error + Send + Sync>) -> Error {
        let cause = match cause.downcast::<Error>() {
            Ok(ours) if ours.is_connection_loss() => return *ours,
            Ok(ours) => ours,
            Err(cause) => cause,
        };
        Error::Handler {
            subscriber_id: self.subscriber_id.clone(),
            position,
            cause,
        }
    }

    /// Whether it worked shows when the message is acknowledged.
    async fn renew(&self, lease: i64) {
        let renewed = self
            .database
            .renew(&self.subscriber_id, lease, self.lease)
            .await;
        if let Err(error) = renewed {
            debug!(subscriber_id = self.subscriber_id, "{error}");
        }
    }
}

/// The connection that waits for new messages.
#[derive(Default)]
struct Waiting {
    session: Option<Session>,
    last_drawn: i64,
}

impl Waiting {
    async fn wait(&mut self, database: &Database) -> Result<()> {
        let session = match self.session.take() {
            Some(session) => session,
            None => database.session().await?,
        };
        let waited = session.wait_for_messages(self.last_drawn, LONGEST_WAIT);
        self.last_drawn = waited.await?;
        self.session = Some(session);
        Ok(())
    }
}

/// For errors of `ack` and `park`.
fn is_lease_lost(error: &Error) -> bool {
    error.sql_state() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
}
