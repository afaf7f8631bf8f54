//! Where the last messages of a source begin.

use super::{Database, Source, messages::InLog};
use crate::error::Result;

/// How many of the newest messages are looked at for some of a type.
pub const LOOKED_AT: i64 = 10_000;

impl Database {
    /// Where the last `count` messages of these types begin (of any type where none is named), in a stream by
    /// its own positions, else by global ones. Looks at the newest [`LOOKED_AT`] messages; where none of them is
    /// wanted, behind the newest. Whatever is committed later lies behind it: of a category and of all, only
    /// what is settled is looked at.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::error::Error::Connect),
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn start_of_last(
        &self,
        source: &Source,
        types: &[String],
        count: i64,
    ) -> Result<i64> {
        let settled = self.settled_position(source).await?;
        let InLog {
            at,
            condition,
            name,
        } = source.in_log();
        // One look: a message that is committed between two would be neither among the last nor behind them.
        let sql = format!(
            "SELECT coalesce(
               (SELECT min(at) FROM (
                  SELECT at FROM (
                    SELECT {at} AS at, type FROM message_store.messages WHERE {condition} AND {at} <= $4
                    ORDER BY {at} DESC LIMIT {LOOKED_AT}) AS newest
                  WHERE cardinality($2::varchar[]) = 0 OR type = ANY ($2)
                  ORDER BY at DESC LIMIT $3) AS last),
               (SELECT max({at}) + 1 FROM message_store.messages WHERE {condition} AND {at} <= $4),
               0)"
        );
        self.answer(
            format!("look for the end of {source}"),
            &sql,
            &[&name, &types, &count, &settled],
        )
        .await
    }
}
