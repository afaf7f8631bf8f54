//! `GET /`: one primary-key query, one page.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use tracing::warn;

use super::{lists, poster, site::Site};
use crate::rows::HomePage;
use crate::video::Video;
use message_store_client::Error;
use web_server::visible;

/// Shows the count, the videos, the most watched and the last viewings.
pub async fn show(State(site): State<Site>) -> Response {
    match HomePage::load(&site.database).await {
        Ok(page) => (
            [(header::CACHE_CONTROL, "no-store")],
            render(&page, &site.videos),
        )
            .into_response(),
        Err(error) => unavailable(&error),
    }
}

/// The page for a visitor while the database is away. The cause goes to the
/// log: it names hosts and statements a visitor has no business with.
pub fn unavailable(error: &Error) -> Response {
    warn!("web: {error}");
    let page = layout(html! {
        h1 { "Videos" }
        p.lede { "The videos are not available at the moment. Please try again shortly." }
        p { a href="/" { "Try again" } }
    });
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, "2")],
        page,
    )
        .into_response()
}

fn render(page: &HomePage, videos: &[Video]) -> Markup {
    layout(html! {
        header {
            h1 { "Videos" }
            p.count role="status" {
                data #videos-watched value=(page.videos_watched) {
                    (lists::grouped(page.videos_watched))
                }
                " " span { "videos watched" }
            }
        }
        section aria-labelledby="watch" {
            h2 #watch { "Watch one" }
            ul.videos {
                @for video in videos {
                    li { (card(video)) }
                }
            }
        }
        div #lists { (lists::render(page, videos)) }
    })
}

fn card(video: &Video) -> Markup {
    html! {
        (poster::draw(&video.id))
        h3 { (video.title) }
        form method="post" action=(viewings_path(&video.id)) {
            button type="submit" {
                span.verb { "Watch" }
                // Three buttons of one name would be a riddle to who hears them.
                span.unseen { " " (video.title) }
            }
        }
    }
}

fn layout(content: Markup) -> Markup {
    visible(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Videos" }
                link rel="stylesheet" href="/home.css";
                link rel="icon" href="data:,";
                script src="/home.js" defer {}
            }
            body {
                main { (content) }
            }
        }
    })
}

/// Percent-encodes whatever is not plainly safe in a path segment.
fn viewings_path(video_id: &str) -> String {
    let mut path = String::from("/videos/");
    for byte in video_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path.push_str("/viewings");
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Viewing, WatchedVideo};

    #[test]
    fn titles_and_ids_cannot_break_out_of_the_page() {
        let video = Video {
            id: "a/\"b".to_owned(),
            title: "<script>".to_owned(),
        };
        let watched = |video_id: &str, views| WatchedVideo {
            video_id: video_id.to_owned(),
            views,
        };
        let page = render(
            &HomePage {
                videos_watched: 4200,
                last_view_processed: 7,
                most_watched: vec![watched("a/\"b", 40), watched("<b>", 2)],
                recent: vec![Viewing {
                    video_id: "<i>".to_owned(),
                    time: "\"><u>".to_owned(),
                }],
                unreadable: Vec::new(),
            },
            &[video],
        );
        let page = page.into_string();
        assert!(page.contains("value=\"4200\">4,200</data>"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 3, "{page}");
        assert!(page.contains("/videos/a%2F%22b/viewings"), "{page}");
        for tag in ["<script>", "<b>", "<i>", "<u>"] {
            assert!(!page.contains(tag), "{tag} in {page}");
        }
    }
}
