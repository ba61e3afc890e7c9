//! Reads buckets through a helper process.
//!
//! The clients of all object stores are a large part of a program. The command line, which starts
//! for every listing, leaves them to `docksd`: on the first bucket it starts
//! `docksd --helper stores`, which inherits its environment and so the credentials that its
//! user has set. The helper exits when its standard input is closed, however this process ends.

pub mod wire;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{Command, Stdio};

use async_trait::async_trait;
use bytes::Bytes;
use docks_proto::settings::StoreKeys;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::bucket::BucketReader;
use super::error::{BucketError, SourceError};
use super::open::{OpenRequest, OpenResponse, Opened};
use crate::version::Version;
use wire::{Frame, Request, Response, Settings};

/// Builds the command that starts the helper; fails with a reason for the user.
type MakeCommand = Box<dyn Fn() -> Result<Command, String> + Send + Sync>;

/// Reads buckets through a helper process that it starts when first needed.
pub struct StoreHelper {
    command: MakeCommand,
    keys: StoreKeys,
    /// Our end of the helper's standard input, once it runs.
    control: Mutex<Option<UnixStream>>,
}

impl std::fmt::Debug for StoreHelper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreHelper").finish_non_exhaustive()
    }
}

impl StoreHelper {
    /// Takes the command to run and the profile's keys about stores; starts nothing yet.
    #[must_use]
    pub fn new(
        command: impl Fn() -> Result<Command, String> + Send + Sync + 'static,
        keys: StoreKeys,
    ) -> Self {
        Self {
            command: Box::new(command),
            keys,
            control: Mutex::new(None),
        }
    }

    /// Starts the helper and sends it the settings.
    async fn start(&self) -> Result<UnixStream, BucketError> {
        let failed = |problem: String| {
            BucketError::permanent(format!(
                "could not start docksd, which reads object stores: {problem}"
            ))
        };
        let (ours, theirs) = UnixStream::pair().map_err(|e| failed(e.to_string()))?;
        let theirs = theirs.into_std().and_then(|socket| {
            socket.set_nonblocking(false)?;
            Ok(OwnedFd::from(socket))
        });
        let theirs = theirs.map_err(|e| failed(e.to_string()))?;
        let mut command = (self.command)().map_err(failed)?;
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        // Not waited for: it exits when the socket is closed.
        drop(command.spawn().map_err(|e| failed(e.to_string()))?);
        let settings = Settings {
            keys: self
                .keys
                .iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        };
        let mut control = ours;
        let sent = wire::write_message(&mut control, &settings).await;
        sent.map_err(|e| failed(e.to_string()))?;
        Ok(control)
    }

    /// Sends a request on a new socket.
    async fn send(&self, request: &Request) -> Result<(UnixStream, Response), BucketError> {
        let mut control = self.control.lock().await;
        if control.is_none() {
            *control = Some(self.start().await?);
        }
        let (ours, theirs) = StdUnixStream::pair().map_err(helper_stopped)?;
        let socket = control.as_ref().expect("it was started above");
        if let Err(error) = pass(socket, theirs.into()).await {
            // The next request starts another one.
            *control = None;
            return Err(helper_stopped(error));
        }
        drop(control);
        ours.set_nonblocking(true).map_err(helper_stopped)?;
        let mut ours = UnixStream::from_std(ours).map_err(helper_stopped)?;
        wire::write_message(&mut ours, request)
            .await
            .map_err(helper_stopped)?;
        let response = wire::read_message(&mut ours)
            .await
            .map_err(helper_stopped)?;
        Ok((ours, response))
    }

    async fn open_with(&self, request: &Request) -> Result<OpenResponse, SourceError> {
        match self.send(request).await? {
            (_, Response::Unchanged) => Ok(OpenResponse::Unchanged),
            (
                socket,
                Response::Opened {
                    size_bytes,
                    begins_at,
                    version,
                },
            ) => Ok(OpenResponse::Opened(Opened {
                size_bytes,
                begins_at,
                version,
                body: content(socket),
            })),
            (_, Response::Failed { error }) => Err(error.into()),
            (_, Response::Size { .. }) => Err(unexpected().into()),
        }
    }
}

#[async_trait]
impl BucketReader for StoreHelper {
    async fn open(&self, request: OpenRequest<'_>) -> Result<OpenResponse, SourceError> {
        self.open_with(&Request::Open {
            uri: request.uri.to_owned(),
            resume: request.resume.cloned(),
            unless: request.unless.cloned(),
        })
        .await
    }

    async fn open_from(
        &self,
        uri: &str,
        offset_bytes: u64,
        unless: Option<&Version>,
    ) -> Result<OpenResponse, SourceError> {
        self.open_with(&Request::OpenFrom {
            uri: uri.to_owned(),
            offset_bytes,
            unless: unless.cloned(),
        })
        .await
    }

    async fn size(&self, uri: &str) -> Result<u64, SourceError> {
        match self
            .send(&Request::Size {
                uri: uri.to_owned(),
            })
            .await?
        {
            (_, Response::Size { size_bytes }) => Ok(size_bytes),
            (_, Response::Failed { error }) => Err(error.into()),
            _ => Err(unexpected().into()),
        }
    }
}

/// Passes a socket to the helper.
async fn pass(control: &UnixStream, socket: OwnedFd) -> io::Result<()> {
    control
        .async_io(tokio::io::Interest::WRITABLE, || {
            let sockets = [socket.as_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&sockets));
            let byte = [IoSlice::new(b".")];
            sendmsg(control, &byte, &mut ancillary, SendFlags::NOSIGNAL)?;
            Ok(())
        })
        .await
}

fn content(socket: UnixStream) -> BoxStream<'static, Result<Bytes, SourceError>> {
    try_unfold(socket, |mut socket| async move {
        match wire::read_frame(&mut socket).await {
            Ok(Frame::Bytes(bytes)) => Ok(Some((Bytes::from(bytes), socket))),
            Ok(Frame::End) => Ok(None),
            Ok(Frame::Broken(error)) => Err(error.into()),
            Err(error) => Err(helper_stopped(error).into()),
        }
    })
    .boxed()
}

/// Describes the loss of the helper; the next request starts another one.
fn helper_stopped(error: io::Error) -> BucketError {
    BucketError {
        message: format!("docksd, which reads object stores, stopped: {error}"),
        transient: true,
        lasting: false,
    }
}

fn unexpected() -> BucketError {
    BucketError::permanent(
        "docksd, which reads object stores, sent an unexpected response; is it another release?",
    )
}
