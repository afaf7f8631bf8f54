//! One listener's server: what a visitor may cost, whoever it is.
//!
//! A visitor has only so long to send a request, and to take an answer; only so many connections at
//! a time are open, of one address and of all. Where there are as many, the one that waits for a
//! request for longest makes room, so that nobody keeps others out by connecting and keeping still.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, error};

/// The most open connections of a listener.
const CONNECTIONS: usize = 512;
/// The most of them from one address.
const CONNECTIONS_OF_ADDRESS: usize = 128;
/// How long a visitor may take to send a request's head, and how long a connection may rest.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a request may take until its answer begins, a slow body included.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a visitor may take nothing of an answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer that wait in memory for a visitor to take them.
const BUFFER: usize = 64 * 1024;
/// The pause after an error of the listener itself, such as no free descriptor.
const LISTEN_PAUSE: Duration = Duration::from_millis(100);

/// Serves until shutdown, then lets running requests end. `name` is for the log.
pub async fn serve(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let open = Arc::new(Open::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = open.take(peer.ip()) else {
                    debug!(%peer, "{name}: too many connections");
                    continue;
                };
                let connection = connection(stream, peer, router.clone(), place.clone());
                let watched = graceful.watch(connection);
                tokio::spawn(async move {
                    tokio::select! {
                        ended = watched => {
                            if let Err(problem) = ended {
                                debug!(%peer, "{name}: {problem}");
                            }
                        }
                        () = place.shared.left.cancelled() => {}
                    }
                });
            }
            Err(problem) if is_of_visitor(problem.kind()) => {}
            Err(problem) => {
                error!("{name}: {problem}");
                sleep(LISTEN_PAUSE).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

/// A client's connection, whose writes give up on a client that no longer reads.
type PatientStream = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
) -> http1::Connection<
    PatientStream,
    impl Service<hyper::Request<Incoming>, Response = Response, Error = Infallible, Future = impl Send>,
> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PATIENCE));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, busy) = (router.clone(), place.begin_request());
        async move {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = timeout(ANSWER_PATIENCE, router.oneshot(request)).await;
            let response = match answered {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
            };
            // The connection is busy until the last of the answer has been taken.
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _busy = &busy;
                    frame
                }))
            }))
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
}

/// Errors of one connection that was to be accepted.
fn is_of_visitor(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// The open connections of a listener.
#[derive(Default)]
struct Open {
    connections: Mutex<HashMap<u64, Arc<Shared>>>,
    last: AtomicU64,
}

struct Shared {
    address: IpAddr,
    /// Requests whose answer is not taken yet.
    requests: AtomicUsize,
    /// Since when it waits for a request.
    waits_since: Mutex<Instant>,
    /// Ends the connection.
    left: CancellationToken,
}

/// A connection's place among the open ones, given back when the last clone is dropped.
#[derive(Clone)]
struct Place {
    shared: Arc<Shared>,
    _seat: Arc<Seat>,
}

struct Seat {
    open: Arc<Open>,
    number: u64,
}

impl Open {
    /// A place for a connection; `None` where there is none and nobody makes room.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut connections = self.lock();
        let of_address = |shared: &Arc<Shared>| shared.address == address;
        if connections.values().filter(|one| of_address(one)).count() >= CONNECTIONS_OF_ADDRESS {
            Self::make_room(&mut connections, of_address)?;
        } else if connections.len() >= CONNECTIONS {
            Self::make_room(&mut connections, |_| true)?;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            address,
            requests: AtomicUsize::new(0),
            waits_since: Mutex::new(Instant::now()),
            left: CancellationToken::new(),
        });
        connections.insert(number, shared.clone());
        let open = self.clone();
        let seat = Arc::new(Seat { open, number });
        Some(Place {
            shared,
            _seat: seat,
        })
    }

    /// Ends the connection that waits for a request for longest.
    fn make_room(
        connections: &mut HashMap<u64, Arc<Shared>>,
        may_go: impl Fn(&Arc<Shared>) -> bool,
    ) -> Option<()> {
        let waiting = connections
            .iter()
            .filter(|(_, one)| may_go(one) && one.requests.load(Ordering::Relaxed) == 0);
        let longest = waiting.min_by_key(|(_, one)| one.waits_since());
        let number = longest.map(|(number, _)| *number)?;
        connections.remove(&number)?.left.cancel();
        Some(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Shared>>> {
        let locked = self.connections.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn waits_since(&self) -> Instant {
        let locked = self.waits_since.lock();
        *locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn begin_request(&self) -> Busy {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
    }
}

/// A request that is being answered, until dropped.
struct Busy(Place);

impl Drop for Busy {
    fn drop(&mut self) {
        let shared = &self.0.shared;
        if let Ok(mut since) = shared.waits_since.lock() {
            *since = Instant::now();
        }
        shared.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn who_keeps_still_makes_room_for_others_and_who_is_served_does_not() {
        let open = Arc::new(Open::default());
        let places: Vec<_> = (0..CONNECTIONS_OF_ADDRESS)
            .map(|_| open.take(address(1)).unwrap())
            .collect();
        let busy = places[0].begin_request();
        let one_more = open.take(address(1)).unwrap();
        assert!(!places[0].shared.left.is_cancelled());
        assert!(places[1].shared.left.is_cancelled());
        assert!(!one_more.shared.left.is_cancelled());
        drop(busy);
        let all_busy: Vec<_> = places
            .iter()
            .chain([&one_more])
            .map(Place::begin_request)
            .collect();
        assert!(open.take(address(1)).is_none());
        assert!(open.take(address(2)).is_some());
        drop((places, one_more, all_busy));
        assert_eq!(open.lock().len(), 0);
    }
}
