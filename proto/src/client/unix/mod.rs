//! The transport to the daemon: one HTTP/1.1 exchange per connection on a Unix socket.
//!
//! This is the warm path of every command, so it does no more than it must:
//! no pool, no TLS, no URL parsing. A connection costs some microseconds here.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Reply, Request, SendError};
use crate::routes;

/// How often a full accept queue is tried again until the deadline.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// The last part of a silence that is spent on asking the daemon how it is.
const ASKING_SHARE: u32 = 3;

/// The daemon itself gives up on a remote after half a minute.
const LONGEST_ANSWER: Duration = Duration::from_secs(40);

/// How patient a caller is with the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Until the connection stands; the daemon accepts at once or is stuck.
    pub connect: Duration,
    /// How long the daemon may be silent: no headers of the answer and no other sign of life, or
    /// nothing between two pieces of the body; `None` waits as long as the daemon does.
    pub answer: Option<Duration>,
    /// Bytes of an answer at most.
    pub body_bytes: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(150),
            answer: Some(Duration::from_secs(1)),
            // A million runs in one answer are some hundred megabytes.
            body_bytes: 1 << 30,
        }
    }
}

/// Speaks HTTP/1.1 to the daemon's socket.
#[derive(Debug, Clone)]
pub struct UnixTransport {
    socket: PathBuf,
    deadlines: Deadlines,
}

impl UnixTransport {
    /// Takes the socket's path; nothing is connected yet.
    #[must_use]
    pub fn new(socket: PathBuf, deadlines: Deadlines) -> Self {
        Self { socket, deadlines }
    }

    /// Returns the socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the same transport, which waits at least this long for an answer.
    #[must_use]
    pub fn at_least(mut self, answer: Duration) -> Self {
        self.deadlines.answer = self.deadlines.answer.map(|own| own.max(answer));
        self
    }

    /// Returns the same transport with another patience for answers.
    #[must_use]
    pub fn patience(mut self, answer: Option<Duration>) -> Self {
        self.deadlines.answer = answer;
        self
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `Connect` when nobody listens, `Timeout`, `Broken`, `TooLarge`.
    pub async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let mut opened = self.open(request).await?;
        let body = opened.rest().await?;
        Ok(Reply {
            status: opened.status,
            headers: opened.headers,
            body,
        })
    }

    /// Sends a request and returns as soon as the answer's headers are there.
    ///
    /// # Errors
    ///
    /// As [`UnixTransport::send`].
    pub async fn open(&self, request: Request) -> Result<Opened, SendError> {
        let mut sender = self.sender().await?;
        let answer = sender.send_request(assemble(request)?);
        let response = match self.deadlines.answer {
            None => answer.await,
            Some(patience) => self.while_alive(patience, answer).await?,
        }
        .map_err(|e| self.broken(e))?;
        let (parts, body) = response.into_parts();
        let limit = self.deadlines.body_bytes;
        if body.size_hint().lower() > limit {
            return Err(self.too_large());
        }
        Ok(Opened {
            status: parts.status,
            headers: parts.headers,
            body,
            pending: BytesMut::new(),
            transport: self.clone(),
        })
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>, SendError> {
        let stream = self.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.broken(e))?;
        // Ends by itself once the sender and the body are gone.
        drop(tokio::spawn(async move {
            drop(connection.await);
        }));
        Ok(sender)
    }

    /// Waits for an answer while the daemon shows signs of life.
    ///
    /// A daemon that reads through waits for the remote. Who asked the remote as well would only
    /// double the work of one that is slow already.
    async fn while_alive<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, SendError> {
        let mut answer = pin!(answer);
        let asking = patience / ASKING_SHARE;
        let end = Instant::now() + LONGEST_ANSWER;
        loop {
            let silent = Instant::now() + (patience - asking);
            if let Ok(answered) = timeout_at(silent, &mut answer).await {
                return Ok(answered);
            }
            let alive = tokio::select! {
                biased;
                answered = &mut answer => return Ok(answered),
                alive = timeout_at(Instant::now() + asking, self.is_alive()) => alive,
            };
            if alive != Ok(true) || Instant::now() >= end {
                return Err(self.timeout(patience));
            }
        }
    }

    /// Tells whether the daemon answers a question that waits for no remote.
    async fn is_alive(&self) -> bool {
        let asked = async {
            let request = assemble(Request::get(routes::STATUS))?;
            let answer = self.sender().await?.send_request(request);
            answer.await.map_err(|e| self.broken(e))
        };
        asked.await.is_ok()
    }

    async fn connect(&self) -> Result<UnixStream, SendError> {
        let deadline = Instant::now() + self.deadlines.connect;
        let attempt = async {
            loop {
                match UnixStream::connect(&self.socket).await {
                    // Linux refuses at once when the accept queue is full, instead of waiting.
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
                    other => return other,
                }
            }
        };
        timeout_at(deadline, attempt)
            .await
            .map_err(|_| self.timeout(self.deadlines.connect))?
            .map_err(|source| SendError::Connect {
                to: self.name(),
                source: source.into(),
            })
    }

    fn name(&self) -> String {
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

    fn too_large(&self) -> SendError {
        SendError::TooLarge {
            to: self.name(),
            limit_bytes: self.deadlines.body_bytes,
        }
    }
}

/// Turns our request into hyper's. The daemon knows itself as `docks`.
fn assemble(request: Request) -> Result<http::Request<Full<Bytes>>, SendError> {
    let mut assembled = http::Request::new(Full::new(request.body));
    *assembled.method_mut() = request.method;
    *assembled.uri_mut() = request
        .path
        .parse()
        .map_err(|e| SendError::InvalidRequest(format!("`{}` is no path: {e}", request.path)))?;
    *assembled.headers_mut() = request.headers;
    assembled
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_static("docks"));
    Ok(assembled)
}

/// An answer whose body is still arriving.
#[derive(Debug)]
pub struct Opened {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    body: Incoming,
    pending: BytesMut,
    transport: UnixTransport,
}

impl Opened {
    /// Reads what is left of the body.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `Timeout`, `Broken` or `TooLarge`.
    pub async fn rest(&mut self) -> Result<Bytes, SendError> {
        while let Some(piece) = self.piece().await? {
            self.bound(self.pending.len() + piece.len())?;
            // Nearly every answer is one piece, which then is not copied.
            if self.pending.is_empty() && self.body.is_end_stream() {
                return Ok(piece);
            }
            self.pending.extend_from_slice(&piece);
        }
        Ok(self.pending.split().freeze())
    }

    /// Reads the next line of a streamed answer, without its line end; `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`Opened::rest`].
    pub async fn line(&mut self) -> Result<Option<Bytes>, SendError> {
        let mut searched = 0;
        loop {
            let found = self.pending[searched..].iter().position(|b| *b == b'\n');
            if let Some(at) = found {
                let mut line = self.pending.split_to(searched + at + 1);
                line.truncate(searched + at);
                return Ok(Some(line.freeze()));
            }
            searched = self.pending.len();
            match self.piece().await? {
                Some(piece) => {
                    self.bound(self.pending.len() + piece.len())?;
                    self.pending.extend_from_slice(&piece);
                }
                None if self.pending.is_empty() => return Ok(None),
                None => return Ok(Some(self.pending.split().freeze())),
            }
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, SendError> {
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
                // Trailers carry nothing for us.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    fn bound(&self, bytes: usize) -> Result<(), SendError> {
        if bytes as u64 > self.transport.deadlines.body_bytes {
            return Err(self.transport.too_large());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
