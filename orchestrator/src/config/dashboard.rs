//! `[dashboard]`: who may look at it, and who may act.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use axum::http::HeaderName;
use dashboard::{Proxy, Token, Tokens};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DatabaseAddress, limits};
use crate::error::Error;
use web_server::Limits;

/// The address the dashboard has unless told otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);
/// The environment's names for the tokens, above the files.
const OPERATOR_VARIABLE: &str = "ORCHESTRATOR_DASHBOARD_OPERATOR_TOKEN";
const VIEWER_VARIABLE: &str = "ORCHESTRATOR_DASHBOARD_VIEWER_TOKEN";

/// The dashboard's part of the configuration.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// True where it is to be served. Default false.
    pub enabled: bool,
    /// Where it listens. Default 127.0.0.1:8081.
    pub listen: SocketAddr,
    /// True where the file chose `listen`.
    pub listen_is_chosen: bool,
    /// The database as operators act on it, where the file names it.
    pub database: DatabaseAddress,
    /// The database as viewers look at it. Default: the operators'.
    pub viewers_database: DatabaseAddress,
    /// Who people are, where a proxy knows it.
    pub proxy: Proxy,
    /// The names by which browsers may ask for it; empty: the listen address
    /// and `localhost`.
    pub hosts: Vec<String>,
    /// How many may be connected to it, and how long a client may take.
    pub limits: Limits,
    operator_token_file: Option<PathBuf>,
    viewer_token_file: Option<PathBuf>,
}

/// The table as typed.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DashboardTable {
    /// Whether the dashboard is served. `up --dashboard` serves it too. Default false.
    enabled: bool,
    /// Address and port of the dashboard. Default 127.0.0.1:8081.
    #[schemars(with = "Option<String>")]
    listen: Option<SocketAddr>,
    /// The libpq address that operators act with, of a member of message_store_admin.
    url: Option<String>,
    /// A file that holds the address, instead of `url`.
    url_file: Option<PathBuf>,
    /// The libpq address that viewers look with, of a member of message_store_viewer. Default: url.
    viewer_url: Option<String>,
    /// A file that holds the address, instead of `viewer_url`.
    viewer_url_file: Option<PathBuf>,
    /// A file that holds the token of operators.
    operator_token_file: Option<PathBuf>,
    /// A file that holds the token of viewers.
    viewer_token_file: Option<PathBuf>,
    /// The header in which a proxy says who a person is.
    identity_header: Option<String>,
    /// The addresses from which that header is believed.
    trusted_proxies: Vec<String>,
    /// Which of the people that the proxy names may act. * means everybody. The others may look.
    operators: Vec<String>,
    /// The host names that browsers may use. Default: the listen address and localhost.
    hosts: Vec<String>,
    /// The most connections at a time. Default 512.
    #[schemars(range(min = 1, max = 100_000))]
    connections: Option<usize>,
    /// The most connections of one client address. A proxy is one client. Default 128.
    #[schemars(range(min = 1, max = 100_000))]
    connections_per_client: Option<usize>,
}

impl DashboardTable {
    pub(super) fn check(self) -> Result<Dashboard, String> {
        let header = self.identity_header.map(|header| {
            let refused =
                || format!("[dashboard] identity_header {header:?} is no name of a header");
            HeaderName::try_from(&header).map_err(|_| refused())
        });
        let networks = self.trusted_proxies.iter().map(|network| {
            let single = || network.parse::<IpAddr>().map(IpNet::from);
            let parsed = network.parse::<IpNet>().or_else(|_| single());
            parsed.map_err(|_: std::net::AddrParseError| {
                format!(
                    "[dashboard] trusted_proxies has {network:?}; list addresses such as \
                     \"10.0.0.5\" or \"10.0.0.0/24\""
                )
            })
        });
        let is_host = |host: &String| {
            !host.is_empty() && !host.contains(['/', '@', ' ', '*']) && host.is_ascii()
        };
        if let Some(strange) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(format!(
                "[dashboard] hosts has {strange:?}; list bare names such as \"admin.example.org\" \
                 or \"admin.example.org:8443\""
            ));
        }
        for (url, file, key) in [
            (&self.url, &self.url_file, "url"),
            (&self.viewer_url, &self.viewer_url_file, "viewer_url"),
        ] {
            if url.is_some() && file.is_some() {
                return Err(format!(
                    "[dashboard] has both {key} and {key}_file; leave one of them out"
                ));
            }
        }
        let (connections, of_client) = (self.connections, self.connections_per_client);
        let limits = limits::check("dashboard", connections, of_client)?;
        let address = |url, url_file| DatabaseAddress {
            url,
            url_file,
            password_file: None,
        };
        Ok(Dashboard {
            enabled: self.enabled,
            listen: self.listen.unwrap_or(DEFAULT_LISTEN),
            listen_is_chosen: self.listen.is_some(),
            proxy: Proxy {
                header: header.transpose()?,
                trusted: networks.collect::<Result<_, _>>()?,
                operators: self.operators,
            },
            database: address(self.url, self.url_file),
            viewers_database: address(self.viewer_url, self.viewer_url_file),
            hosts: self.hosts,
            limits,
            operator_token_file: self.operator_token_file,
            viewer_token_file: self.viewer_token_file,
        })
    }
}

impl Dashboard {
    /// Reads the tokens: the environment's, else those of the files.
    ///
    /// # Errors
    /// What is wrong with one, or that the dashboard is exposed without any.
    pub fn tokens(
        &self,
        environment: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Tokens, String> {
        self.check_together()?;
        let read =
            |name: &str, variable, file: &Option<PathBuf>| match (environment(variable), file) {
                (Some(token), _) => Token::new(&token, variable).map(Some),
                (None, Some(file)) => {
                    let origin = format!("[dashboard] {name} {}", file.display());
                    let token =
                        fs::read_to_string(file).map_err(|error| format!("{origin}: {error}"))?;
                    Token::new(token.trim(), &origin).map(Some)
                }
                (None, None) => Ok(None),
            };
        let tokens = Tokens {
            operator: read(
                "operator_token_file",
                OPERATOR_VARIABLE,
                &self.operator_token_file,
            )?,
            viewer: read(
                "viewer_token_file",
                VIEWER_VARIABLE,
                &self.viewer_token_file,
            )?,
        };
        let lets_anybody_in = tokens.are_none() && !self.proxy.is_known();
        let repair = format!(
            "give it a token (operator_token_file, or {OPERATOR_VARIABLE}; `openssl rand -hex 32` \
             makes one), or an identity_header and trusted_proxies"
        );
        if lets_anybody_in && !self.listen.ip().is_loopback() {
            return Err(format!(
                "[dashboard] listens on {}, which others can reach; {repair}, or listen on \
                 127.0.0.1",
                self.listen
            ));
        }
        let known = self.hosts.iter().find(|host| !is_of_this_machine(host));
        if let Some(host) = known.filter(|_| lets_anybody_in) {
            return Err(format!(
                "[dashboard] hosts has {host:?}, by which others can reach it; {repair}, or leave \
                 that name out"
            ));
        }
        Ok(tokens)
    }
}

impl Dashboard {
    /// Where no private cluster is at hand, the file must name a database.
    ///
    /// # Errors
    /// [`Error::Config`] that says what to add.
    pub fn require_database(&self, origin: &str) -> crate::error::Result<()> {
        let is_named = self.database.url.is_some() || self.database.url_file.is_some();
        if is_named || !self.enabled {
            return Ok(());
        }
        Err(Error::Config {
            origin: origin.to_owned(),
            problem: "[dashboard] url is missing; name the database with a role for operators, \
                      a member of message_store_admin, such as \
                      \"postgresql://operator@localhost/message_store\""
                .to_owned(),
        })
    }

    /// Each key may be given elsewhere, so what they mean together is checked last.
    fn check_together(&self) -> Result<(), String> {
        let proxy = &self.proxy;
        let names_anybody = !proxy.trusted.is_empty() || !proxy.operators.is_empty();
        if proxy.header.is_none() && names_anybody {
            return Err(
                "[dashboard] trusted_proxies and operators mean nothing without \
                 identity_header; name the header in which the proxy says who it is"
                    .to_owned(),
            );
        }
        if proxy.header.is_some() && proxy.trusted.is_empty() {
            return Err(
                "[dashboard] identity_header is believed from nobody; list the proxies' \
                 addresses in trusted_proxies, such as [\"10.0.0.5\"]"
                    .to_owned(),
            );
        }
        if self.listen.ip().is_unspecified() && self.hosts.is_empty() {
            return Err(format!(
                "[dashboard] listens on {}; list in hosts the names by which browsers ask for it, \
                 such as [\"admin.example.org\"]",
                self.listen
            ));
        }
        Ok(())
    }
}

/// Whether a host, with or without a port, is a name of this machine for itself.
fn is_of_this_machine(host: &str) -> bool {
    let is_loopback = |host: &str| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|one| one.is_loopback())
    };
    is_loopback(host)
        || host
            .rsplit_once(':')
            .is_some_and(|(name, _)| is_loopback(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(text: &str) -> Result<Dashboard, String> {
        let table: DashboardTable = toml::from_str(text).unwrap();
        table.check()
    }

    fn tokens(text: &str, operator: Option<&str>) -> Result<Tokens, String> {
        let environment = |name| {
            let is_operator = name == OPERATOR_VARIABLE;
            operator.filter(|_| is_operator).map(str::to_owned)
        };
        dashboard(text)?.tokens(environment)
    }

    #[test]
    fn it_is_off_and_on_loopback_unless_told_otherwise() {
        let dashboard = dashboard("").unwrap();
        assert!(!dashboard.enabled);
        assert_eq!(dashboard.listen.to_string(), "127.0.0.1:8081");
        assert!(tokens("", None).unwrap().are_none());
    }

    #[test]
    fn exposed_without_a_token_it_is_refused_with_the_repair() {
        let exposed = "listen = '192.0.2.1:8081'";
        let problem = tokens(exposed, None).unwrap_err();
        assert!(problem.contains("operator_token_file"), "{problem}");
        assert!(tokens(exposed, Some("0123456789abcdef")).is_ok());
        let proxied = format!("{exposed}\nidentity_header='x'\ntrusted_proxies=['10.0.0.1/32']");
        assert!(tokens(&proxied, None).is_ok());
        let any = tokens("listen = '0.0.0.0:1'", Some("0123456789abcdef")).unwrap_err();
        assert!(any.contains("hosts"), "{any}");
    }

    #[test]
    fn known_by_a_name_that_others_can_reach_it_needs_a_token_too() {
        let text = |host| format!("hosts = ['localhost:8443', '{host}']");
        for host in ["admin.example.org", "10.0.0.1:8081", "localhost.example"] {
            let problem = tokens(&text(host), None).unwrap_err();
            assert!(
                problem.contains(host) && problem.contains("token"),
                "{problem}"
            );
            assert!(tokens(&text(host), Some("0123456789abcdef")).is_ok());
        }
        for host in ["LOCALHOST", "127.0.0.2:1", "[::1]:8081", "[::1]"] {
            assert!(tokens(&text(host), None).unwrap().are_none(), "{host}");
        }
    }

    #[test]
    fn a_header_is_believed_from_listed_proxies_only() {
        let problem = tokens("identity_header = 'x-user'", None).unwrap_err();
        assert!(problem.contains("trusted_proxies"), "{problem}");
        let problem = tokens("operators = ['ada']", None).unwrap_err();
        assert!(problem.contains("identity_header"), "{problem}");
        let text =
            "identity_header='x-user'\ntrusted_proxies=['10.1.0.0/16', '::1']\noperators=['ada']";
        let proxy = dashboard(text).unwrap().proxy;
        assert!(proxy.trusts("10.1.2.3".parse().unwrap()));
        assert!(proxy.trusts("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!proxy.trusts("10.2.0.1".parse().unwrap()));
        assert!(proxy.is_operator("ada") && !proxy.is_operator("eve"));
    }
}
