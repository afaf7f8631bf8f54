//! Where the last messages of a source begin.

use super::{Database, Source, messages::InLog};
use crate::error::Result;

/// How many of the newest messages are looked at for some of a type.
pub const LOOKED_AT: i64 = 10_000;

impl Database {
    /// The position (in a stream its own, else the global one) of the first of the last `count`
    /// messages of these types, or of any where none is named. Looks at the newest
    /// [`LOOKED_AT`] messages; `None` where none of them is wanted.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::error::Error::Connect),
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn start_of_last(
        &self,
        source: &Source,
        types: &[String],
        count: i64,
    ) -> Result<Option<i64>> {
        let InLog {
            at,
            condition,
            name,
        } = source.in_log();
        let sql = format!(
            "SELECT min(at) FROM (
               SELECT at FROM (
                 SELECT {at} AS at, type FROM message_store.messages WHERE {condition}
                 ORDER BY {at} DESC LIMIT {LOOKED_AT}) AS newest
               WHERE cardinality($2::varchar[]) = 0 OR type = ANY ($2)
               ORDER BY at DESC LIMIT $3) AS last
             WHERE $4"
        );
        let is_wanted = count > 0;
        self.answer(
            format!("look for the end of {source}"),
            &sql,
            &[&name, &types, &count, &is_wanted],
        )
        .await
    }
}
