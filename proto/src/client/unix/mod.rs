//! The transport to the daemon: one HTTP/1.1 exchange per connection on a Unix socket.
//!
//! Every command goes this way, so it does only what is needed: no pool, no TLS, no URL parsing. A
//! connection costs a few microseconds.

mod line_buffer;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout_at};

pub(crate) use self::line_buffer::LineBuffer;
use super::{Reply, Request, SendError};
use crate::routes;

/// Pause between attempts to connect while the accept queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// The first part (one third) of the time-out passes before the daemon is asked for a sign of life.
/// The rest is the larger part: on a busy machine the sign itself takes its time.
const QUIET_SHARE: u32 = 3;

/// How long to wait for a daemon that is alive; it gives up on a remote after half a minute, and on an
/// action after 40 s.
const LONGEST_ANSWER: Duration = Duration::from_secs(45);

/// Longest line of a stream, of events or of progress; the daemon's own take a few kilobytes.
pub const MAX_LINE_BYTES: u64 = 16 << 20;

/// Limits of an exchange with the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Time to connect; a daemon that is not stuck accepts at once.
    pub connect: Duration,
    /// How long the daemon may be silent: neither headers of the response nor another sign of life, or
    /// nothing between two parts of the body; `None` waits without a limit.
    pub answer: Option<Duration>,
    /// Maximum size of a response in bytes.
    pub body_bytes: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(150),
            answer: Some(Duration::from_secs(1)),
            // A million runs in one response take several hundred megabytes.
            body_bytes: 1 << 30,
        }
    }
}

/// Sends HTTP/1.1 requests to the daemon's socket.
#[derive(Debug, Clone)]
pub struct UnixTransport {
    socket: PathBuf,
    deadlines: Deadlines,
}

impl UnixTransport {
    /// Creates a transport; it connects when a request is sent.
    #[must_use]
    pub fn new(socket: PathBuf, deadlines: Deadlines) -> Self {
        Self { socket, deadlines }
    }

    /// Returns the socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Raises the time that the daemon may be silent to at least this long.
    #[must_use]
    pub fn with_min_answer_timeout(mut self, answer: Duration) -> Self {
        self.deadlines.answer = self.deadlines.answer.map(|own| own.max(answer));
        self
    }

    /// Sets how long the daemon may be silent, see [`Deadlines::answer`].
    #[must_use]
    pub fn with_answer_timeout(mut self, answer: Option<Duration>) -> Self {
        self.deadlines.answer = answer;
        self
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `Connect` if nothing listens, `Timeout`, `Broken` or `TooLarge`.
    pub async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let mut reply = self.open(request).await?;
        let body = reply.read_to_end().await?;
        Ok(Reply {
            status: reply.status,
            headers: reply.headers,
            body,
        })
    }

    /// Sends a request and returns when the headers of the response have arrived.
    ///
    /// # Errors
    ///
    /// As [`UnixTransport::send`].
    pub async fn open(&self, request: Request) -> Result<StreamingReply, SendError> {
        let mut sender = self.sender().await?;
        let answer = sender.send_request(to_hyper(request)?);
        let response = match self.deadlines.answer {
            None => answer.await,
            Some(patience) => self.while_alive(patience, answer).await?,
        }
        .map_err(|e| self.broken(e))?;
        let (parts, body) = response.into_parts();
        let limit = self.deadlines.body_bytes;
        if body.size_hint().lower() > limit {
            return Err(self.too_large(limit));
        }
        Ok(StreamingReply {
            status: parts.status,
            headers: parts.headers,
            body,
            pending: LineBuffer::default(),
            transport: self.clone(),
        })
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>, SendError> {
        let stream = self.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.broken(e))?;
        // The task ends when the sender and the body are dropped.
        drop(tokio::spawn(async move {
            drop(connection.await);
        }));
        Ok(sender)
    }

    /// Waits for a response as long as the daemon is alive.
    ///
    /// The daemon may be waiting for the remote. A request of our own would only double the load on a
    /// remote that is already slow.
    async fn while_alive<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, SendError> {
        let mut answer = pin!(answer);
        let quiet = patience / QUIET_SHARE;
        let end = Instant::now() + LONGEST_ANSWER;
        loop {
            let check_at = Instant::now() + quiet;
            if let Ok(answered) = timeout_at(check_at, &mut answer).await {
                return Ok(answered);
            }
            let alive = tokio::select! {
                biased;
                answered = &mut answer => return Ok(answered),
                alive = timeout_at(check_at + (patience - quiet), self.is_alive()) => alive,
            };
            if alive != Ok(true) || Instant::now() >= end {
                return Err(self.timeout(patience));
            }
        }
    }

    /// Whether the daemon responds to a request that touches nothing. A daemon of another build may
    /// not know the route, and is alive all the same.
    async fn is_alive(&self) -> bool {
        let check = async {
            let request = to_hyper(Request::get(routes::PING))?;
            let answer = self.sender().await?.send_request(request);
            answer.await.map_err(|e| self.broken(e))
        };
        check.await.is_ok()
    }

    async fn connect(&self) -> Result<UnixStream, SendError> {
        let deadline = Instant::now() + self.deadlines.connect;
        let attempt = async {
            loop {
                match UnixStream::connect(&self.socket).await {
                    // Linux refuses at once when the accept queue is full.
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
                    other => return other,
                }
            }
        };
        timeout_at(deadline, attempt)
            .await
            .map_err(|_| self.timeout(self.deadlines.connect))?
            .and_then(check_peer)
            .map_err(|source| SendError::Connect {
                to: self.name(),
                source: source.into(),
            })
    }

    pub(super) fn name(&self) -> String {
        self.socket.display().to_string()
    }

    fn broken(&self, source: hyper::Error) -> SendError {
        SendError::Broken {
            to: self.name(),
            source: source.into(),
        }
    }

    fn timeout(&self, after: Duration) -> SendError {
        SendError::Timeout {
            to: self.name(),
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn too_large(&self, limit_bytes: u64) -> SendError {
        SendError::TooLarge {
            to: self.name(),
            limit_bytes,
        }
    }
}

/// Returns the connection if a process of our own user listens there. Another user may have replaced the socket at this
/// path since it was looked at.
///
/// # Errors
///
/// When the listener is another user's, or the system does not say whose it is. Nothing may be sent then.
pub fn check_peer(stream: UnixStream) -> io::Result<UnixStream> {
    let listener = stream.peer_cred()?.uid();
    if listener == rustix::process::geteuid().as_raw() {
        return Ok(stream);
    }
    let error = format!("user {listener} listens there, so nothing was sent");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, error))
}

/// Converts a request to hyper's type. The daemon accepts `docks` as its `Host`.
fn to_hyper(request: Request) -> Result<http::Request<Full<Bytes>>, SendError> {
    let mut converted = http::Request::new(Full::new(request.body));
    *converted.method_mut() = request.method;
    *converted.uri_mut() = request
        .path
        .parse()
        .map_err(|e| SendError::InvalidRequest(format!("`{}` is not a path: {e}", request.path)))?;
    *converted.headers_mut() = request.headers;
    converted
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_static("docks"));
    Ok(converted)
}

/// A response whose body is still arriving.
#[derive(Debug)]
pub struct StreamingReply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    body: Incoming,
    pending: LineBuffer,
    transport: UnixTransport,
}

impl StreamingReply {
    /// Reads the rest of the body.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `Timeout`, `Broken` or `TooLarge`.
    pub async fn read_to_end(&mut self) -> Result<Bytes, SendError> {
        while let Some(piece) = self.next_piece().await? {
            self.check_size(self.pending.len() + piece.len())?;
            // Nearly every body is one piece, which is then not copied.
            if self.pending.len() == 0 && self.body.is_end_stream() {
                return Ok(piece);
            }
            self.pending.push(&piece);
        }
        Ok(self.pending.take_rest())
    }

    /// Reads the next line, without its line end; `None` at the end of the body.
    ///
    /// # Errors
    ///
    /// As [`StreamingReply::read_to_end`]; `TooLarge` for a line of more than [`MAX_LINE_BYTES`].
    pub async fn next_line(&mut self) -> Result<Option<Bytes>, SendError> {
        loop {
            if let Some(line) = self.pending.next_line() {
                return Ok(Some(line));
            }
            if self.pending.len() as u64 > MAX_LINE_BYTES {
                return Err(self.transport.too_large(MAX_LINE_BYTES));
            }
            match self.next_piece().await? {
                Some(piece) => self.pending.push(&piece),
                None => {
                    let rest = self.pending.take_rest();
                    return Ok(Some(rest).filter(|rest| !rest.is_empty()));
                }
            }
        }
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, SendError> {
        loop {
            let next = self.body.frame();
            let frame = match self.transport.deadlines.answer {
                None => next.await,
                Some(patience) => timeout_at(Instant::now() + patience, next)
                    .await
                    .map_err(|_| self.transport.timeout(patience))?,
            };
            match frame {
                None => return Ok(None),
                Some(Err(e)) => return Err(self.transport.broken(e)),
                // Trailers are of no use here.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    fn check_size(&self, bytes: usize) -> Result<(), SendError> {
        let limit = self.transport.deadlines.body_bytes;
        if bytes as u64 > limit {
            return Err(self.transport.too_large(limit));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
