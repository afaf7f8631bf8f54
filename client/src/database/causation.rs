//! What caused a message, and what it caused, by the metadata that Eventide's names are for.

use serde::Deserialize;

use super::{
    Database,
    excerpt::{self, TRACED_BYTES},
};
use crate::error::Result;

/// Messages after the first one that are searched for descendants.
pub const SEARCHED: i64 = 2_000;
/// How many times as many are searched where somebody asks for more.
pub const MOST_LOOKS: i64 = 50;
/// Ancestors that are walked.
pub const WALKED: usize = 50;

/// A message as a part of a chain.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Link {
    /// Where it is.
    pub global_position: i64,
    /// Its stream.
    pub stream_name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// The message that caused it, where its metadata says so.
    pub cause: Option<i64>,
}

/// A link, and among how many messages it was found.
#[derive(Deserialize)]
struct Looked {
    #[serde(flatten)]
    link: Link,
    searched: i64,
}

/// What is done here, for people.
const FOLLOW: &str = "follow what caused what";

/// A [`Link`] of a row of messages: its metadata says its cause as a global position, or by stream
/// and position.
const LINK: &str = "jsonb_build_object(
    'global_position', global_position,
    'stream_name', left(stream_name, 200),
    'type', left(type, 200),
    'cause', coalesce(
      CASE WHEN metadata ->> 'causationMessageGlobalPosition' ~ '^[0-9]{1,18}$'
           THEN (metadata ->> 'causationMessageGlobalPosition')::bigint END,
      CASE WHEN metadata ->> 'causationMessagePosition' ~ '^[0-9]{1,18}$'
           THEN (SELECT c.global_position FROM message_store.messages c
                 WHERE c.stream_name = m.metadata ->> 'causationMessageStreamName'
                   AND c.position = (m.metadata ->> 'causationMessagePosition')::bigint) END))";

/// Its metadata, where that is no larger than what is looked into.
fn traced_metadata() -> String {
    let bytes = excerpt::most_bytes("metadata");
    format!("CASE WHEN {bytes} <= {TRACED_BYTES} THEN metadata END")
}

impl Database {
    /// A message and those that led to it, itself first. Causes come before what they cause, so
    /// there is no way round in a circle.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn ancestry(&self, global_position: i64) -> Result<Vec<Link>> {
        let mut chain: Vec<Link> = Vec::new();
        let mut next = Some(global_position);
        while let Some(position) = next.filter(|_| chain.len() <= WALKED) {
            let sql = format!(
                "SELECT {LINK} FROM (
                   SELECT global_position, stream_name, type, {} AS metadata
                   FROM message_store.messages WHERE global_position = $1 OFFSET 0) m",
                traced_metadata()
            );
            let found = self.record(FOLLOW, &sql, &[&position]).await?;
            let Some(link): Option<Link> = found else {
                break;
            };
            next = link.cause.filter(|cause| *cause < link.global_position);
            chain.push(link);
        }
        Ok(chain)
    }

    /// Messages that came about through this one, among the next [`SEARCHED`] of the log, `looks` times as
    /// many ([`MOST_LOOKS`] at most); the last position that was looked at; and whether the log goes on.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn descendants(
        &self,
        global_position: i64,
        looks: i64,
    ) -> Result<(Vec<Link>, i64, bool)> {
        let searched = SEARCHED * looks.clamp(1, MOST_LOOKS);
        let sql = format!(
            "WITH later AS MATERIALIZED (
               SELECT global_position, stream_name, type, {} AS metadata
               FROM message_store.messages
               WHERE global_position > $1 ORDER BY global_position LIMIT {searched})
             SELECT {LINK} || jsonb_build_object('searched', (SELECT count(*) FROM later)) FROM later m
             WHERE metadata ? 'causationMessageGlobalPosition'
                OR metadata ? 'causationMessagePosition'
                OR global_position = (SELECT max(global_position) FROM later)
             ORDER BY global_position",
            traced_metadata()
        );
        let found: Vec<Looked> = self.records(FOLLOW, &sql, &[&global_position]).await?;
        let (end, count) = found.last().map_or((global_position, 0), |last| {
            (last.link.global_position, last.searched)
        });
        let links = found.into_iter().map(|looked| looked.link).collect();
        Ok((descending(global_position, links), end, count >= searched))
    }
}

/// Those of later messages, in their order, that came about through the first one.
fn descending(first: i64, later: Vec<Link>) -> Vec<Link> {
    let mut family = std::collections::HashSet::from([first]);
    let is_of_it = |link: &Link| {
        let belongs = link.cause.is_some_and(|cause| family.contains(&cause));
        if belongs {
            family.insert(link.global_position);
        }
        belongs
    };
    let mut later = later;
    let mut is_of_it = is_of_it;
    later.retain(|link| is_of_it(link));
    later
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(global_position: i64, cause: Option<i64>) -> Link {
        Link {
            global_position,
            stream_name: "s-1".to_owned(),
            message_type: "T".to_owned(),
            cause,
        }
    }

    #[test]
    fn grandchildren_belong_and_strangers_do_not() {
        let later = vec![
            link(2, Some(1)),
            link(3, None),
            link(4, Some(3)),
            link(5, Some(2)),
            link(6, Some(6)),
        ];
        let family: Vec<i64> = descending(1, later)
            .iter()
            .map(|link| link.global_position)
            .collect();
        assert_eq!(family, [2, 5]);
    }
}
