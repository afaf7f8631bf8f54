//! The part of the page that is sent anew when it changes: the most watched
//! videos and the last viewings.

use maud::{Markup, html};

use crate::rows::{HomePage, Viewing, WatchedVideo};
use crate::video::Video;

/// Both lists, and what of the page cannot be shown.
pub fn render(page: &HomePage, videos: &[Video]) -> Markup {
    html! {
        @if !page.unreadable.is_empty() {
            p.none role="status" { "We cannot show at the moment: " (page.unreadable.join("; ")) "." }
        }
        section aria-labelledby="most" {
            h2 #most { "Most watched" }
            @if page.most_watched.is_empty() {
                p.none { "Nobody has watched a video yet." }
            } @else {
                ol.most { (most_watched(&page.most_watched, videos)) }
            }
        }
        section aria-labelledby="recent" {
            h2 #recent { "Recently watched" }
            @if page.recent.is_empty() {
                p.none { "Nobody has watched a video yet." }
            } @else {
                ol.recent { (recent(&page.recent, videos)) }
            }
        }
    }
}

fn most_watched(most_watched: &[WatchedVideo], videos: &[Video]) -> Markup {
    let most = most_watched.iter().map(|video| video.views).max();
    html! {
        @for video in most_watched {
            li {
                span { (title(&video.video_id, videos)) } " "
                strong { (grouped(video.views)) }
                (bar(video.views, most.unwrap_or(0)))
            }
        }
    }
}

fn recent(recent: &[Viewing], videos: &[Video]) -> Markup {
    html! {
        @for viewing in recent {
            li {
                span { (title(&viewing.video_id, videos)) } " "
                time datetime=(viewing.time) { (to_the_minute(&viewing.time)) }
            }
        }
    }
}

/// How much of the most a number is. For the eye only: the number stands beside it.
fn bar(number: i64, most: i64) -> Markup {
    let width = 100.0 * number.max(0) as f64 / most.max(1) as f64;
    html! {
        svg.bar viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(format!("{width:.1}")) height="1" {}
        }
    }
}

/// A video that is offered no more has no title but its id.
fn title(video_id: &str, videos: &[Video]) -> String {
    let offered = videos.iter().find(|video| video.id == video_id);
    offered.map_or_else(|| video_id.to_owned(), |video| video.title.clone())
}

/// What a script makes "a minute ago" stands as a date without one.
fn to_the_minute(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}

/// A number as people read it: 20,000,000.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (-20_000_000, "-20,000,000"),
            (i64::MAX, "9,223,372,036,854,775,807"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_time_is_shown_to_the_minute_and_anything_else_as_it_is() {
        let time = "2026-08-01T12:34:56.789012Z";
        assert_eq!(to_the_minute(time), "2026-08-01 12:34 UTC");
        for other in ["", "now", "größere Zeit", "öööööööö"] {
            assert_eq!(to_the_minute(other), other);
        }
    }
}
