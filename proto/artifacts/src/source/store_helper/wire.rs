//! What crosses the sockets between `docks` and its store helper.
//!
//! The helper's standard input is a Unix socket. The first message on it is a [`Settings`]; after
//! that, each byte carries one file descriptor: a socket for one request. On it come one
//! [`Request`], one [`Response`] and, if an object was opened, its content in frames.
//!
//! A frame is its length as four bytes, big-endian, and that many bytes. An empty frame ends the
//! content; a length of `u32::MAX` announces a message that says why the content broke off.

use std::collections::BTreeMap;
use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::source::error::BucketError;
use crate::version::{ResumePoint, Version};

/// Longest message in bytes; addresses and reasons are far shorter.
const MAX_MESSAGE_BYTES: u32 = 1 << 20;

/// Longest frame of content in bytes.
pub const MAX_FRAME_BYTES: u32 = 1 << 20;

/// Length that announces why the content broke off.
const BROKEN: u32 = u32::MAX;

/// The profile's keys about object stores; some are secrets, so they are sent and not arguments.
#[derive(Serialize, Deserialize)]
pub struct Settings {
    /// Key and value.
    pub keys: BTreeMap<String, String>,
}

/// One request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Open an object.
    Open {
        /// Its address.
        uri: String,
        /// Where to continue.
        resume: Option<ResumePoint>,
        /// Version that is not needed again.
        unless: Option<Version>,
    },
    /// Open an object at an offset.
    OpenFrom {
        /// Its address.
        uri: String,
        /// The offset.
        offset_bytes: u64,
        /// Version that is not needed again.
        unless: Option<Version>,
    },
    /// Return the size of an object.
    Size {
        /// Its address.
        uri: String,
    },
}

/// The response to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Response {
    /// The object still has the version that was named.
    Unchanged,
    /// The content follows.
    Opened {
        /// Size of the whole object, if known.
        size_bytes: Option<u64>,
        /// Where the content begins.
        begins_at: u64,
        /// Version of the object, if the store names one.
        version: Option<Version>,
    },
    /// The size.
    Size {
        /// In bytes.
        size_bytes: u64,
    },
    /// The object cannot be read.
    Failed {
        /// Why.
        error: BucketError,
    },
}

/// A piece of content.
#[derive(Debug)]
pub enum Frame {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// The end of the content.
    End,
    /// The content broke off.
    Broken(BucketError),
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Writes a message.
///
/// # Errors
///
/// The error of the socket.
pub async fn write_message(
    socket: &mut (impl AsyncWrite + Unpin),
    message: &(impl Serialize + Sync),
) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(|_| invalid("the message is too long"))?;
    socket.write_u32(length).await?;
    socket.write_all(&text).await?;
    socket.flush().await
}

/// Reads a message.
///
/// # Errors
///
/// The error of the socket, and [`io::ErrorKind::InvalidData`] for anything that is not a message.
pub async fn read_message<T: DeserializeOwned>(
    socket: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    let length = socket.read_u32().await?;
    if length > MAX_MESSAGE_BYTES {
        return Err(invalid("the message is too long"));
    }
    let mut text = vec![0; length as usize];
    socket.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

/// Writes content in one or more frames; writes nothing for no bytes.
///
/// # Errors
///
/// The error of the socket.
pub async fn write_content(
    socket: &mut (impl AsyncWrite + Unpin),
    content: &[u8],
) -> io::Result<()> {
    for piece in content.chunks(MAX_FRAME_BYTES as usize) {
        let length = u32::try_from(piece.len()).map_err(|_| invalid("the frame is too long"))?;
        socket.write_u32(length).await?;
        socket.write_all(piece).await?;
    }
    Ok(())
}

/// Ends the content, successfully or with the reason why it broke off.
///
/// # Errors
///
/// The error of the socket.
pub async fn write_end(
    socket: &mut (impl AsyncWrite + Unpin),
    broken: Option<&BucketError>,
) -> io::Result<()> {
    match broken {
        None => socket.write_u32(0).await?,
        Some(error) => {
            socket.write_u32(BROKEN).await?;
            write_message(socket, error).await?;
        }
    }
    socket.flush().await
}

/// Reads the next frame.
///
/// # Errors
///
/// As [`read_message`].
pub async fn read_frame(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    match socket.read_u32().await? {
        0 => Ok(Frame::End),
        BROKEN => Ok(Frame::Broken(read_message(socket).await?)),
        length if length > MAX_FRAME_BYTES => Err(invalid("the frame is too long")),
        length => {
            let mut bytes = vec![0; length as usize];
            socket.read_exact(&mut bytes).await?;
            Ok(Frame::Bytes(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn content_arrives_in_frames_and_with_its_end() {
        let content = vec![7; MAX_FRAME_BYTES as usize + 1];
        let mut socket = Vec::new();
        write_content(&mut socket, &content).await.unwrap();
        write_end(&mut socket, None).await.unwrap();
        let mut reader = socket.as_slice();
        let mut read = Vec::new();
        while let Frame::Bytes(bytes) = read_frame(&mut reader).await.unwrap() {
            read.extend(bytes);
        }
        assert!(read == content);
        assert!(reader.is_empty());
    }

    #[tokio::test]
    async fn content_that_broke_off_is_never_mistaken_for_complete() {
        let error = BucketError::permanent("gone");
        let mut socket = Vec::new();
        write_content(&mut socket, b"ab").await.unwrap();
        write_end(&mut socket, Some(&error)).await.unwrap();
        let mut reader = socket.as_slice();
        assert!(matches!(read_frame(&mut reader).await.unwrap(), Frame::Bytes(b) if b == b"ab"));
        assert!(matches!(read_frame(&mut reader).await.unwrap(), Frame::Broken(e) if e == error));
        // A helper that died.
        let mut cut = &socket[..3];
        let died = read_frame(&mut cut).await.unwrap_err();
        assert_eq!(died.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn anything_that_is_not_a_message_is_an_error() {
        for bytes in [&[0xff; 8][..], &[0, 0, 0, 2, b'{', b'x'][..], &[0, 0][..]] {
            let mut reader = bytes;
            assert!(
                read_message::<Request>(&mut reader).await.is_err(),
                "{bytes:?}"
            );
        }
    }
}
