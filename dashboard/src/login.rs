//! The page where a token is typed, and how a session ends.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Form,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};
use maud::html;
use serde::Deserialize;
use tracing::{info, warn};

use super::{form::Fields, identity::Role, layout, site::Site};

/// Where the page is.
pub const PATH: &str = "/admin/login";
/// Where a session ends.
pub const LEAVE: &str = "/admin/logout";
/// The cookie that holds the session's key.
pub const COOKIE: &str = "orchestrator_session";

#[derive(Deserialize)]
pub struct Login {
    token: String,
    #[serde(default)]
    then: String,
}

/// Asks for the token.
pub async fn show(State(site): State<Arc<Site>>, query: Fields) -> Response {
    if site.access.tokens.are_none() {
        return Redirect::to("/admin").into_response();
    }
    let then = query.text("then").unwrap_or_default();
    ask(StatusCode::OK, then, None)
}

/// Takes the token, begins a session, and goes on to the page that was wanted.
pub async fn enter(
    State(site): State<Arc<Site>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    cookies: CookieJar,
    Form(login): Form<Login>,
) -> Response {
    let typed = login.token.trim();
    let tokens = &site.access.tokens;
    // Both are compared, so that the time tells nothing about which one it was.
    let is_operator = tokens.operator.as_ref().is_some_and(|one| one.is(typed));
    let is_viewer = tokens.viewer.as_ref().is_some_and(|one| one.is(typed));
    let role = match (is_operator, is_viewer) {
        (true, _) => Role::Operator,
        (false, true) => Role::Viewer,
        (false, false) => {
            warn!(%peer, "dashboard: a wrong token");
            let problem = "That is not a token of this dashboard.";
            return ask(StatusCode::UNAUTHORIZED, &login.then, Some(problem));
        }
    };
    info!(%peer, ?role, "dashboard: signed in");
    let key = site.sessions.begin(role, peer.ip());
    let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
    let is_tls = origin.is_some_and(|origin| origin.starts_with(b"https://"));
    let cookie = Cookie::build((COOKIE, key))
        .path("/admin")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_tls);
    (cookies.add(cookie), Redirect::to(own(&login.then))).into_response()
}

/// Ends the session.
pub async fn leave(State(site): State<Arc<Site>>, cookies: CookieJar) -> Response {
    if let Some(session) = cookies.get(COOKIE) {
        site.sessions.end(session.value());
    }
    let cookie = Cookie::build(COOKIE)
        .path("/admin")
        .http_only(true)
        .same_site(SameSite::Strict);
    (cookies.remove(cookie), Redirect::to(PATH)).into_response()
}

/// Only a page of ours: whoever made up the link does not choose another site.
fn own(then: &str) -> &str {
    let is_plain = then
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_plain && (then == "/admin" || then.starts_with("/admin/") || then.starts_with("/admin?"))
    {
        then
    } else {
        "/admin"
    }
}

fn ask(status: StatusCode, then: &str, problem: Option<&str>) -> Response {
    let content = html! {
        h1 { "Sign in" }
        @if let Some(problem) = problem {
            p.notice.bad role="alert" { (problem) }
        }
        form.login method="post" action=(PATH) {
            input type="hidden" name="then" value=(then);
            label for="token" { "Token" }
            input #token type="password" name="token" required autocomplete="current-password"
                autofocus;
            button type="submit" { "Sign in" }
        }
    };
    (status, layout::bare("Sign in", content)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_on_stays_on_this_site() {
        for then in ["/admin", "/admin/subscription?id=a%2Fb", "/admin?x=1"] {
            assert_eq!(own(then), then);
        }
        for then in [
            "",
            "//evil.example",
            "https://evil.example",
            "/admin\r\nx",
            "/administer",
        ] {
            assert_eq!(own(then), "/admin");
        }
    }
}
