//! Read models as the dashboard shows them.

use serde::Deserialize;

use super::{
    Database,
    excerpt::{self, Excerpt, NAME},
};
use crate::{
    error::{Error, Result},
    pretty::pretty,
};

/// Pages that are listed at a time.
const LISTED: usize = 200;

/// A page of `read_model_pages`.
#[derive(Clone, Debug, Deserialize)]
pub struct ReadModelPage {
    /// Its name.
    pub name: String,
    /// Stored bytes; none for NULL.
    pub bytes: Option<i64>,
}

impl Database {
    /// Up to [`LISTED`] pages by name, behind one, and whether there are more.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn read_model_pages(&self, after: &str) -> Result<(Vec<ReadModelPage>, bool)> {
        let sql = format!(
            "SELECT jsonb_build_object('name', left(page_name, {NAME}), 'bytes', pg_column_size(page_data))
             FROM message_store.read_model_pages WHERE page_name > $1
             ORDER BY page_name LIMIT {LISTED} + 1"
        );
        let action = "list the read models";
        let mut pages: Vec<ReadModelPage> = self.records(action, &sql, &[&after]).await?;
        let has_more = pages.len() > LISTED;
        pages.truncate(LISTED);
        Ok((pages, has_more))
    }

    /// A page's JSON, pretty, at most so many characters of it: none where there is no such page.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`].
    pub async fn read_model_page(&self, name: &str, characters: i64) -> Result<Option<Excerpt>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT page_data IS NULL, {} FROM message_store.read_model_pages
             WHERE page_name = $1",
            excerpt::text("page_data", excerpt::SHOWN_BYTES, characters)
        );
        let row = client.query_opt(&sql, &[&name]).await;
        let found = row.and_then(|row| {
            let page = |row: &tokio_postgres::Row| {
                let text: Option<String> = row.try_get(1)?;
                let text = text.map(|json| pretty(&json, excerpt::PRETTY_BYTES));
                Ok(Excerpt::of(row.try_get(0)?, text))
            };
            row.as_ref().map(page).transpose()
        });
        found.map_err(Error::database(format!("read the page {name}")))
    }
}
