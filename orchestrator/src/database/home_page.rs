//! What the demo's home page shows, and the one query it costs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

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
    fn from_pages(home: Option<&str>, most_watched: Option<&str>) -> Self {
        let home: Page<'_> = read(home);
        let most_watched: Page<'_> = read(most_watched);
        Self {
            videos_watched: home.videos_watched.and_then(value).unwrap_or(0),
            last_view_processed: home.last_view_processed.and_then(value).unwrap_or(0),
            most_watched: entries(most_watched.videos),
            recent: entries(most_watched.recent),
        }
    }
}

/// A row's JSON, each field for itself: whatever one of them holds, the others can be read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page<'a> {
    #[serde(borrow)]
    videos_watched: Option<&'a RawValue>,
    #[serde(borrow)]
    last_view_processed: Option<&'a RawValue>,
    #[serde(borrow)]
    videos: Option<&'a RawValue>,
    #[serde(borrow)]
    recent: Option<&'a RawValue>,
}

fn read(json: Option<&str>) -> Page<'_> {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

fn value<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// The entries of a list that are what they must be.
fn entries<T: DeserializeOwned>(list: Option<&RawValue>) -> Vec<T> {
    let list: Vec<&RawValue> = list.and_then(value).unwrap_or_default();
    let entries = list.into_iter().take(MOST_ENTRIES);
    entries.filter_map(value).collect()
}

impl Database {
    /// Loads the home page's rows by their primary keys in one query; zeros where
    /// one is missing. Two rows, because two aggregators fill them, each at its own
    /// pace and each rebuilt by itself.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn home_page(&self) -> Result<HomePage> {
        // A page that somebody made large is none.
        const LOAD: &str = "SELECT page_name, \
               CASE WHEN pg_column_size(page_data) <= 65536 THEN page_data::text END \
             FROM message_store.read_model_pages WHERE page_name = ANY ('{home,most-watched}')";
        let client = self.client().await?;
        let loaded = async {
            let statement = client.prepare_cached(LOAD).await?;
            let rows = client.query(&statement, &[]).await?;
            let pages = rows
                .iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            pages.collect::<Result<HashMap<String, Option<String>>, tokio_postgres::Error>>()
        };
        let pages = loaded
            .await
            .map_err(Error::database("load the home page"))?;
        let page = |name| pages.get(name).and_then(Option::as_deref);
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
            let page = page.to_string();
            assert_eq!(HomePage::from_pages(Some(&page), Some(&page)), empty);
        }
        let page = r#"{"videosWatched": 3000000000, "lastViewProcessed": 1e400, "extra": 1e999}"#;
        let watched = HomePage::from_pages(Some(page), None);
        assert_eq!(watched.last_view_processed, 0);
        assert_eq!(watched.videos_watched, 3_000_000_000);
        let page = json!({
            "videos": ["strange", {"videoId": "a", "views": 2, "extra": 1}],
            "recent": [{"videoId": "b", "globalPosition": 9, "time": "now"}],
        });
        let watched = HomePage::from_pages(None, Some(&page.to_string()));
        let most = &watched.most_watched[0];
        assert_eq!((&*most.video_id, most.views), ("a", 2));
        let last = &watched.recent[0];
        assert_eq!((&*last.video_id, &*last.time), ("b", "now"));
    }
}
