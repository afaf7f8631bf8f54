//! `POST /videos/{id}/viewings`: somebody watched a video.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::{page, rows::HomePage, site::Site};
use message_store_client::{Result, database::NewMessage};

/// How long a browser's answer waits for its own view to be counted, so that
/// the page it is sent to shows it: 250 ms. After that the page comes anyway.
const COUNT_PATIENCE: Duration = Duration::from_millis(250);

/// The longest id taken, of a video or a user, in bytes.
const LONGEST_ID: usize = 200;

/// What a JSON request may hold; a browser's form holds nothing.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Viewing {
    user_id: Option<String>,
}

/// Writes the command `RegisterViewing` to the video's command stream; the
/// service makes it a `VideoViewed`. Answers 201 with the command's position to
/// who accepts JSON, else 303 to the page.
pub async fn record(
    State(site): State<Site>,
    Path(video_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A page of another site must not watch videos for its visitors.
    if header_is(&headers, "sec-fetch-site", "cross-site") {
        return refuse(StatusCode::FORBIDDEN, "this form belongs to another site");
    }
    if video_id.is_empty() || !is_plain(&video_id) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "a video id is 1 to 200 bytes of plain text",
        );
    }
    let is_json = header_is(&headers, header::CONTENT_TYPE.as_str(), "application/json");
    let viewing = if is_json && !body.is_empty() {
        match serde_json::from_slice::<Viewing>(&body) {
            Ok(viewing) => viewing,
            Err(_) => {
                let text = "the body must be {\"userId\": null or a string}";
                return refuse(StatusCode::BAD_REQUEST, text);
            }
        }
    } else {
        Viewing::default()
    };

    if viewing.user_id.as_deref().is_some_and(|id| !is_plain(id)) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "a user's id is at most 200 bytes of plain text",
        );
    }

    let message = match register_viewing(&video_id, viewing.user_id.as_deref()) {
        Ok(message) => message,
        Err(error) => return page::unavailable(&error),
    };
    let written = if header_is(&headers, header::ACCEPT.as_str(), "application/json") {
        let written = site.database.write_message(&message).await;
        written.map(|position| {
            let answer = json!({ "stream": message.stream, "position": position });
            (StatusCode::CREATED, Json(answer)).into_response()
        })
    } else {
        let counted = write_and_see_counted(&site, &message).await;
        counted.map(|()| Redirect::to("/").into_response())
    };
    written.unwrap_or_else(|error| match error.is_unknown_text() {
        true => refuse(
            StatusCode::BAD_REQUEST,
            "an id holds a character that the database cannot hold",
        ),
        false => page::unavailable(&error),
    })
}

fn is_plain(id: &str) -> bool {
    id.len() <= LONGEST_ID && !id.contains(char::is_control)
}

/// Returns when the count has risen, or after [`COUNT_PATIENCE`]: the browser
/// goes on to the page in any case.
async fn write_and_see_counted(site: &Site, message: &NewMessage) -> Result<()> {
    let mut pages = site.home_page.subscribe();
    let before = HomePage::load(&site.database).await?.videos_watched;
    site.database.write_message(message).await?;
    let counted = pages.wait_for(|page| page.videos_watched > before);
    let _ = timeout(COUNT_PATIENCE, counted).await;
    Ok(())
}

fn register_viewing(video_id: &str, user_id: Option<&str>) -> Result<NewMessage> {
    NewMessage::new(
        &format!("viewings:command-{video_id}"),
        "RegisterViewing",
        &json!({ "userId": user_id, "videoId": video_id }),
    )?
    .with_metadata(&json!({ "traceId": Uuid::new_v4(), "userId": user_id }))
}

/// True where the header's value holds the word, parameters aside.
fn header_is(headers: &HeaderMap, name: &str, word: &str) -> bool {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split([',', ';']).any(|part| part.trim() == word))
}

fn refuse(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewing_is_a_command_to_the_videos_stream() -> Result<()> {
        let message = register_viewing("streams", None)?;
        assert_eq!(message.message_type, "RegisterViewing");
        assert_eq!(message.stream, "viewings:command-streams");
        let data = message.data.as_ref().map(|data| data.get());
        assert_eq!(data, Some(r#"{"userId":null,"videoId":"streams"}"#));
        Ok(())
    }

    #[test]
    fn a_browsers_accept_header_is_not_json() {
        let mut headers = HeaderMap::new();
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        headers.insert(header::ACCEPT, header::HeaderValue::from_static(browser));
        assert!(!header_is(&headers, "accept", "application/json"));
        let client = header::HeaderValue::from_static("application/json, text/plain;q=0.5");
        headers.insert(header::ACCEPT, client);
        assert!(header_is(&headers, "accept", "application/json"));
    }
}
