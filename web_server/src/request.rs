//! Before any page: a request is there as a whole, and holds no text that the database cannot.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper::body::Incoming;
use tokio::time::timeout;

/// The largest body taken: 16 KiB.
const LARGEST_BODY: usize = 16 * 1024;

/// Reads the body, in `time` and up to [`LARGEST_BODY`]; or what to answer instead.
pub async fn read_whole(
    request: Request<Incoming>,
    time: Duration,
) -> Result<Request, Box<Response>> {
    let refuse = |status: StatusCode, text: &'static str| Box::new((status, text).into_response());
    let (parts, body) = request.into_parts();
    let body = match timeout(time, to_bytes(Body::new(body), LARGEST_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let text = "The request is too large, or broke off.\n";
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        Err(_) => {
            let text = "The request took too long.\n";
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, text));
        }
    };
    if has_nul(&parts.uri) || (is_form(&parts) && form_has_nul(&body)) {
        let text = "There is a NUL character (%00) in this request; no name and no text has one.\n";
        return Err(refuse(StatusCode::BAD_REQUEST, text));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn has_nul(uri: &Uri) -> bool {
    uri.path_and_query()
        .is_some_and(|text| text.as_str().contains("%00"))
}

fn is_form(parts: &Parts) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    })
}

fn form_has_nul(body: &[u8]) -> bool {
    body.contains(&0) || body.windows(3).any(|three| three == b"%00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_and_what_only_looks_like_one_is_not() {
        let has = |uri: &'static str| has_nul(&Uri::from_static(uri));
        assert!(has("/admin?q=a%00b") && has("/a%00"));
        assert!(!has("/admin?q=%2500") && !has("/"));
        assert!(form_has_nul(b"a=%00") && form_has_nul(b"a=\0"));
        assert!(!form_has_nul(b"a=%2500&b=0") && !form_has_nul(b""));
    }
}
