//! The helper process that reads object stores for the command line.
//!
//! `docksd --helper stores` serves requests until its standard input is closed. Each request has
//! its own socket, which arrives on the standard input. [`wire`] describes the messages.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use docks_artifacts::source::store_helper::wire::{self, Request, Response, Settings};
use docks_artifacts::source::{
    BucketError, BucketReader, OpenRequest, OpenResponse, Opened, SourceError,
};
use docks_proto::settings::StoreKeys;
use futures_util::StreamExt;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::net::UnixStream;

use crate::buckets::ObjectStores;
use crate::environment::StoreVariables;

/// Serves requests until `control`, the standard input, is closed. Blocks.
///
/// # Errors
///
/// When the first message cannot be read or there is no runtime; nothing was served then.
pub fn serve(control: OwnedFd, variables: &StoreVariables) -> io::Result<()> {
    let control = StdUnixStream::from(control);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let settings = runtime.block_on(read_settings(&control))?;
    let mut keys = StoreKeys::default();
    for (key, value) in settings.keys {
        keys.insert(&key, value);
    }
    let stores = Arc::new(ObjectStores::from_machine(variables, &keys));
    while let Some(socket) = next_socket(&control)? {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let _in_runtime = runtime.enter();
        let socket = UnixStream::from_std(socket)?;
        drop(runtime.spawn(serve_request(Arc::clone(&stores), socket)));
    }
    // The client is gone, so nobody reads the remaining responses.
    runtime.shutdown_background();
    Ok(())
}

/// Reads the first message. `control` blocks again afterwards, as [`next_socket`] needs it.
async fn read_settings(control: &StdUnixStream) -> io::Result<Settings> {
    control.set_nonblocking(true)?;
    let mut socket = UnixStream::from_std(control.try_clone()?)?;
    let settings = wire::read_message(&mut socket).await;
    control.set_nonblocking(false)?;
    settings
}

/// Waits for the next request's socket; `None` when the other side is gone.
fn next_socket(control: &StdUnixStream) -> io::Result<Option<OwnedFd>> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(
            control.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        match received {
            Ok(message) if message.bytes == 0 => return Ok(None),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut sockets) = message
                && let Some(socket) = sockets.next()
            {
                return Ok(Some(socket));
            }
        }
    }
}

/// Serves one request; errors of the socket mean that the client is gone.
async fn serve_request(stores: Arc<ObjectStores>, mut socket: UnixStream) {
    let Ok(request) = wire::read_message::<Request>(&mut socket).await else {
        return;
    };
    let opened = match &request {
        Request::Open {
            uri,
            resume,
            unless,
        } => {
            let request = OpenRequest {
                uri,
                resume: resume.as_ref(),
                unless: unless.as_ref(),
            };
            stores.open(request).await
        }
        Request::OpenFrom {
            uri,
            offset_bytes,
            unless,
        } => stores.open_from(uri, *offset_bytes, unless.as_ref()).await,
        Request::Size { uri } => {
            let response = match stores.size(uri).await {
                Ok(size_bytes) => Response::Size { size_bytes },
                Err(error) => Response::Failed {
                    error: bucket_error(error),
                },
            };
            wire::write_message(&mut socket, &response).await.ok();
            return;
        }
    };
    match opened {
        Ok(OpenResponse::Opened(opened)) => {
            send(opened, &mut socket).await.ok();
        }
        Ok(OpenResponse::Unchanged) => {
            let response = Response::Unchanged;
            wire::write_message(&mut socket, &response).await.ok();
        }
        Err(error) => {
            let error = bucket_error(error);
            let response = Response::Failed { error };
            wire::write_message(&mut socket, &response).await.ok();
        }
    }
}

/// Sends an object, as fast as it is read at the other end.
async fn send(mut opened: Opened, socket: &mut UnixStream) -> io::Result<()> {
    let response = Response::Opened {
        size_bytes: opened.size_bytes,
        begins_at: opened.begins_at,
        version: opened.version,
    };
    wire::write_message(socket, &response).await?;
    while let Some(chunk) = opened.body.next().await {
        match chunk {
            Ok(chunk) => wire::write_content(socket, &chunk).await?,
            Err(error) => return wire::write_end(socket, Some(&bucket_error(error))).await,
        }
    }
    wire::write_end(socket, None).await
}

fn bucket_error(error: SourceError) -> BucketError {
    match error {
        SourceError::Bucket(error) => error,
        other => BucketError {
            transient: other.is_transient(),
            lasting: other.is_lasting(),
            message: docks_proto::error::error_chain(&other),
        },
    }
}
