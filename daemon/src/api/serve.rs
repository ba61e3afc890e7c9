//! The socket: accepts connections, checks which user connects, and shuts down without cutting off requests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Service;
use super::client_stream::ClientStream;
use super::router::{Routes, refuse_other_user, respond, socket_routes};
use crate::instance::{Instance, Ownership};
use crate::shutdown::ShutdownSignal;

/// Connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: u64 = 4_096;
/// Time for the head of a request, and for the next request on a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How often to check whether the socket is still ours.
const OWNERSHIP_CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Time for requests under way to finish at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

/// Serves until the shutdown is requested, then lets requests under way finish.
///
/// The socket's file is removed when this returns.
pub async fn serve(
    service: Arc<Service>,
    instance: &mut Instance,
    mut listener: UnixListener,
    shutdown: &ShutdownSignal,
) {
    let routes = socket_routes(Arc::clone(&service));
    let slots = Arc::new(Semaphore::new(max_connections()));
    let mut connections = JoinSet::new();
    // At most one is under way, however long it takes.
    let mut checks = JoinSet::new();
    let mut ownership_check = interval(OWNERSHIP_CHECK_INTERVAL);
    ownership_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            (slot, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (service, routes) = (Arc::clone(&service), routes.clone());
                    let connection = serve_connection(stream, service, routes, shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => pause_after_accept_error(&error).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = ownership_check.tick(), if checks.is_empty() => {
                checks.spawn_blocking(instance.ownership_check());
            }
            Some(Ok(ownership)) = checks.join_next(), if !checks.is_empty() => match ownership {
                Ownership::Intact => {}
                Ownership::Rebound(socket) => {
                    tracing::warn!("the socket was removed; listening again");
                    listener = instance.adopt(socket);
                }
                Ownership::NotRebound(error) => {
                    shutdown.request(&docks_proto::error::error_chain(&error));
                }
                Ownership::Lost(reason) => shutdown.request(reason),
            },
            () = shutdown.requested() => break,
        }
    }
    // First, so that no client connects to a daemon that will not answer.
    instance.remove_socket();
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, finish).await.is_err() {
        tracing::warn!("requests under way were cut off");
    }
}

/// Leaves half of the files that this process may open to mirrors, remotes and logs.
fn max_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(MAX_CONNECTIONS, |limit| limit / 2);
    usize::try_from(half.clamp(4, MAX_CONNECTIONS)).unwrap_or(4)
}

/// Returns the limit of clients that watch: most of the connections but never all, so that other
/// requests are answered however many clients watch.
pub(crate) fn watcher_slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(max_connections() * 3 / 4))
}

/// Waits a little where accepting again at once would only fail again (no files left).
pub(crate) async fn pause_after_accept_error(error: &io::Error) {
    let transient = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted];
    if !transient.contains(&error.kind()) {
        tracing::error!(%error, "could not accept a connection");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Whether the client runs as our own user; not even root may act for another user.
fn is_own_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == own => true,
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "refused another user");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "refused a connection whose user is unknown");
            false
        }
    }
}

/// Nobody is there to read the response any more, so what it takes is not done.
#[derive(Debug, thiserror::Error)]
#[error("the client has gone")]
struct ClientGone;

async fn serve_connection(
    stream: UnixStream,
    service: Arc<Service>,
    routes: Routes,
    shutdown: ShutdownSignal,
) {
    let own_user = is_own_user(&stream);
    let (stream, client) = ClientStream::new(stream);
    let handler = service_fn(move |request: hyper::Request<Incoming>| {
        let (service, routes, client) = (Arc::clone(&service), routes.clone(), client.clone());
        async move {
            if !own_user {
                return Ok(refuse_other_user());
            }
            // What was requested to be done is done, whether or not the client waits for it.
            let is_read = request.method() == Method::GET;
            let responding = respond(&service, &routes, request.map(Body::new));
            tokio::select! {
                biased;
                response = responding => Ok(response),
                () = client.gone(), if is_read => Err(ClientGone),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        // A client may close its sending side and still read the response.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), handler);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}
