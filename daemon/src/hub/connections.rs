//! Accepting from anywhere, and giving nobody more than their share.
//!
//! Whoever has not shown the token yet gets one of few places and little time, so that
//! strangers can neither fill the hub nor keep out those who have it.

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
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::Hub;
use super::handler::Answerer;
use super::unauthenticated_slot::Proof;
use crate::api::Service;
use crate::api::serve::pause_after;
use crate::shutdown::ShutdownSignal;

/// Connections at once; further ones wait in the system's queue. A mirror keeps one or two.
const MOST_CONNECTIONS: u64 = 4_096;
/// Connections at once that have not shown the token yet.
const MOST_UNPROVEN: usize = 128;
/// Time for that, TLS included.
const PROOF_TAKES: Duration = Duration::from_secs(10);
/// Time for the head of a request, and for a kept connection to ask again: longer than the
/// minute between two looks of an idle mirror.
const HEAD_TAKES: Duration = Duration::from_secs(75);
/// Time in which a client has to take some of an answer.
const READER_TAKES: Duration = Duration::from_secs(30);
/// Bytes of a head at most.
const HEAD_BYTES: usize = 64 << 10;
/// Time that requests under way get to finish when we end.
const FINISH_TAKES: Duration = Duration::from_secs(4);

/// Serves until the end is asked for, then lets requests under way finish.
pub(crate) async fn serve(hub: Hub, service: Arc<Service>, shutdown: ShutdownSignal) {
    let hub = Arc::new(hub);
    tracing::info!(
        address = hub.counts.address(),
        jobs = %hub.jobs.display(),
        read_only = hub.settings.read_only,
        "sharing {} on {}",
        hub.jobs.display(),
        hub.counts.address()
    );
    let answerer = Arc::new(Answerer::new(Arc::clone(&hub), service));
    let places = Arc::new(Semaphore::new(most_connections()));
    let unproven = Arc::new(Semaphore::new(MOST_UNPROVEN));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            let unproven = Arc::clone(&unproven).acquire_owned().await;
            (place, unproven, hub.listener.accept().await)
        };
        tokio::select! {
            (place, unproven, accepted) = accepted => match accepted {
                Ok((stream, from)) => {
                    let proof = Proof::new(unproven.ok());
                    let (answerer, shutdown) = (Arc::clone(&answerer), shutdown.clone());
                    connections.spawn(async move {
                        let counts = answerer.hub().counts();
                        counts.connections.fetch_add(1, Ordering::Relaxed);
                        welcome(stream, from, answerer, proof, shutdown).await;
                        counts.connections.fetch_sub(1, Ordering::Relaxed);
                        drop(place);
                    });
                }
                Err(error) => pause_after(&error).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = shutdown.requested() => break,
        }
    }
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(FINISH_TAKES, finish).await.is_err() {
        tracing::warn!("requests to the hub were cut off");
    }
}

/// Leaves half of the files that we may open to mirrors, artifacts and logs.
fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(MOST_CONNECTIONS, |limit| limit / 2);
    usize::try_from(half.clamp(4, MOST_CONNECTIONS)).unwrap_or(4)
}

async fn welcome(
    stream: TcpStream,
    from: SocketAddr,
    answerer: Arc<Answerer>,
    proof: Proof,
    shutdown: ShutdownSignal,
) {
    // Small answers go out at once; that fails only on a connection that is gone.
    stream.set_nodelay(true).ok();
    let Some(tls) = &answerer.hub().tls else {
        return converse(stream, from, answerer, proof, shutdown).await;
    };
    match timeout(PROOF_TAKES, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, from, answerer, proof, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%from, %error, "TLS could not be agreed on"),
        Err(_) => tracing::debug!(%from, "TLS was not agreed on in time"),
    }
}

async fn converse<S>(
    stream: S,
    from: SocketAddr,
    answerer: Arc<Answerer>,
    proof: Proof,
    shutdown: ShutdownSignal,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let proof = Arc::new(proof);
    let proven = Arc::clone(&proof);
    let respond = service_fn(move |request: hyper::Request<Incoming>| {
        let (answerer, proof) = (Arc::clone(&answerer), Arc::clone(&proof));
        async move {
            let response = answerer.answer(request.map(Body::new), &proof).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(READER_TAKES));
    let mut stream = Box::pin(stream);
    stream.as_mut().set_read_timeout_pinned(None);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TAKES)
        .max_buf_size(HEAD_BYTES)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), respond);
    let mut connection = std::pin::pin!(connection);
    let unproven = async {
        if timeout(PROOF_TAKES, proven.shown()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = unproven => {
            tracing::debug!(%from, "no token was shown in time");
            return;
        }
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%from, %error, "a connection to the hub broke");
    }
}
