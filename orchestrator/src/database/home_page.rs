//! What the demo's home page shows, and the one query it costs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Database;
use crate::error::{Error, Result};

/// What the home page shows: the rows `home` and `most-watched`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HomePage {
    /// Videos watched.
    pub videos_watched: i64,
    /// Global position of the last view that was counted.
    pub last_view_processed: i64,
    /// The videos that were watched most, the first of them first.
    pub most_watched: Vec<WatchedVideo>,
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

impl HomePage {
    /// Zeros and no videos where a row or a field is missing.
    fn from_pages(home: Option<&Value>, most_watched: Option<&Value>) -> Self {
        let number = |key| home?.get(key)?.as_i64();
        let videos = || Vec::deserialize(most_watched?.get("videos")?).ok();
        Self {
            videos_watched: number("videosWatched").unwrap_or(0),
            last_view_processed: number("lastViewProcessed").unwrap_or(0),
            most_watched: videos().unwrap_or_default(),
        }
    }
}

impl Database {
    /// Loads the home page's rows by their primary keys; zeros where one is missing.
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
            json!({"videos": 7, "videosWatched": "x"}),
        ];
        for page in &strange {
            assert_eq!(HomePage::from_pages(Some(page), Some(page)), empty);
        }
        let page = json!({"videosWatched": 3_000_000_000_i64, "lastViewProcessed": 7, "extra": 1});
        let watched = HomePage::from_pages(Some(&page), None);
        assert_eq!(watched.videos_watched, 3_000_000_000);
        let page = json!({"videos": [{"videoId": "a", "views": 2, "extra": 1}]});
        let watched = HomePage::from_pages(None, Some(&page));
        assert_eq!(
            (
                &*watched.most_watched[0].video_id,
                watched.most_watched[0].views
            ),
            ("a", 2)
        );
    }
}
