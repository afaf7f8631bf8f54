//! One listener's server: what a visitor may cost, whoever it is.
//!
//! A visitor has only so long to send a request, and to take an answer; only so many connections at
//! a time are open, of one address and of all. Where there are as many, the one that waits for a
//! request for longest makes room, so that nobody keeps others out by connecting and keeping still;
//! and where all are at work, how we are is still told.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    serve::Listener,
};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

use crate::{
    limits::Limits,
    request::read_whole,
    seats::{Seat, Seats},
};

/// The longest head of a request, and the bytes of an answer that wait in memory for a visitor to
/// take them: 64 KiB.
const BUFFER: usize = 64 * 1024;

/// How long an answer may take to begin. Actions are given 60 s by the database.
const LONGEST_WORK: Duration = Duration::from_secs(75);

/// A server of one listener.
pub struct Server {
    name: &'static str,
    listener: TcpListener,
    limits: Limits,
    pages: Router,
    health: Router,
}

impl Server {
    /// `name` is for the log; `health` is what is answered even where there is no room for more.
    pub fn new(
        name: &'static str,
        listener: TcpListener,
        limits: Limits,
        pages: Router,
        health: Router,
    ) -> Self {
        Self {
            name,
            listener,
            limits,
            pages,
            health: health.fallback(no_room),
        }
    }

    /// Serves until shutdown, then lets running requests end.
    pub async fn serve(mut self, shutdown: CancellationToken) {
        let name = self.name;
        let seats = Seats::new(self.limits.connections, self.limits.connections_per_client);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.client_timeout)
            .max_buf_size(BUFFER);
        let graceful = GracefulShutdown::new();
        loop {
            let (stream, peer) = tokio::select! {
                accepted = Listener::accept(&mut self.listener) => accepted,
                () = shutdown.cancelled() => break,
            };
            let Some(seat) = seats.take(peer.ip()) else {
                debug!(%peer, "{name}: too many connections");
                continue;
            };
            let router = if seat.is_crowded {
                self.health.clone()
            } else {
                self.pages.clone()
            };
            let left = seat.left();
            let seat = Arc::new(seat);
            let patience = self.limits.client_timeout;
            let service = service_fn(move |request| {
                answer(router.clone(), seat.clone(), patience, peer, request)
            });
            let connection = http.serve_connection(TokioIo::new(self.limit(stream)), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                tokio::select! {
                    ended = connection => if let Err(problem) = ended {
                        debug!(%peer, "{name}: {problem}");
                    },
                    () = left.cancelled() => debug!(%peer, "{name}: made room"),
                }
            });
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    /// A visitor who takes nothing of an answer is let go.
    fn limit(&self, stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.client_timeout));
        Box::pin(stream)
    }
}

/// The connection is at work from when the request has come, the last of its body too, until the
/// last of the answer is on its way.
async fn answer(
    router: Router,
    seat: Arc<Seat>,
    patience: Duration,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = match read_whole(request, patience).await {
        Ok(request) => request,
        Err(refusal) => return Ok(*refusal),
    };
    let work = seat.work();
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = match timeout(LONGEST_WORK, router.oneshot(request)).await {
        Ok(response) => response?,
        Err(_) => no_answer().await,
    };
    Ok(hold_until_taken(response, work))
}

/// The response, and something that is kept until the last of it is on its way.
pub fn hold_until_taken<T: Send + 'static>(response: Response, kept: T) -> Response {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _kept = &kept;
            frame
        }))
    })
}

async fn no_answer() -> Response {
    let text = "The database does not answer. What was asked for may still happen.\n";
    (StatusCode::GATEWAY_TIMEOUT, text).into_response()
}

async fn no_room() -> Response {
    let headers = [(header::RETRY_AFTER, "2"), (header::CONNECTION, "close")];
    let text = "Too many are connected. Please try again shortly.\n";
    (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
}
