//! A web server whose visitors cannot make it cost more than it may: HTTP/1 over hyper, an axum
//! [`Router`](axum::Router) behind it, and limits of time, of connections and of requests' sizes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use maud::{Markup, PreEscaped};
use printable::printable_html;

mod limits;
mod request;
mod seats;
mod server;

pub use limits::{Limits, fit};
pub use server::{Server, hold_until_taken};

/// A document, or a part of one, in whose text nothing is hidden.
pub fn visible(markup: Markup) -> Markup {
    PreEscaped(printable_html(&markup.into_string()).into_owned())
}

/// For a router's `map_response`: nothing from elsewhere runs in our pages, and nobody frames them.
pub async fn protect(mut response: Response) -> Response {
    let rules = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, rule) in rules {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(rule));
    }
    response
}
