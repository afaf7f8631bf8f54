//! A span for each tick, sent to an OpenTelemetry collector and linked to the
//! traces that the handled messages belong to.
//!
//! A tick tells how many messages it read and up to where, not which. Only here,
//! where somebody wants to know, the metadata of these is read once more,
//! beside the ticks and never in their way.

use std::{
    collections::HashMap,
    env,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{Link, Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::{
    config::Config,
    error::{Error, Result},
};
use message_store_client::database::{Database, Outcome, ReadRange, Started, Tick, TraceContext};

mod client;
mod exporter;

/// Ticks that wait for their span. What comes beyond is left out, so that
/// neither a slow collector nor a slow database holds a tick up.
const WAITING: usize = 4096;

/// What the scheduler tells. Cheap to clone.
#[derive(Clone)]
pub struct Traces {
    ended: mpsc::Sender<Ended>,
    idle_ticks: bool,
}

/// A tick that has ended.
struct Ended {
    subscriber_id: Arc<str>,
    at: SystemTime,
    took: Duration,
    source: Option<(String, i64)>,
    result: std::result::Result<Tick, String>,
}

/// The task that makes spans of ticks.
pub struct Recorder {
    ended: mpsc::Receiver<Ended>,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    database: Database,
    /// Types that have a handler, of the subscriptions whose handlers we know.
    types: HashMap<String, Vec<String>>,
}

/// Where spans go, where the configuration or the environment names a collector.
///
/// # Errors
/// [`Error::Config`] where one cannot be used.
fn endpoint(config: &Config) -> Result<Option<exporter::Endpoint>> {
    let is_disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|is| is.eq_ignore_ascii_case("true"));
    if is_disabled {
        return Ok(None);
    }
    exporter::endpoint(&config.telemetry).map_err(mistake)
}

fn mistake(problem: String) -> Error {
    Error::Config {
        origin: "of OpenTelemetry".to_owned(),
        problem,
    }
}

/// Finds mistakes before anything is started.
///
/// # Errors
/// [`Error::Config`] where a collector is named that cannot be one.
pub fn check(config: &Config) -> Result<()> {
    endpoint(config).map(drop)
}

/// Ready to trace, where the configuration or the environment names a collector
/// and `OTEL_SDK_DISABLED` is not true.
///
/// # Errors
/// [`Error::Config`] where the exporter refuses what it is told.
pub fn start(config: &Config, database: Database) -> Result<Option<(Traces, Recorder)>> {
    let Some(endpoint) = endpoint(config)? else {
        return Ok(None);
    };
    let provider = exporter::provider(&endpoint).map_err(mistake)?;
    info!("sending a span for each tick to {}", endpoint.label());
    let (sender, ended) = mpsc::channel(WAITING);
    let handlers = config.subscriptions.iter().filter_map(|subscription| {
        let types: Vec<String> = subscription.handlers.as_object()?.keys().cloned().collect();
        let takes_all = types.iter().any(|name| name == "$any");
        (!takes_all).then(|| (subscription.subscriber_id.clone(), types))
    });
    let recorder = Recorder {
        ended,
        tracer: provider.tracer("orchestrator"),
        provider,
        database,
        types: handlers.collect(),
    };
    let traces = Traces {
        ended: sender,
        idle_ticks: config.telemetry.idle_ticks,
    };
    Ok(Some((traces, recorder)))
}

impl Traces {
    /// Notes a tick that has just ended. `row` is the subscription as it is listed.
    pub fn ended(
        &self,
        subscriber_id: &Arc<str>,
        row: Option<&Started>,
        took: Duration,
        ticked: &message_store_client::Result<Tick>,
    ) {
        let is_idle = |tick: &Tick| matches!(tick.outcome, Outcome::Idle | Outcome::Busy);
        if !self.idle_ticks && ticked.as_ref().is_ok_and(is_idle) {
            return;
        }
        let ended = Ended {
            subscriber_id: subscriber_id.clone(),
            at: SystemTime::now(),
            took,
            source: row.map(|row| (row.source.clone(), row.group_size)),
            result: match ticked {
                Ok(tick) => Ok(tick.clone()),
                Err(error) => Err(error.to_string()),
            },
        };
        if self.ended.try_send(ended).is_err() {
            debug!(
                subscriber_id = &**subscriber_id,
                "a tick has no span: too many wait"
            );
        }
    }
}

impl Recorder {
    /// Records until the scheduler has gone, then sends what is left.
    pub async fn run(mut self) {
        while let Some(ended) = self.ended.recv().await {
            self.record(&ended).await;
        }
        let provider = self.provider;
        let sent = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = sent {
            warn!("the last spans may not have been sent: {error}");
        }
    }

    async fn record(&self, ended: &Ended) {
        let contexts = match (&ended.result, &ended.source) {
            (Ok(tick), Some((source, group_size))) if tick.handled > 0 => {
                self.contexts(ended, tick, source, *group_size).await
            }
            _ => Vec::new(),
        };
        let links: Vec<Link> = contexts.iter().filter_map(link).collect();
        let builder = self
            .tracer
            .span_builder("tick")
            .with_kind(SpanKind::Consumer)
            .with_start_time(ended.at - ended.took)
            .with_attributes(attributes(ended))
            .with_links(links);
        let mut span = self.tracer.build_with_context(builder, &Context::new());
        if let Some(problem) = problem(ended) {
            span.set_status(Status::error(problem));
        }
        span.end_with_timestamp(ended.at);
    }

    async fn contexts(
        &self,
        ended: &Ended,
        tick: &Tick,
        source: &str,
        group_size: i64,
    ) -> Vec<TraceContext> {
        let range = ReadRange {
            source: source.to_owned(),
            group_size,
            member: tick.member,
            position: tick.position,
            scanned: tick.scanned,
            types: self.types.get(&*ended.subscriber_id).cloned(),
        };
        match self.database.trace_contexts(&range).await {
            Ok(contexts) => contexts,
            Err(error) => {
                debug!(
                    subscriber_id = &*ended.subscriber_id,
                    "a span has no links: {error}"
                );
                Vec::new()
            }
        }
    }
}

fn attributes(ended: &Ended) -> Vec<KeyValue> {
    let subscriber_id = ended.subscriber_id.to_string();
    let mut attributes = vec![KeyValue::new("message_store.subscriber_id", subscriber_id)];
    match &ended.result {
        Ok(tick) => attributes.extend([
            KeyValue::new("message_store.tick.outcome", tick.outcome.word()),
            KeyValue::new("message_store.tick.scanned", tick.scanned),
            KeyValue::new("message_store.tick.handled", tick.handled),
            KeyValue::new("message_store.tick.parked", tick.parked),
            KeyValue::new("message_store.tick.position", tick.position),
        ]),
        Err(_) => attributes.push(KeyValue::new("message_store.tick.outcome", "refused")),
    }
    attributes
}

/// Why a tick is an error: a handler failed, or it could not be run.
fn problem(ended: &Ended) -> Option<String> {
    match &ended.result {
        Ok(tick) => {
            let trouble = tick.trouble.as_ref()?;
            let message = trouble.error.lines().next().unwrap_or_default();
            Some(format!("{} {message}", trouble.sqlstate))
        }
        Err(error) => Some(error.clone()),
    }
}

/// `None` where the metadata says nothing that W3C's rules allow.
fn link(context: &TraceContext) -> Option<Link> {
    // The propagator takes ids that are too short.
    let lengths = context.parent.split('-').map(str::len).take(4);
    if !lengths.eq([2, 32, 16, 2]) {
        return None;
    }
    let mut carrier = HashMap::from([("traceparent".to_owned(), context.parent.clone())]);
    if let Some(state) = &context.state {
        carrier.insert("tracestate".to_owned(), state.clone());
    }
    let found = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let found = found.span().span_context().clone();
    found.is_valid().then(|| Link::with_context(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(parent: &str) -> TraceContext {
        TraceContext {
            parent: parent.to_owned(),
            state: Some("a=b".to_owned()),
        }
    }

    #[test]
    fn only_a_traceparent_by_the_rules_is_a_link() {
        let well = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let found = link(&context(well)).unwrap().span_context;
        assert_eq!(
            found.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(found.span_id().to_string(), "b7ad6b7169203331");
        assert_eq!(found.trace_state().get("a"), Some("b"));
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for ill in ["", "made up", zeros, "00-0af7-b7ad-01"] {
            assert!(link(&context(ill)).is_none(), "{ill}");
        }
    }
}
