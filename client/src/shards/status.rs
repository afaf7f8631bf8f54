//! How each shard is, asked of all of them at once: one that does not answer keeps nobody from the others.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::timeout;

use super::address_of;
use crate::{
    connection::Target,
    database::{Session, Shard, ShardFacts},
    error::{Error, Result},
};

/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One of the shards.
#[derive(Clone, Debug, Serialize)]
pub struct ShardStatus {
    /// Its number, by the map.
    pub shard: usize,
    /// Its host and database.
    pub address: String,
    /// What it says; `None` where there is an error.
    #[serde(flatten)]
    pub said: Option<ShardFacts>,
    /// Why nothing is known of it: whatever is summed up without it is incomplete.
    pub error: Option<String>,
}

/// What all shards come to together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Messages that subscriptions have to handle.
    pub lag: i64,
    /// Messages that are parked.
    pub parked: i64,
    /// The shard that holds back readers of all of them, where one does: the least that is settled where more
    /// was drawn.
    pub held: Option<Held>,
    /// Shards of which nothing is known: the numbers are incomplete.
    pub silent: Vec<usize>,
}

/// Who holds back readers of all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The shard.
    pub shard: usize,
    /// Up to where all of them are settled.
    pub settled: i64,
    /// The process there.
    pub by: Option<i32>,
}

impl Totals {
    /// Of what the shards said.
    pub fn of(shards: &[ShardStatus]) -> Self {
        let said = || {
            shards
                .iter()
                .filter_map(|shard| Some((shard.shard, shard.said.as_ref()?)))
        };
        let silent = shards.iter().filter(|shard| shard.said.is_none());
        // Where all that was drawn is settled nobody is held back: a reader lets the shard pass.
        let held = said().filter(|(_, facts)| facts.settled < facts.drawn);
        Self {
            lag: said().map(|(_, facts)| facts.lag).sum(),
            parked: said().map(|(_, facts)| facts.parked).sum(),
            held: held
                .min_by_key(|(_, facts)| facts.settled)
                .map(|(shard, facts)| Held {
                    shard,
                    settled: facts.settled,
                    by: facts.held_by,
                }),
            silent: silent.map(|shard| shard.shard).collect(),
        }
    }
}

/// Asks every shard of a map, as the user of `like` where an address names none.
pub async fn status(map: &Shard, like: &Target) -> Vec<ShardStatus> {
    let asked = map.addresses.iter().enumerate();
    let asked = asked.map(async |(number, address)| {
        let target = address_of(address, like);
        let label = target
            .as_ref()
            .map_or(address, |target| &target.label)
            .clone();
        let said = match &target {
            Ok(target) => timeout(PATIENCE, ask(target))
                .await
                .unwrap_or_else(|_| Err(Error::no_answer(&label, PATIENCE))),
            Err(error) => Err(Error::Input {
                problem: error.to_string(),
            }),
        };
        let judged = said
            .map_err(|error| error.to_string())
            .and_then(|facts| judge(number, map, facts));
        let (said, error) = match judged {
            Ok(facts) => (Some(facts), None),
            Err(error) => (None, Some(error)),
        };
        ShardStatus {
            shard: number,
            address: label,
            said,
            error,
        }
    });
    join_all(asked).await
}

async fn ask(target: &Target) -> Result<Option<ShardFacts>> {
    Session::connect(target).await?.shard_facts().await
}

/// Whether it is the one that the map says.
fn judge(number: usize, map: &Shard, facts: Option<ShardFacts>) -> Result<ShardFacts, String> {
    let Some(facts) = facts else {
        return Err("it is no shard".to_owned());
    };
    let is_meant =
        facts.number == number as i64 && facts.shards == map.count && facts.map == map.map;
    match is_meant {
        true => Ok(facts),
        false => Err(format!(
            "it is shard {} of {} in map {}",
            facts.number, facts.shards, facts.map
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(shard: usize, drawn: i64, settled: i64) -> ShardStatus {
        ShardStatus {
            shard,
            address: String::new(),
            said: Some(ShardFacts {
                number: shard as i64,
                shards: 3,
                map: 1,
                drawn,
                settled,
                held_by: Some(7),
                subscriptions: 1,
                not_running: 0,
                lag: 10,
                parked: 1,
            }),
            error: None,
        }
    }

    #[test]
    fn who_holds_readers_back_is_the_least_that_has_more_to_come() {
        let mut shards = vec![shard(0, 100, 100), shard(1, 900, 300), shard(2, 900, 200)];
        let held = Held {
            shard: 2,
            settled: 200,
            by: Some(7),
        };
        let mut totals = Totals {
            lag: 30,
            parked: 3,
            held: Some(held),
            silent: Vec::new(),
        };
        assert_eq!(Totals::of(&shards), totals);
        shards[2].said = None;
        (totals.lag, totals.parked, totals.silent) = (20, 2, vec![2]);
        totals.held = Some(Held {
            shard: 1,
            settled: 300,
            ..held
        });
        assert_eq!(Totals::of(&shards), totals);
    }
}
