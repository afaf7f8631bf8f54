//! Who may come in, decided here and nowhere else.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::CookieJar;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use super::{
    identity::{Identity, Role},
    layout, link, login,
    proxy::Proxy,
    sessions::random_key,
    site::Site,
    tokens::Tokens,
};

/// What lets people in.
pub struct Access {
    /// The tokens.
    pub tokens: Tokens,
    /// The proxies that say who somebody is.
    pub proxy: Proxy,
    /// The names by which browsers may ask, as configured.
    hosts: Vec<String>,
    /// The names of the listen address.
    own_hosts: Vec<String>,
    /// Makes the form keys of people who have no session.
    mac: Hmac<Sha256>,
}

impl Access {
    /// What the configuration says.
    pub fn new(tokens: Tokens, proxy: Proxy, hosts: Vec<String>, listen: SocketAddr) -> Self {
        let lower = |host: String| host.to_ascii_lowercase();
        let own_hosts = if hosts.is_empty() {
            vec![authority_host(&listen.to_string()), "localhost".to_owned()]
        } else {
            Vec::new()
        };
        Self {
            tokens,
            proxy,
            hosts: hosts.into_iter().map(lower).collect(),
            own_hosts,
            mac: keyed(),
        }
    }

    /// True where a browser may ask under this name: a page of another site whose
    /// name was made to lead here must not pass for ours.
    fn knows_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = authority_host(&host);
        self.own_hosts.contains(&bare) || self.hosts.iter().any(|one| *one == host || *one == bare)
    }

    /// True where a request that changes something comes from a page of ours.
    fn is_own_page(&self, headers: &HeaderMap, host: &str) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return false;
        }
        match text(header::ORIGIN.as_str()) {
            None => true,
            Some(origin) => origin.split_once("://").is_some_and(|(_, from)| {
                let from = from.to_ascii_lowercase();
                from == host.to_ascii_lowercase() || self.hosts.contains(&from)
            }),
        }
    }

    /// Who asks; `None` for a stranger.
    fn identify(&self, site: &Site, peer: SocketAddr, headers: &HeaderMap) -> Option<Identity> {
        let proxy = &self.proxy;
        if let Some(header) = proxy.header.as_ref().filter(|_| proxy.trusts(peer.ip())) {
            let mut names = headers.get_all(header).iter();
            if let (Some(name), None) = (names.next(), names.next()) {
                let name = name.to_str().ok().map(str::trim);
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    let role = if proxy.is_operator(name) {
                        Role::Operator
                    } else {
                        Role::Viewer
                    };
                    return Some(self.without_session(role, name));
                }
            }
        }
        let cookies = CookieJar::from_headers(headers);
        let session = cookies.get(login::COOKIE);
        if let Some(identity) = session.and_then(|key| site.sessions.find(key.value())) {
            return Some(identity);
        }
        // The configuration has seen to it that this is a loopback address.
        let is_open = self.tokens.are_none() && !self.proxy.is_known();
        is_open.then(|| self.without_session(Role::Operator, "operator (loopback)"))
    }

    fn without_session(&self, role: Role, name: &str) -> Identity {
        let mut mac = self.mac.clone();
        mac.update(format!("{role:?}\n{name}").as_bytes());
        let form_key = mac.finalize().into_bytes();
        Identity {
            role,
            name: name.to_owned(),
            has_session: false,
            database: Arc::default(),
            form_key: form_key.iter().map(|byte| format!("{byte:02x}")).collect(),
            left: CancellationToken::new(),
        }
    }
}

/// Before everything: the name we are asked by, and whose page a change comes from.
pub async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or(request.uri().authority().map(|one| one.as_str()));
    let host = host.unwrap_or_default().to_owned();
    if !site.access.knows_host(&host) {
        let text = format!(
            "The dashboard is not known by the name {host:?}. List it in [dashboard] hosts.\n"
        );
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    if changes_something(request.method()) && !site.access.is_own_page(request.headers(), &host) {
        let text = "This form belongs to another site: nothing was done.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

/// Before the pages: who asks, and that only operators change anything.
pub async fn require_identity(
    State(site): State<Arc<Site>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(mut identity) = site.access.identify(&site, peer, request.headers()) else {
        return strangers_answer(&site, request.method(), request.uri());
    };
    identity.database = site.database(&identity).name().into();
    if changes_something(request.method()) && !identity.may_act() {
        return layout::refuse(
            &identity,
            "You may look, but not act. Ask an operator, or sign in as one.",
        );
    }
    request.extensions_mut().insert(identity);
    next.run(request).await
}

fn changes_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn strangers_answer(site: &Site, method: &Method, uri: &Uri) -> Response {
    if site.access.tokens.are_none() {
        let text = "Come through the proxy that says who you are.\n";
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    if *method == Method::GET && uri.path() != "/admin/events" {
        let wanted = uri.path_and_query().map_or("/admin", |path| path.as_str());
        return Redirect::to(&link::with(login::PATH, &[("then", wanted)])).into_response();
    }
    (StatusCode::UNAUTHORIZED, "Sign in first.\n").into_response()
}

/// With a key that nobody knows and that is gone with the process.
fn keyed() -> Hmac<Sha256> {
    let key = random_key();
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key.as_bytes());
    Hmac::new(&block.into())
}

/// A host without its port.
fn authority_host(authority: &str) -> String {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => authority.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn access(hosts: &[&str]) -> Access {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        let listen = "127.0.0.1:8081".parse().unwrap();
        Access::new(Tokens::default(), Proxy::default(), hosts, listen)
    }

    #[test]
    fn only_its_own_names_are_known() {
        let default = access(&[]);
        for host in ["127.0.0.1:8081", "localhost:1", "LOCALHOST"] {
            assert!(default.knows_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example:8081",
            "127.0.0.2",
        ] {
            assert!(!default.knows_host(host), "{host}");
        }
        let named = access(&["admin.example.org"]);
        assert!(named.knows_host("admin.example.org:8443"));
        assert!(!named.knows_host("localhost"));
        let ipv6 = Access::new(
            Tokens::default(),
            Proxy::default(),
            vec![],
            "[::1]:8081".parse().unwrap(),
        );
        assert!(ipv6.knows_host("[::1]:8081") && ipv6.knows_host("[::1]"));
    }

    #[test]
    fn a_change_comes_from_a_page_of_ours() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|&(name, value)| {
                    (
                        axum::http::HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect::<HeaderMap>()
        };
        let access = access(&["admin.example.org"]);
        let host = "127.0.0.1:8081";
        assert!(access.is_own_page(&headers(&[]), host));
        assert!(access.is_own_page(&headers(&[("origin", "http://127.0.0.1:8081")]), host));
        assert!(access.is_own_page(&headers(&[("origin", "https://admin.example.org")]), host));
        for origin in ["null", "http://127.0.0.1:3000", "https://evil.example"] {
            let foreign = headers(&[("origin", origin)]);
            assert!(!access.is_own_page(&foreign, host), "{origin}");
        }
        let foreign = headers(&[("sec-fetch-site", "cross-site")]);
        assert!(!access.is_own_page(&foreign, host));
    }
}
