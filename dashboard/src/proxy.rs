//! Proxies that say who a person is.

use std::net::IpAddr;

use axum::http::HeaderName;
use ipnet::IpNet;

/// Proxies that say who a person is.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    /// The header that holds the person's name; `None`: nobody is believed.
    pub header: Option<HeaderName>,
    /// The addresses from which it is believed.
    pub trusted: Vec<IpNet>,
    /// Who of them may act; `*` for everybody.
    pub operators: Vec<String>,
}

impl Proxy {
    /// True where there is a proxy to believe.
    pub fn is_known(&self) -> bool {
        self.header.is_some()
    }

    /// True where the address is one of the proxies'.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// True where this person may act.
    pub fn is_operator(&self, name: &str) -> bool {
        self.operators.iter().any(|one| one == "*" || one == name)
    }
}
