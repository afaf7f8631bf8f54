//! Promise: an orchestrator built with OpenTelemetry sends a span for each tick by OTLP, linked to
//! the traces of the messages that the tick handled.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use promises::{Cluster, Deployment, Running, Session, run_to_end, wait_for};
use prost::Message;

/// `public.picky` fails at messages of the stream `jobs-bad`.
const HANDLERS: &str = "
    CREATE FUNCTION public.fine(at bigint) RETURNS void LANGUAGE sql AS $$ SELECT $$;
    CREATE FUNCTION public.picky(m message_store.message) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        IF (m).stream_name = 'jobs-bad' THEN RAISE EXCEPTION 'not this one'; END IF;
      END $$";

const FINE: &str = r#"
[[services]]
subscriber_id = "services:fine"
category = "jobs"
handlers = { Job = "public.fine" }
"#;

/// A collector: takes what an OTLP exporter posts, and keeps it.
#[derive(Clone, Default)]
struct Collector {
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    /// Serves on a thread of its own, so that a test may block; returns its address.
    fn serve(&self) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let take = axum::routing::post(take).with_state(self.clone());
        let router = axum::Router::new().route("/v1/traces", take);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        address
    }

    fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let resources = taken.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Spans of ticks that handled messages.
    fn handling(&self, subscriber_id: &str) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| {
            let attributes = attributes(span);
            attributes["message_store.subscriber_id"] == subscriber_id
                && attributes["message_store.tick.handled"] != "0"
        });
        spans
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> &'static str {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    collector.taken.lock().unwrap().push(request);
    ""
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let pairs = span.attributes.iter().map(|pair| {
        let value = pair.value.as_ref().and_then(|value| value.value.clone());
        let text = match value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (pair.key.clone(), text)
    });
    pairs.collect()
}

/// The traces that spans are linked to, by their ids' last digit.
fn traces(spans: &[Span]) -> BTreeSet<u8> {
    let links = spans.iter().flat_map(|span| &span.links);
    links.map(|link| *link.trace_id.last().unwrap()).collect()
}

/// Writes a message of this type that belongs to the trace of this number.
async fn write(session: &Session, stream: &str, message_type: &str, trace: u8) {
    let sql = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', \
         '{message_type}', '{{}}', '{{\"traceparent\": \
         \"00-000000000000000000000000000000{trace:02x}-b7ad6b7169203331-01\", \
         \"tracestate\": \"vendor=1\"}}')"
    );
    session.run(&sql).await.unwrap();
}

fn start(deployment: &Deployment, collector: &str) -> Running {
    let mut command = deployment.run();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let running = Running::start(&mut command);
    running.wait_for_log("connected to");
    running
}

#[tokio::test]
async fn a_tick_is_a_span_linked_to_the_traces_of_its_messages() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    write(&session, "jobs-1", "Job", 1).await;
    write(&session, "jobs-2", "Job", 2).await;
    write(&session, "jobs-2", "Unhandled", 3).await;
    write(&session, "others-1", "Job", 4).await;
    let plain = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'jobs-3', 'Job', \
                 '{}', '{\"traceparent\": \"made up\"}')";
    session.run(plain).await.unwrap();
    let collector = Collector::default();
    let deployment = database.deploy(FINE);
    let running = start(&deployment, &collector.serve());
    let spans = wait_for(
        || collector.handling("services:fine"),
        |spans| !spans.is_empty(),
    );
    assert_eq!(spans.len(), 1, "{spans:#?}");
    let span = &spans[0];
    assert_eq!(span.name, "tick");
    assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    let attributes = attributes(span);
    for (name, value) in [
        ("outcome", "progressed"),
        ("scanned", "4"),
        ("handled", "3"),
        ("parked", "0"),
        ("position", "5"),
    ] {
        let name = format!("message_store.tick.{name}");
        assert_eq!(attributes[&name], value, "{name}");
    }
    assert_eq!(traces(&spans), BTreeSet::from([1, 2]));
    assert_eq!(
        span.links[0].span_id,
        0xb7ad_6b71_6920_3331_u64.to_be_bytes()
    );
    assert_eq!(span.links[0].trace_state, "vendor=1");

    // The next tick is linked to its own messages only.
    write(&session, "jobs-1", "Job", 7).await;
    let spans = wait_for(
        || collector.handling("services:fine"),
        |spans| spans.len() == 2,
    );
    assert_eq!(traces(&spans[1..]), BTreeSet::from([7]));
    let resources: Vec<_> = collector.taken.lock().unwrap()[0].resource_spans.clone();
    let resource = resources[0].resource.clone().unwrap();
    let name = resource
        .attributes
        .iter()
        .find(|pair| pair.key == "service.name");
    let name = name.unwrap().value.clone().unwrap().value;
    let expected = Value::StringValue("message_store-orchestrator".to_owned());
    assert_eq!(name, Some(expected));
    running.stop();
}

#[tokio::test]
async fn streams_all_messages_and_groups_are_linked_to_their_own() {
    const SOURCES: &str = r#"
        [[services]]
        subscriber_id = "stream"
        stream = "jobs-1"
        handlers = { Job = "public.fine" }
        [[services]]
        subscriber_id = "all"
        all = true
        handlers = { "$any" = "public.fine" }
        [[services]]
        subscriber_id = "group"
        category = "jobs"
        group_size = 2
        handlers = { Job = "public.fine" }
    "#;
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    for trace in 1..=6 {
        write(&session, &format!("jobs-{trace}"), "Job", trace).await;
    }
    write(&session, "others-1", "Other", 7).await;
    // Without an id: member 0's.
    write(&session, "jobs", "Job", 8).await;
    let collector = Collector::default();
    let running = start(&database.deploy(SOURCES), &collector.serve());
    let are_all_there = |spans: &Vec<Span>, count: u64| {
        let handled = spans.iter().map(|span| {
            let handled = &attributes(span)["message_store.tick.handled"];
            handled.parse::<u64>().unwrap()
        });
        handled.sum::<u64>() == count
    };
    for (subscriber_id, expected) in [
        ("stream", BTreeSet::from([1])),
        ("all", BTreeSet::from([1, 2, 3, 4, 5, 6, 7, 8])),
        ("group", BTreeSet::from([1, 2, 3, 4, 5, 6, 8])),
    ] {
        let count = u64::try_from(expected.len()).unwrap();
        let spans = wait_for(
            || collector.handling(subscriber_id),
            |spans| are_all_there(spans, count),
        );
        assert_eq!(traces(&spans), expected, "{subscriber_id}");
        // No message is in two ticks, so no trace is in two spans here.
        let links: usize = spans.iter().map(|span| span.links.len()).sum();
        assert_eq!(links, expected.len(), "{subscriber_id}");
    }
    running.stop();
}

#[tokio::test]
async fn a_collector_that_cannot_be_one_is_refused_in_one_line_without_its_password() {
    let database = Cluster::shared().create_store().await;
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "me:secret@host:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://secret"),
    ] {
        let ended = run_to_end(database.deploy(FINE).run().env(name, value));
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        let said = format!(
            "orchestrator: configuration of OpenTelemetry: {name} must begin with http:// or \
             https://\n"
        );
        assert_eq!(ended.stderr, said);
    }
}

#[tokio::test]
async fn a_failure_is_an_error_and_a_lost_collector_stops_nobody() {
    const PICKY: &str = r#"
        [[services]]
        subscriber_id = "picky"
        category = "jobs"
        handlers = { Job = "public.picky" }
        on_failure = { then = "stop", retries = 0 }
        [telemetry]
        idle_ticks = false
    "#;
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.run(HANDLERS).await.unwrap();
    write(&session, "jobs-good", "Job", 1).await;
    write(&session, "jobs-bad", "Job", 2).await;
    let collector = Collector::default();
    let running = start(&database.deploy(PICKY), &collector.serve());
    let is_error = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == 2);
    let spans = wait_for(|| collector.spans(), |spans| spans.iter().any(is_error));
    let failed = spans.into_iter().find(is_error).unwrap();
    assert_eq!(attributes(&failed)["message_store.tick.outcome"], "stopped");
    assert_eq!(failed.status.unwrap().message, "P0001 not this one");
    for span in collector.spans() {
        assert_ne!(attributes(&span)["message_store.tick.outcome"], "idle");
    }
    running.stop();

    let away = "http://me:secret@127.0.0.1:1";
    let running = start(&database.deploy(FINE), away);
    write(&session, "jobs-1", "Job", 3).await;
    let line = running.wait_for_log("spans are not taken by http://127.0.0.1:1 and lost");
    assert!(!line.contains("secret"), "{line}");
    let at_the_end = "SELECT coalesce((SELECT position = head FROM message_store.subscription_status \
         WHERE subscriber_id = 'services:fine'), false)";
    session.wait_until(at_the_end).await;
    running.stop();
}
