//! What goes out of the log: messages that are deleted, and data that are erased.

use serde_json::Value;

use super::Database;
use crate::error::Result;

/// Which messages are to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Those of a stream: all, or those before a position.
    Stream {
        /// The stream.
        name: String,
        /// The first position that stays.
        before: Option<i64>,
        /// Whether the stream may begin at 0 again, where all go.
        restart: bool,
    },
    /// Those of a category before a global position.
    CategoryBefore {
        /// The category.
        name: String,
        /// The first global position that stays.
        position: i64,
    },
    /// Those of a category that were written before a time, as PostgreSQL reads it.
    CategoryBeforeTime {
        /// The category.
        name: String,
        /// Messages from then on stay.
        time: String,
    },
}

/// Whose data is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// Of the messages of a stream.
    Stream(String),
    /// Of one message, by its id.
    Id(String),
    /// Of the messages whose metadata have what a path finds.
    Path {
        /// A `jsonpath`.
        path: String,
        /// Its variables, a JSON object.
        variables: Value,
        /// Of this category only.
        category: Option<String>,
    },
}

/// What an erasure did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Its number.
    pub erasure: i64,
    /// Messages that lost their data.
    pub erased: i64,
    /// Messages that had lost them before.
    pub erased_before: i64,
}

/// What was deleted of a category by its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The category.
    pub category: String,
    /// Messages that were deleted.
    pub deleted: i64,
    /// A subscription that needs what would be next.
    pub held_back_by: Option<String>,
}

impl Database {
    /// Deletes messages, at most so many; returns how many.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database), among others where subscriptions need them
    /// and may not skip them.
    pub async fn delete(
        &self,
        deletion: &Deletion,
        reason: &str,
        may_skip: bool,
        max_messages: i64,
    ) -> Result<i64> {
        let action = "delete messages".to_owned();
        match deletion {
            Deletion::Stream {
                name,
                before,
                restart,
            } => {
                let sql = "SELECT message_store.delete_stream($1, $2, $3, $4, $5, $6)";
                self.answer(
                    action,
                    sql,
                    &[name, &reason, before, restart, &may_skip, &max_messages],
                )
                .await
            }
            Deletion::CategoryBefore { name, position } => {
                let sql = "SELECT message_store.delete_category_before($1, $2, $3, NULL, $4, $5)";
                self.answer(
                    action,
                    sql,
                    &[name, &reason, position, &may_skip, &max_messages],
                )
                .await
            }
            Deletion::CategoryBeforeTime { name, time } => {
                let sql = "SELECT message_store.delete_category_before($1, $2, NULL, \
                           $3::text::timestamptz, $4, $5)";
                self.answer(
                    action,
                    sql,
                    &[name, &reason, time, &may_skip, &max_messages],
                )
                .await
            }
        }
    }

    /// A time as messages have theirs: UTC, ISO 8601 with microseconds.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database), among others for what is no time.
    pub async fn time_of_message(&self, time: &str) -> Result<String> {
        let sql = "SELECT to_char($1::text::timestamptz AT TIME ZONE 'UTC', \
                   'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        self.answer(format!("read the time {time}"), sql, &[&time])
            .await
    }

    /// Erases data and metadata of messages.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database), among others where no message is meant.
    pub async fn erase(&self, erasure: &Erasure, reason: &str) -> Result<Erased> {
        const ERASE: &str =
            "SELECT erasure, erased, erased_before FROM message_store.erase_message_data";
        let action = "erase data";
        let rows = match erasure {
            Erasure::Stream(name) => {
                let sql = format!("{ERASE}($1, stream_name => $2)");
                self.query(action, &sql, &[&reason, name]).await?
            }
            Erasure::Id(id) => {
                let sql = format!("{ERASE}($1, id => $2)");
                self.query(action, &sql, &[&reason, id]).await?
            }
            Erasure::Path {
                path,
                variables,
                category,
            } => {
                let sql = format!(
                    "{ERASE}($1, metadata_path => $2::text::jsonpath, variables => $3, category => $4)"
                );
                self.query(action, &sql, &[&reason, path, variables, category])
                    .await?
            }
        };
        let number = |column| rows.first().map_or(0, |row| row.get(column));
        Ok(Erased {
            erasure: number(0),
            erased: number(1),
            erased_before: number(2),
        })
    }

    /// Where the data of an erasure may still be: place, finding and repair.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn erasure_remains(&self, erasure: i64) -> Result<Vec<Value>> {
        let sql = "SELECT to_jsonb(r) FROM message_store.erasure_remains($1) r";
        self.rows("look where data remain".to_owned(), sql, &[&erasure])
            .await
    }

    /// Declares how long messages of a category are kept, an interval as PostgreSQL reads it; `None`
    /// for ever.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn retain(&self, category: &str, keep: Option<&str>, reason: &str) -> Result<()> {
        let sql = "SELECT message_store.retain($1, $2::text::interval, $3)";
        let action = "declare a retention".to_owned();
        self.call(action, sql, &[&category, &keep, &reason]).await
    }

    /// What is declared of categories, as rows of the table `retention`.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn retention(&self) -> Result<Vec<Value>> {
        let sql = "SELECT to_jsonb(r) || jsonb_build_object('keep', r.keep::text) \
                   FROM message_store.retention r ORDER BY category";
        self.rows("read what is declared".to_owned(), sql, &[])
            .await
    }

    /// Deletes what is older than declared, at most so many messages of each category.
    ///
    /// # Errors
    /// [`Error::Database`](crate::error::Error::Database).
    pub async fn apply_retention(&self, max_messages: i64) -> Result<Vec<Applied>> {
        let sql = "SELECT category, deleted, held_back_by FROM message_store.apply_retention($1)";
        let rows = self
            .query("apply the retention", sql, &[&max_messages])
            .await?;
        let applied = rows.iter().map(|row| Applied {
            category: row.get(0),
            deleted: row.get(1),
            held_back_by: row.get(2),
        });
        Ok(applied.collect())
    }
}
