//! What the demo's home page shows, and the one query it costs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use message_store_client::{
    Error, Result,
    database::{
        Database,
        excerpt::{self, Excerpt},
    },
};

/// The most entries of a list that a page shows.
const MOST_ENTRIES: usize = 10;
/// Bytes of a page's row that are read: 256 KiB. Twenty entries are two.
const PAGE_BYTES: i64 = 256 << 10;
/// More characters than such a row can have.
const PAGE_CHARACTERS: i64 = 16 << 20;

/// What the home page shows: the rows `home` and `most-watched`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HomePage {
    /// Videos watched.
    pub videos_watched: i64,
    /// Global position of the last view that was counted.
    pub last_view_processed: i64,
    /// The videos that were watched most, the first of them first.
    pub most_watched: Vec<WatchedVideo>,
    /// The last viewings, the newest first.
    pub recent: Vec<Viewing>,
    /// What is there and cannot be read, for people.
    pub unreadable: Vec<&'static str>,
}

/// A video and how often it was watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchedVideo {
    /// Its id.
    pub video_id: String,
    /// How often.
    pub views: i64,
}

/// A viewing of a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Viewing {
    /// The video.
    pub video_id: String,
    /// When its message was written: UTC, ISO 8601.
    pub time: String,
}

impl HomePage {
    /// Loads the page's rows by their primary keys in one query; zeros where one is missing. Two
    /// rows, because two aggregators fill them, each at its own pace and each rebuilt by itself.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn load(database: &Database) -> Result<Self> {
        const ACTION: &str = "load the home page";
        let sql = format!(
            "SELECT page_name, page_data IS NULL, {} FROM message_store.read_model_pages \
             WHERE page_name = ANY ('{{home,most-watched}}')",
            excerpt::text("page_data", PAGE_BYTES, PAGE_CHARACTERS)
        );
        let rows = database.query(ACTION, &sql, &[]).await?;
        let pages = rows.iter().map(|row| {
            let page = Excerpt::of(row.try_get(1)?, row.try_get(2)?);
            Ok((row.try_get(0)?, page))
        });
        let pages: HashMap<String, Excerpt> = pages
            .collect::<Result<_, tokio_postgres::Error>>()
            .map_err(Error::database(ACTION))?;
        let page = |name| pages.get(name).unwrap_or(&Excerpt::Null);
        Ok(Self::from_pages(page("home"), page("most-watched")))
    }

    /// Zeros and no videos where a row is missing. Whoever handles messages may write these rows, so
    /// what is not as it must be is left out and named: a page is shown in any case.
    fn from_pages(home: &Excerpt, most_watched: &Excerpt) -> Self {
        let mut unreadable = Vec::new();
        let mut note = |what: &'static str, is_read: bool| {
            if !is_read {
                unreadable.push(what);
            }
        };
        let (home, most_watched) = (fields(home), fields(most_watched));
        let number = |key: &str| match &home {
            None => None,
            Some(fields) => value(fields, key),
        };
        let count = number("videosWatched");
        note(
            "how many videos were watched",
            count.is_some() || is_missing(&home),
        );
        let (videos, are_all) = entries(&most_watched, "videos");
        note("all of the most watched", are_all);
        let (recent, are_all) = entries(&most_watched, "recent");
        note("all that was watched recently", are_all);
        Self {
            videos_watched: count.unwrap_or(0),
            last_view_processed: number("lastViewProcessed").unwrap_or(0),
            most_watched: videos,
            recent,
            unreadable,
        }
    }
}

/// The fields of a row as they are written, none for a row that is missing or NULL; `None` for one
/// that has no fields. A value that no reader of JSON takes spoils no other.
type Fields = Option<HashMap<String, Box<RawValue>>>;

fn fields(page: &Excerpt) -> Fields {
    match page {
        Excerpt::Null => Some(HashMap::new()),
        Excerpt::Text(text) => serde_json::from_str(text).ok(),
        Excerpt::TooLarge => None,
    }
}

fn is_missing(fields: &Fields) -> bool {
    fields.as_ref().is_some_and(HashMap::is_empty)
}

fn value<T: DeserializeOwned>(fields: &HashMap<String, Box<RawValue>>, key: &str) -> Option<T> {
    serde_json::from_str(fields.get(key)?.get()).ok()
}

/// The first entries of a list that are what they must be, and whether all are.
fn entries<T: DeserializeOwned>(fields: &Fields, key: &str) -> (Vec<T>, bool) {
    let list: Option<Vec<Box<RawValue>>> = fields.as_ref().and_then(|fields| value(fields, key));
    let Some(list) = list else {
        return (Vec::new(), is_missing(fields));
    };
    let first = &list[..list.len().min(MOST_ENTRIES)];
    let entries: Vec<T> = first
        .iter()
        .filter_map(|entry| serde_json::from_str(entry.get()).ok())
        .collect();
    let are_all = entries.len() == first.len();
    (entries, are_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Excerpt {
        Excerpt::Text(text.to_owned())
    }

    #[test]
    fn a_page_that_nobody_made_yet_counts_zero() {
        let empty = HomePage::default();
        assert_eq!(HomePage::from_pages(&Excerpt::Null, &Excerpt::Null), empty);
        assert_eq!(HomePage::from_pages(&page("{}"), &page("{}")), empty);
        let made = HomePage::from_pages(
            &page(r#"{"videosWatched": 0, "lastViewProcessed": 0}"#),
            &page(r#"{"videos": [], "recent": []}"#),
        );
        assert_eq!(made, empty);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_shown() {
        let good = r#"{"videos": [{"videoId": "a", "views": 2}], "recent": []}"#;
        let strange = [
            "[]",
            r#""text""#,
            "null",
            r#"{"videosWatched": "x"}"#,
            r#"{"videosWatched": 1.5, "lastViewProcessed": 1e400}"#,
            r#"{"lastViewProcessed": 7}"#,
            r#"{"videosWatched": 1000000000000000000000}"#,
        ];
        for home in strange {
            let shown = HomePage::from_pages(&page(home), &page(good));
            assert_eq!(shown.unreadable, ["how many videos were watched"], "{home}");
            assert_eq!((shown.videos_watched, shown.most_watched.len()), (0, 1));
        }
        let home =
            r#"{"videosWatched": 3000000000, "lastViewProcessed": 1e400, "extra": [[1e999]]}"#;
        let lists = r#"{"videos": [7, {}, {"videoId": "a", "views": 2, "extra": 1e400}],
                        "recent": {"videoId": "b"}}"#;
        let shown = HomePage::from_pages(&page(home), &page(lists));
        assert_eq!(shown.videos_watched, 3_000_000_000);
        let most = &shown.most_watched[0];
        assert_eq!((&*most.video_id, most.views), ("a", 2));
        let lists = ["all of the most watched", "all that was watched recently"];
        assert_eq!(shown.unreadable, lists);
        let shown = HomePage::from_pages(&page(home), &Excerpt::TooLarge);
        assert_eq!(shown.unreadable, lists);
    }
}
