//! `GET /`: one primary-key query, one page.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use tracing::warn;

use super::Site;
use crate::{config::Video, database::HomePage, error::Error};

/// Shows the count, the most watched, and the videos.
pub async fn show(State(site): State<Site>) -> Response {
    match site.database.home_page().await {
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
        p { "The videos are not available at the moment. Please try again shortly." }
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
    // A video that is offered no more has no title but its id.
    let title = |id: &str| {
        let offered = videos.iter().find(|video| video.id == id);
        offered.map_or_else(|| id.to_owned(), |video| video.title.clone())
    };
    layout(html! {
        p.count {
            strong #videos-watched aria-live="polite" { (page.videos_watched) }
            " videos watched"
        }
        ul.videos {
            @for video in videos {
                li {
                    span { (video.title) }
                    form method="post" data-video=(video.id) action=(viewings_path(&video.id)) {
                        button type="submit" { "Watch" }
                    }
                }
            }
        }
        h2 { "Most watched" }
        ol #most-watched aria-live="polite" {
            @for video in &page.most_watched {
                li { span { (title(&video.video_id)) } " " strong { (video.views) } }
            }
        }
    })
}

fn layout(content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Videos" }
                link rel="stylesheet" href="/home.css";
                link rel="icon" href="data:,";
                script src="/home.js" defer {}
            }
            body {
                main {
                    h1 { "Videos" }
                    (content)
                }
            }
        }
    }
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
    use crate::database::WatchedVideo;

    fn watched(video_id: &str, views: i64) -> WatchedVideo {
        let video_id = video_id.to_owned();
        WatchedVideo { video_id, views }
    }

    #[test]
    fn titles_and_ids_cannot_break_out_of_the_page() {
        let video = Video {
            id: "a/\"b".to_owned(),
            title: "<script>".to_owned(),
        };
        let page = render(
            &HomePage {
                videos_watched: 42,
                last_view_processed: 7,
                most_watched: vec![watched("a/\"b", 40), watched("<b>", 2)],
            },
            &[video],
        );
        let page = page.into_string();
        assert!(page.contains(">42</strong>"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 2, "{page}");
        assert!(page.contains("&lt;b&gt;"), "{page}");
        assert!(page.contains("/videos/a%2F%22b/viewings"), "{page}");
    }
}
