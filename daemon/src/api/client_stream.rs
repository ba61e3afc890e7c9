//! A connection that can tell, while its request is being answered, that the client has gone.
//!
//! A client may close its sending side and still read the response, so the end of what it sends is
//! not enough. The kernel knows when both sides are closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::sleep;

/// Time between two looks at a connection. Nearly every response is sent before the first.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// A client's connection. Its [`ClientPresence`] says whether the client is still connected.
#[derive(Debug)]
pub(super) struct ClientStream(Arc<UnixStream>);

/// Tells when the client of a [`ClientStream`] has gone.
#[derive(Debug, Clone)]
pub(super) struct ClientPresence(Arc<UnixStream>);

impl ClientStream {
    /// Takes an accepted connection.
    pub(super) fn new(stream: UnixStream) -> (Self, ClientPresence) {
        let stream = Arc::new(stream);
        (Self(Arc::clone(&stream)), ClientPresence(stream))
    }
}

impl ClientPresence {
    /// Waits until the client has closed both sides of the connection, or has exited.
    pub(super) async fn gone(&self) {
        loop {
            sleep(CHECK_INTERVAL).await;
            if self.has_gone() {
                return;
            }
        }
    }

    fn has_gone(&self) -> bool {
        // Other systems also report a client that has closed one side only.
        if !cfg!(target_os = "linux") {
            return false;
        }
        let mut watched = [PollFd::new(&*self.0, PollFlags::empty())];
        let at_once = Timespec::default();
        poll(&mut watched, Some(&at_once)).is_ok() && watched[0].revents().contains(PollFlags::HUP)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other.map(drop)),
            }
        }
    }
}

impl ClientStream {
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(&*self.0, Shutdown::Write) {
            // The client was faster.
            Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            other => Poll::Ready(other.map_err(io::Error::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_client_that_only_stops_sending_is_still_there() {
        let (mut client, ours) = UnixStream::pair().unwrap();
        let (_stream, presence) = ClientStream::new(ours);
        client.shutdown().await.unwrap();
        let early = timeout(CHECK_INTERVAL * 4, presence.gone()).await;
        assert!(early.is_err());
        drop(client);
        timeout(Duration::from_secs(60), presence.gone())
            .await
            .unwrap();
    }
}
