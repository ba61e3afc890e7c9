//! The socket: accepting, knowing who connects, and ending without cutting anybody off.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Routes, Service, answer, refuse_stranger, router};
use crate::instance::{Instance, Ownership};
use crate::shutdown::ShutdownSignal;

/// Connections at once; further ones wait in the system's queue.
const MOST_CONNECTIONS: u64 = 4_096;
/// Time for the head of a request, and for a kept connection to ask again.
const HEAD_TAKES: Duration = Duration::from_secs(20);
/// Bytes of a head at most.
const HEAD_BYTES: usize = 64 << 10;
/// How often we look whether our socket is still ours.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Time that requests under way get to finish when we end.
const FINISH_TAKES: Duration = Duration::from_secs(4);

/// Serves until the end is asked for, then lets requests under way finish.
///
/// The socket's name is gone when this returns.
pub async fn serve(
    service: Arc<Service>,
    instance: &mut Instance,
    mut listener: UnixListener,
    shutdown: &ShutdownSignal,
) {
    let router = router(Arc::clone(&service));
    let places = Arc::new(Semaphore::new(most_connections()));
    let mut connections = JoinSet::new();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = converse(stream, Arc::clone(&service), router.clone(), shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => pause_after(&error).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = look.tick() => match instance.ownership() {
                Ownership::Intact => {}
                Ownership::SocketRemoved => match instance.rebind() {
                    Ok(again) => {
                        tracing::warn!("the socket was removed; listening again");
                        listener = again;
                    }
                    Err(error) => shutdown.request(&docks_proto::error::error_chain(&error)),
                },
                Ownership::Lost(why) => shutdown.request(why),
            },
            () = shutdown.requested() => break,
        }
    }
    // Out of the way first, so that nobody connects to a daemon that will not answer.
    instance.remove_socket();
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(FINISH_TAKES, finish).await.is_err() {
        tracing::warn!("requests under way were cut off");
    }
}

/// Leaves half of the files that we may open to mirrors, remotes and logs.
fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(MOST_CONNECTIONS, |limit| limit / 2);
    usize::try_from(half.clamp(4, MOST_CONNECTIONS)).unwrap_or(4)
}

/// Returns places for those who watch: most of the connections, but never all, so that everybody
/// else is answered however many watch.
pub(crate) fn watching() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(most_connections() * 3 / 4))
}

/// Waits a little where trying again at once would only fail again (no files left).
pub(crate) async fn pause_after(error: &io::Error) {
    let transient = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted];
    if !transient.contains(&error.kind()) {
        tracing::error!(%error, "could not accept a connection");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Tells whether the other side acts as our own user: not even root speaks for another.
fn is_ours(stream: &UnixStream) -> bool {
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

async fn converse(
    stream: UnixStream,
    service: Arc<Service>,
    routes: Routes,
    shutdown: ShutdownSignal,
) {
    let ours = is_ours(&stream);
    let respond = service_fn(move |request: hyper::Request<Incoming>| {
        let (service, routes) = (Arc::clone(&service), routes.clone());
        async move {
            let response = if ours {
                answer(&service, &routes, request.map(Body::new)).await
            } else {
                refuse_stranger()
            };
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TAKES)
        .max_buf_size(HEAD_BYTES)
        // A client that has said all it has to say may still want to hear.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), respond);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
