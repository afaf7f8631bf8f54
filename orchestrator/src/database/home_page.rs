//! What the demo's home page shows, and the one query it costs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Database;
use crate::error::{Error, Result};

/// The most entries of a list that a page shows.
const MOST_ENTRIES: usize = 10;

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
    /// Zeros and no videos where a row or a field is missing or of another kind:
    /// a page is shown in any case.
    fn from_pages(home: Option<&Value>, most_watched: Option<&Value>) -> Self {
        let number = |key| home?.get(key)?.as_i64();
        Self {
            videos_watched: number("videosWatched").unwrap_or(0),
            last_view_processed: number("lastViewProcessed").unwrap_or(0),
            most_watched: entries(most_watched, "videos"),
            recent: entries(most_watched, "recent"),
        }
    }
}

/// The entries of a list that are what they must be.
fn entries<'a, T: Deserialize<'a>>(page: Option<&'a Value>, key: &str) -> Vec<T> {
    let list = page.and_then(|page| page.get(key)?.as_array());
    let entries = list.into_iter().flatten().take(MOST_ENTRIES);
    entries
        .filter_map(|entry| T::deserialize(entry).ok())
        .collect()
}

impl Database {
    /// Loads the home page's rows by their primary keys in one query; zeros where
    /// one is missing. Two rows, because two aggregators fill them, each at its own
    /// pace and each rebuilt by itself.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn home_page(&self) -> Result<HomePage> {
        const LOAD: &str = "SELECT page_name, page_data FROM message_store.read_model_pages \
                            WHERE page_name = ANY ('{home,most-watched}')";
        let client = self.client().await?;
        let loaded = async {
            let statement = client.prepare_cached(LOAD).await?;
            let rows = client.query(&statement, &[]).await?;
            let pages = rows
                .iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            pages.collect::<Result<HashMap<String, Option<Value>>, tokio_postgres::Error>>()
        };
        let pages = loaded
            .await
            .map_err(Error::database("load the home page"))?;
        let page = |name| pages.get(name).and_then(Option::as_ref);
        Ok(HomePage::from_pages(page("home"), page("most-watched")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_or_empty_home_page_counts_zero() {
        let empty = HomePage::default();
        assert_eq!(HomePage::from_pages(None, None), empty);
        let strange = [
            json!({}),
            json!([]),
            json!("text"),
            json!(null),
            json!({"videos": 7, "videosWatched": "x", "recent": {"videoId": "a"}}),
            json!({"videos": [7, {}, {"videoId": 1, "views": "x"}], "videosWatched": 1.5,
                   "recent": [null, [], {"videoId": "a", "time": 7}]}),
        ];
        for page in &strange {
            assert_eq!(HomePage::from_pages(Some(page), Some(page)), empty);
        }
        let page = json!({"videosWatched": 3_000_000_000_i64, "lastViewProcessed": 7, "extra": 1});
        let watched = HomePage::from_pages(Some(&page), None);
        assert_eq!(watched.videos_watched, 3_000_000_000);
        let page = json!({
            "videos": ["strange", {"videoId": "a", "views": 2, "extra": 1}],
            "recent": [{"videoId": "b", "globalPosition": 9, "time": "now"}],
        });
        let watched = HomePage::from_pages(None, Some(&page));
        let most = &watched.most_watched[0];
        assert_eq!((&*most.video_id, most.views), ("a", 2));
        let last = &watched.recent[0];
        assert_eq!((&*last.video_id, &*last.time), ("b", "now"));
    }
}
