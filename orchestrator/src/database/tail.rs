//! Where the last messages of a source begin.

use super::{Database, Source};
use crate::error::{Error, Result};

/// How many of the newest messages are looked at for some of a type.
pub const LOOKED_AT: i64 = 10_000;

impl Database {
    /// The position (in a stream its own, else the global one) of the first of the last `count`
    /// messages of these types, or of any where none is named. Looks at the newest
    /// [`LOOKED_AT`] messages; `None` where none of them is wanted.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn start_of_last(
        &self,
        source: &Source,
        types: &[String],
        count: i64,
    ) -> Result<Option<i64>> {
        let (position, condition, name) = match source {
            Source::Stream(name) => ("position", "stream_name = $4", name.as_str()),
            Source::Category(name) => (
                "global_position",
                "message_store.category(stream_name) = $4",
                name.as_str(),
            ),
            Source::All => ("global_position", "$4::varchar IS NOT NULL", "$all"),
        };
        let sql = format!(
            "SELECT min(at) FROM (
               SELECT at FROM (
                 SELECT {position} AS at, type FROM message_store.messages WHERE {condition}
                 ORDER BY {position} DESC LIMIT {LOOKED_AT}) AS newest
               WHERE cardinality($1::varchar[]) = 0 OR type = ANY ($1)
               ORDER BY at DESC LIMIT $2) AS last
             WHERE $3"
        );
        let client = self.client().await?;
        let is_wanted = count > 0;
        let row = client
            .query_one(&sql, &[&types, &count, &is_wanted, &name])
            .await;
        row.and_then(|row| row.try_get(0))
            .map_err(Error::database(format!("look for the end of {source}")))
    }
}
