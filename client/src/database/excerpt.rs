//! SQL that shows a stored value at a bounded cost, whatever it holds: who writes messages chooses
//! how large they are, how deep, and how they compress.
//!
//! A value is looked at before it is made text. A kilobyte as stored may be a hundred as JSON; a
//! number of sixteen bytes (`1e131071`) is printed in 131,072; and functions that print or search
//! every level take time by its depth.

/// The longest name that a page shows, in characters: more than a type may have.
pub(super) const NAME: i64 = 2_600;
/// Bytes, uncompressed, up to which data is shown in a list.
pub(super) const LISTED_BYTES: i64 = 128 << 10;
/// Bytes, uncompressed, up to which JSON is shown on a page of its own: the server takes it whole to
/// show its beginning.
pub(super) const SHOWN_BYTES: i64 = 3 << 20;
/// Bytes of it over several lines.
pub(super) const PRETTY_BYTES: usize = 256 << 10;
/// Bytes, uncompressed, of metadata that is looked into for where a message came from.
pub(super) const TRACED_BYTES: i64 = 1 << 20;
/// Levels of JSON that are looked into for a page.
const DEEPEST: u32 = 1_000;
/// Digits before or behind the point, beyond which a number is not printed.
const LONGEST_NUMBER: u32 = 60;

/// A column as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excerpt {
    /// SQL's NULL.
    Null,
    /// How its text begins.
    Text(String),
    /// Too large, too deep, or with a number too long to be made text for a page.
    TooLarge,
}

impl Excerpt {
    /// From whether a column is NULL, and what [`text`] made of it.
    pub fn of(is_null: bool, text: Option<String>) -> Self {
        match text {
            _ if is_null => Self::Null,
            Some(text) => Self::Text(text),
            None => Self::TooLarge,
        }
    }
}

/// Whether more may follow on what [`text`] has cut to so many characters.
pub(super) fn is_cut(text: &str, characters: i64) -> bool {
    i64::try_from(text.chars().count()).is_ok_and(|count| count >= characters)
}

/// The most bytes that a column can have once it is read, by what it has as stored. pglz makes 273
/// bytes of three and a bit, LZ4 at most 255 of one.
pub(super) fn most_bytes(column: &str) -> String {
    format!(
        "(pg_column_size({column})::bigint * \
          CASE pg_column_compression({column}) \
            WHEN 'pglz' THEN 92 WHEN 'lz4' THEN 256 ELSE 1 END)"
    )
}

/// The first characters of a `jsonb` column as text; NULL for one of more than `bytes`, or with
/// something in it that is not printed.
pub fn text(column: &str, bytes: i64, characters: i64) -> String {
    let printed = format!("left({column}::text, {characters})");
    guarded(column, bytes, DEEPEST, &printed)
}

/// A `jsonb` column that is no larger, no deeper and has no longer numbers than any reader of JSON
/// takes; else NULL.
pub(super) fn plain(column: &str, bytes: i64) -> String {
    /// As deep as readers of JSON go without being asked.
    const DEEP: u32 = 100;
    guarded(column, bytes, DEEP, column)
}

/// The cheaper looks come first, and each keeps the next one cheap: what it takes as stored, what it
/// takes once it is read, how deep it is, and its numbers.
fn guarded(column: &str, bytes: i64, deepest: u32, then: &str) -> String {
    /// How many times as much as is shown may be read to be measured.
    const MEASURED: i64 = 8;
    format!(
        "CASE WHEN {} > {} THEN NULL \
          WHEN pg_column_size(jsonb_path_query_first({column}, '$')) > {bytes} THEN NULL \
          WHEN jsonb_path_exists({column}, 'strict $.**{{{}}}') THEN NULL \
          WHEN EXISTS (SELECT FROM jsonb_path_query({column}, \
                 'strict $.**{{0 to {deepest}}} ? (@.type() == \"number\")') AS n \
               WHERE abs(n::numeric) > 1e{LONGEST_NUMBER} \
                  OR scale(n::numeric) > {LONGEST_NUMBER}) THEN NULL \
          ELSE {then} END",
        most_bytes(column),
        bytes * MEASURED,
        deepest + 1,
    )
}
