//! Accepts connections, and limits what a client may occupy.
//!
//! A connection that has not shown the token yet gets one of few [`places`](super::places) and little time. It is
//! accepted at once and loses its place to a newer one, so that strangers can neither fill the hub nor keep out
//! clients that have the token.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::address_group::AddressGroup;
use super::handler::HubHandler;
use super::listener::Hub;
use super::places::{Limits, Place, Places};
use super::tls::ReloadingTls;
use crate::api::Service;
use crate::api::serve::pause_after_accept_error;
use crate::shutdown::ShutdownSignal;

/// Connections at once. A mirror keeps one or two.
const MAX_CONNECTIONS: u64 = 4_096;
/// Connections beyond these that may be about to end, since they have lost their places.
const MAX_ENDING: usize = 256;
/// Time for the TLS handshake, and then again for a request with the token.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the head of a request, and for the next request on a kept connection: longer than the
/// minute between two requests of an idle mirror.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Time in which a client must read some of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Time for requests under way to finish at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

/// Serves until the shutdown is requested, then lets requests under way finish.
pub(crate) async fn serve(hub: Hub, service: Arc<Service>, shutdown: ShutdownSignal) {
    let hub = Arc::new(hub);
    tracing::info!(
        address = hub.counters.address(),
        shares = hub.counters.location(),
        read_only = hub.settings.read_only,
        "sharing {} on {}",
        hub.counters.location(),
        hub.counters.address()
    );
    let handler = Arc::new(HubHandler::new(Arc::clone(&hub), service));
    let limits = Limits::of(max_connections());
    let places = Places::new(limits);
    let most = limits.all() + MAX_ENDING;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = hub.listener.accept(), if connections.len() < most => match accepted {
                Ok((stream, peer)) => {
                    let place = Arc::new(places.enter(AddressGroup::of(peer.ip())).await);
                    let (handler, shutdown) = (Arc::clone(&handler), shutdown.clone());
                    connections.spawn(serve_until_evicted(stream, peer, handler, place, shutdown));
                }
                Err(error) => pause_after_accept_error(&error).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = shutdown.requested() => break,
        }
    }
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, finish).await.is_err() {
        tracing::warn!("requests to the hub were cut off");
    }
}

/// Leaves half of the files that this process may open to mirrors, artifacts and logs.
fn max_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(MAX_CONNECTIONS, |limit| limit / 2);
    usize::try_from(half.clamp(4, MAX_CONNECTIONS)).unwrap_or(4)
}

/// Serves a connection as long as it has its place.
async fn serve_until_evicted(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<HubHandler>,
    place: Arc<Place>,
    shutdown: ShutdownSignal,
) {
    let counters = handler.hub().counters();
    counters.connections.fetch_add(1, Ordering::Relaxed);
    tokio::select! {
        () = accept_tls(stream, peer, handler, Arc::clone(&place), shutdown) => {}
        () = place.evicted() => {
            tracing::debug!(%peer, "the client did not show the token before others needed its place");
        }
    }
    counters.connections.fetch_sub(1, Ordering::Relaxed);
}

/// Performs the TLS handshake, if the hub uses TLS, and serves the connection.
async fn accept_tls(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<HubHandler>,
    place: Arc<Place>,
    shutdown: ShutdownSignal,
) {
    // Small responses are sent at once. This fails only on a connection that is gone.
    stream.set_nodelay(true).ok();
    if handler.hub().tls.is_none() {
        return serve_connection(stream, peer, handler, place, shutdown).await;
    }
    let known = handler.hub().tls.as_ref().and_then(ReloadingTls::known);
    let of_hub = Arc::clone(&handler);
    // The files of the certificate are looked at now and then.
    let looking = move || of_hub.hub().tls.as_ref().map(ReloadingTls::acceptor);
    let acceptor = match known {
        Some(known) => Some(known),
        None => tokio::task::spawn_blocking(looking).await.ok().flatten(),
    };
    let Some(acceptor) = acceptor else {
        return;
    };
    match timeout(AUTHENTICATION_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve_connection(stream, peer, handler, place, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

async fn serve_connection<S>(
    stream: S,
    peer: SocketAddr,
    handler: Arc<HubHandler>,
    place: Arc<Place>,
    shutdown: ShutdownSignal,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let of_requests = Arc::clone(&place);
    let respond = service_fn(move |request: hyper::Request<Incoming>| {
        let (handler, place) = (Arc::clone(&handler), Arc::clone(&of_requests));
        async move {
            let response = handler.respond(request.map(Body::new), &place).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let mut stream = Box::pin(stream);
    stream.as_mut().set_read_timeout_pinned(None);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        // A client that stops sending has gone: what its request takes is not done any more.
        .half_close(false)
        .serve_connection(TokioIo::new(stream), respond);
    let mut connection = std::pin::pin!(connection);
    let not_authenticated_in_time = async {
        let authenticated = place.authenticated();
        if timeout(AUTHENTICATION_TIMEOUT, authenticated).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = not_authenticated_in_time => {
            tracing::debug!(%peer, "the client did not show the token in time");
            return;
        }
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection to the hub broke");
    }
}
