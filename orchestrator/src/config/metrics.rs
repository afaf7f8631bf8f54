//! `[metrics]`: where the numbers for Prometheus are served.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

/// Where `/metrics`, `/healthz` and `/readyz` are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The address, apart from the home page's: who may watch is not who may visit.
    pub listen: SocketAddr,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricsTable {
    /// Address and port of /metrics, /healthz and /readyz. Default: no metrics.
    #[schemars(with = "Option<String>")]
    listen: Option<SocketAddr>,
}

impl MetricsTable {
    /// `None` where nobody asked for metrics.
    pub(super) fn check(self) -> Option<Metrics> {
        self.listen.map(|listen| Metrics { listen })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn metrics_are_off_until_an_address_is_given() {
        assert!(Config::parse("").unwrap().metrics.is_none());
        assert!(Config::parse("[metrics]").unwrap().metrics.is_none());
        let on = Config::parse("[metrics]\nlisten = '127.0.0.1:9464'").unwrap();
        let address = on.metrics.map(|metrics| metrics.listen.to_string());
        assert_eq!(address.as_deref(), Some("127.0.0.1:9464"));
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        let problem = Config::parse("[metrics]\nlisten = '127.0.0.1'").unwrap_err();
        assert!(problem.contains("line 2, column 10, listen"), "{problem}");
    }
}
