//! HTTP for the exporter, which calls it on a thread of its own and waits there.

use std::{
    env,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::crypto::ring;
use tracing::{debug, info, warn};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// How long an answer may take where `OTEL_EXPORTER_OTLP_TIMEOUT` says nothing: 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends, and says once when that begins to fail and once when it works again.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    label: String,
    trouble: Mutex<String>,
}

impl Client {
    /// # Errors
    /// What `OTEL_EXPORTER_OTLP_TIMEOUT` has wrong.
    pub(super) fn new(label: String) -> Result<Self, String> {
        let certificates = rustls_native_certs::load_native_certs().certs;
        let certificates: Vec<Certificate<'static>> = certificates
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&certificates))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout()?))
            .tls_config(tls)
            .build();
        Ok(Self {
            agent: config.into(),
            label,
            trouble: Mutex::default(),
        })
    }

    fn tell(&self, trouble: String) {
        let mut said = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == trouble {
            debug!("spans are still not taken by {}", self.label);
            return;
        }
        if trouble.is_empty() {
            info!("spans are taken by {} again", self.label);
        } else {
            warn!("spans are not taken by {} and lost: {trouble}", self.label);
        }
        *said = trouble;
    }
}

fn timeout() -> Result<Duration, String> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ];
    for name in names {
        if let Ok(text) = env::var(name) {
            let milliseconds = text
                .parse()
                .map_err(|_| format!("{name} is {text:?}; it must be a number of milliseconds"))?;
            return Ok(Duration::from_millis(milliseconds));
        }
    }
    Ok(TIMEOUT)
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.agent.run(request.map(|body| body.to_vec()));
        let received = sent.and_then(|response| {
            let (head, mut body) = response.into_parts();
            Ok(Response::from_parts(head, Bytes::from(body.read_to_vec()?)))
        });
        match &received {
            Ok(response) if response.status().is_success() => self.tell(String::new()),
            Ok(response) => self.tell(response.status().to_string()),
            Err(error) => self.tell(error.to_string()),
        }
        Ok(received?)
    }
}
