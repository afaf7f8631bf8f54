//! `[telemetry]`: where a span for each tick is sent, in builds that can.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Checked;

/// Where traces go, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// The OTLP collector, without `/v1/traces`; `OTEL_EXPORTER_OTLP_ENDPOINT`
    /// goes above it.
    pub endpoint: Option<String>,
    /// Whether ticks that found nothing have a span, too. Default true.
    pub idle_ticks: bool,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TelemetryTable {
    /// An OTLP collector, such as http://127.0.0.1:4318. /v1/traces is added. Default: no traces.
    endpoint: Option<String>,
    /// Whether ticks that found nothing get a span too. Default: true.
    idle_ticks: Option<bool>,
}

impl TelemetryTable {
    pub(super) fn check(self) -> Checked<Telemetry> {
        let is_used = self.endpoint.is_some() || self.idle_ticks.is_some();
        if is_used && !cfg!(feature = "opentelemetry") {
            return Err(
                "[telemetry] is given, but this orchestrator is built without OpenTelemetry; \
                 build it with --features opentelemetry, or leave the table out"
                    .to_owned(),
            );
        }
        if let Some(endpoint) = &self.endpoint
            && !["http://", "https://"]
                .iter()
                .any(|scheme| endpoint.starts_with(scheme))
        {
            // Not shown: an address may hold a password.
            return Err("[telemetry] endpoint must begin with http:// or https://".to_owned());
        }
        Ok(Telemetry {
            endpoint: self.endpoint,
            idle_ticks: self.idle_ticks.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[cfg(feature = "opentelemetry")]
    #[test]
    fn an_endpoint_is_an_address_of_http() {
        let problem = Config::parse("[telemetry]\nendpoint = 'localhost:4318'").unwrap_err();
        assert!(problem.contains("must begin with http://"), "{problem}");
        let endpoint = "http://localhost:4318";
        let config = Config::parse(&format!("[telemetry]\nendpoint = '{endpoint}'")).unwrap();
        assert_eq!(config.telemetry.endpoint.as_deref(), Some(endpoint));
        assert!(config.telemetry.idle_ticks);
    }

    #[cfg(not(feature = "opentelemetry"))]
    #[test]
    fn a_build_that_cannot_send_traces_says_so() {
        let problem = Config::parse("[telemetry]\nendpoint = 'http://localhost:4318'").unwrap_err();
        assert!(problem.contains("--features opentelemetry"), "{problem}");
        assert!(Config::parse("").is_ok());
    }
}
