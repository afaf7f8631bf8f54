//! Where spans are sent: OpenTelemetry's own variables, then the configuration.

use std::env;

use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

use super::client::Client;
use crate::config::Telemetry;

/// The name of the service where `OTEL_SERVICE_NAME` gives no other.
const SERVICE: &str = "message_store-orchestrator";

/// A collector, and who named it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The environment: the exporter reads it, headers and all.
    Environment(String),
    /// The configuration: the address without `/v1/traces`.
    Configured(String),
}

/// The collector to send to, where one is named.
///
/// # Errors
/// Which variable holds something else.
pub(super) fn endpoint(telemetry: &Telemetry) -> Result<Option<Endpoint>, String> {
    let variables = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    for name in variables {
        let address = env::var(name).unwrap_or_default();
        if address.is_empty() {
            continue;
        }
        let schemes = ["http://", "https://"];
        if !schemes.iter().any(|scheme| address.starts_with(scheme)) {
            // Not shown: an address may hold a password.
            return Err(format!("{name} must begin with http:// or https://"));
        }
        return Ok(Some(Endpoint::Environment(address)));
    }
    Ok(telemetry.endpoint.clone().map(Endpoint::Configured))
}

/// Sends spans in batches, on a thread of its own.
///
/// # Errors
/// What the exporter does not like.
pub(super) fn provider(endpoint: &Endpoint) -> Result<SdkTracerProvider, String> {
    let client = Client::new(endpoint.label())?;
    let mut exporter = SpanExporter::builder().with_http().with_http_client(client);
    if let Endpoint::Configured(address) = endpoint {
        let address = address.trim_end_matches('/');
        exporter = exporter.with_endpoint(format!("{address}/v1/traces"));
    }
    let exporter = exporter.build().map_err(|error| error.to_string())?;
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(SERVICE);
    }
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build())
}

impl Endpoint {
    /// Scheme, host and port, for people: what else an address holds may be secret.
    pub(super) fn label(&self) -> String {
        let (Self::Environment(address) | Self::Configured(address)) = self;
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_address_holds_no_secret() {
        let endpoint = Endpoint::Configured("https://me:secret@host:4318/x?key=secret".into());
        assert_eq!(endpoint.label(), "https://host:4318");
    }
}
