//! Who looks at a standby is told how far it is.

use maud::{Markup, html};

use super::format;
use message_store_client::database::Database;

/// A line for pages that show the log; nothing on a primary.
pub async fn note(database: &Database) -> Markup {
    match database.horizon(None).await {
        Ok(horizon) if horizon.is_standbys => html! {
            p.notice {
                "This is a standby. Readers go up to position " (format::count(horizon.position))
                @if let Some(age) = horizon.age {
                    ", which was settled on the primary " (format::seconds(age.as_secs_f64())) " ago"
                }
                "."
            }
        },
        Ok(_) => html! {},
        Err(error) => html! { p.notice.warn { (error) } },
    }
}
