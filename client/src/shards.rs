//! A client that knows where the shards are, and asks each by itself: without a router's hop, and with
//! transactions, which end at a shard.
//!
//! ```no_run
//! # async fn run() -> message_store_client::Result<()> {
//! use message_store_client::{Shards, connection::Target, database::NewMessage};
//!
//! // A router, or any of the shards.
//! let target = Target::parse("postgresql://app@db0/shop", "the address")?;
//! let shards = Shards::find(&target, 4).await?;
//! let viewing = serde_json::json!({ "videoId": "streams" });
//! shards
//!     .write_message(&NewMessage::new("viewings-1", "VideoViewed", &viewing)?)
//!     .await?;
//! let database = shards.of("viewings-1").await;
//! # drop(database);
//! # Ok(())
//! # }
//! ```

mod status;

pub use status::{Held, ShardStatus, Totals, status};

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use md5::{Digest, Md5};
use tokio::{sync::RwLock, time::sleep};
use tokio_postgres::error::SqlState;
use tracing::debug;

use crate::{
    connection::Target,
    database::{Database, NewMessage, Session, Shard},
    error::{Error, Result},
};

/// The pauses until the shards have moved double from the first to the second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long a shard may take for a message that is delivered to it.
const DELIVERY: Duration = Duration::from_secs(30);
/// How often a message is written anew, half a minute in all, while the shards move.
const TRIES: usize = 130;

/// Where the shards are, as far as is known. Cheap to clone; all clones share what they learn.
#[derive(Clone)]
pub struct Shards {
    known: Arc<RwLock<Arc<Map>>>,
    target: Target,
    connections: usize,
}

/// A version of the map.
struct Map {
    version: i64,
    addresses: Vec<String>,
    shards: Vec<Database>,
}

impl Shards {
    /// Asks a router, or any shard, where all of them are. Each gets a pool of at most `connections`, with
    /// the user and password of `target` where its address has none.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`]; [`Error::Config`] where nobody knows all addresses, or one
    /// of them cannot be read.
    pub async fn find(target: &Target, connections: usize) -> Result<Self> {
        let map = ask(target, target, connections).await?;
        Ok(Self::knowing(map, target, connections))
    }

    /// A store that is none of several: all streams live there.
    ///
    /// # Errors
    /// [`Error::Config`] where the pool refuses its settings.
    pub fn of_one(target: &Target, connections: usize) -> Result<Self> {
        let map = Map {
            version: 0,
            addresses: Vec::new(),
            shards: vec![Database::open(target, connections)?],
        };
        Ok(Self::knowing(map, target, connections))
    }

    /// The shards of a map that was asked for already; it is looked for again as [`find`](Self::find)
    /// does.
    ///
    /// # Errors
    /// [`Error::Config`] where it does not name all addresses, or one of them cannot be read.
    pub fn of_map(shard: &Shard, target: &Target, connections: usize) -> Result<Self> {
        let map = Map::read(shard, target, target, connections)?;
        Ok(Self::knowing(map, target, connections))
    }

    /// Takes a map over that was asked for already, unless a newer one is known.
    ///
    /// # Errors
    /// Those of [`of_map`](Self::of_map).
    pub async fn learn(&self, shard: &Shard) -> Result<()> {
        let map = Map::read(shard, &self.target, &self.target, self.connections)?;
        self.take(map).await;
        Ok(())
    }

    /// Connections stay where nothing has changed.
    async fn take(&self, map: Map) {
        let mut known = self.known.write().await;
        let is_newer = known.version < map.version;
        if is_newer || known.version == map.version && known.addresses != map.addresses {
            *known = Arc::new(map);
        }
    }

    fn knowing(map: Map, target: &Target, connections: usize) -> Self {
        Self {
            known: Arc::new(RwLock::new(Arc::new(map))),
            target: target.clone(),
            connections,
        }
    }

    /// The version of the map that is known, and how many shards it has.
    pub async fn map(&self) -> (i64, usize) {
        let map = self.known.read().await.clone();
        (map.version, map.shards.len())
    }

    /// The shard that a stream lives on.
    pub async fn of(&self, stream_name: &str) -> Database {
        let map = self.known.read().await.clone();
        map.shards[number_of(stream_name, map.shards.len())].clone()
    }

    /// All shards, in the order of their numbers.
    pub async fn all(&self) -> Vec<Database> {
        self.known.read().await.shards.clone()
    }

    /// Writes a message to the shard of its stream; returns its position in the stream. Where the shards
    /// have moved it looks again where they are, and writes it there.
    ///
    /// # Errors
    /// Those of [`Database::write_message`].
    pub async fn write_message(&self, message: &NewMessage) -> Result<i64> {
        let mut pauses = pauses();
        loop {
            let written = self.of(&message.stream).await.write_message(message).await;
            if let Some(position) = self.unless_moved(written, &mut pauses).await? {
                return Ok(position);
            }
        }
    }

    /// Writes a message to the shard of its stream unless one of its id is there, behind a global position
    /// that was read on another: whoever reads all shards meets the message of that position first. Returns
    /// whether it was there already.
    ///
    /// # Errors
    /// Those of [`Database::deliver_message`].
    pub async fn deliver_message(&self, message: &NewMessage, above: i64) -> Result<bool> {
        let mut pauses = pauses();
        loop {
            let shard = self.of(&message.stream).await;
            let delivering = shard.deliver_message(message, above);
            let written = shard.within(DELIVERY, delivering).await;
            if let Some(was_there) = self.unless_moved(written, &mut pauses).await? {
                return Ok(was_there);
            }
        }
    }

    /// What was written. Where the stream is on another shard now, `None`, after a pause and another look
    /// where the shards are.
    async fn unless_moved<T>(
        &self,
        written: Result<T>,
        pauses: &mut ExponentialBackoff,
    ) -> Result<Option<T>> {
        // A shard that is about to be one takes no writes yet.
        let has_moved = |error: &Error| {
            error.sql_state() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) || error.is_read_only()
        };
        match written {
            Err(error) if has_moved(&error) => match pauses.next() {
                Some(pause) => {
                    debug!("{error}; looking where the shards are");
                    sleep(pause).await;
                    match self.look_again().await {
                        Ok(()) => Ok(None),
                        Err(_) => Err(error),
                    }
                }
                None => Err(error),
            },
            Err(error) => {
                // It may be somewhere else by now. Who asks again then asks there.
                if error.is_connection_loss() {
                    let _ = self.look_again().await;
                }
                Err(error)
            }
            Ok(written) => Ok(Some(written)),
        }
    }

    /// Learns the newest map, from whoever has it: the address that was given, or one of the shards.
    ///
    /// # Errors
    /// The last one, where nobody answers.
    pub async fn look_again(&self) -> Result<()> {
        let known = self.known.read().await.clone();
        let mut newest: Option<Map> = None;
        let mut failure = None;
        let shards = known.shards.iter().map(Database::target);
        for target in std::iter::once(&self.target).chain(shards) {
            match ask(target, &self.target, self.connections).await {
                Ok(map)
                    if newest
                        .as_ref()
                        .is_none_or(|newest| newest.version < map.version) =>
                {
                    newest = Some(map);
                }
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        match (newest, failure) {
            (Some(map), _) => {
                self.take(map).await;
                Ok(())
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(()),
        }
    }
}

/// Between the tries while the shards move.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(TRIES)
        .build()
}

/// What one of them knows.
async fn ask(target: &Target, like: &Target, connections: usize) -> Result<Map> {
    let session = Session::connect(target).await?;
    let shard = session.shard().await?.ok_or_else(|| {
        wrong(
            target,
            "this store is no shard: SELECT message_store.become_shard(...)",
        )
    })?;
    Map::read(&shard, target, like, connections)
}

impl Map {
    /// What `target` has said.
    fn read(shard: &Shard, target: &Target, like: &Target, connections: usize) -> Result<Self> {
        if shard.addresses.len() as i64 != shard.count {
            let problem = format!(
                "there are {} shards, and it knows the addresses of {}: \
                 SELECT message_store.become_shard(number, shards, map, addresses) with all of them",
                shard.count,
                shard.addresses.len()
            );
            return Err(wrong(target, problem));
        }
        let shards = addresses_of(shard, like)?;
        let shards = shards
            .iter()
            .map(|found| Database::open(found, connections));
        Ok(Self {
            version: shard.map,
            addresses: shard.addresses.clone(),
            shards: shards.collect::<Result<_>>()?,
        })
    }
}

/// Where the shards of a map are, for the user of `like`, with the password, where an address names none.
///
/// # Errors
/// [`Error::Config`] where an address cannot be read.
pub fn addresses_of(shard: &Shard, like: &Target) -> Result<Vec<Target>> {
    let addresses = shard.addresses.iter();
    addresses.map(|address| address_of(address, like)).collect()
}

fn address_of(address: &str, like: &Target) -> Result<Target> {
    let mut found = Target::parse(address, "an address of the map")?;
    if found.config.get_user().is_none()
        && let Some(user) = like.config.get_user()
    {
        found.config.user(user);
    }
    if found.config.get_password().is_none() {
        found.look_up_password();
    }
    if found.config.get_password().is_none()
        && let Some(password) = like.config.get_password()
    {
        found.config.password(password);
    }
    Ok(found)
}

fn wrong(target: &Target, problem: impl Into<String>) -> Error {
    Error::Config {
        origin: format!("of the address {}", target.label),
        problem: problem.into(),
    }
}

/// The rule of `message_store.shard_of`: the hash of the cardinal id, without its sign, divided by the
/// shards; 0 for a name without an id.
fn number_of(stream_name: &str, shards: usize) -> usize {
    let Some((_, id)) = stream_name.split_once('-') else {
        return 0;
    };
    let cardinal_id = id.split('+').next().unwrap_or(id);
    let sum = Md5::digest(cardinal_id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&sum[..8]);
    let hash = i64::from_be_bytes(first).unsigned_abs();
    usize::try_from(hash % shards.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_message_dbs() {
        // hash_64('') is -3162216497309240828.
        assert_eq!(number_of("account-", 1_000), 828);
        assert_eq!(number_of("account:command-+again", 1_000), 828);
        assert_eq!(number_of("account", 1_000), 0);
        assert_eq!(number_of("account-1-2", 7), number_of("other-1-2+3", 7));
    }
}
