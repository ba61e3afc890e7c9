//! Faults of the transport: what is written in place of a well-formed response.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Fault;
use crate::fake_remote::http1::{RequestHead, Response};

impl Fault {
    /// Sends the faulty response in place of the `correct` one. The connection is closed afterwards.
    pub async fn send(
        &self,
        stream: &mut TcpStream,
        head: &RequestHead,
        correct: Response,
    ) -> io::Result<()> {
        let half = correct.body.len() / 2;
        let content_length = format!("content-length: {}", correct.body.len());
        match self {
            Fault::Silence => return wait_until_client_closes(stream).await,
            Fault::StallAfterHeaders => {
                stream.write_all(&correct.head(&content_length)).await?;
                return wait_until_client_closes(stream).await;
            }
            Fault::Drip => return send_slowly(stream, &correct, &content_length).await,
            Fault::ResetInHeaders => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty").await?;
                return stream.set_zero_linger();
            }
            Fault::ResetInBody => {
                stream.write_all(&correct.head(&content_length)).await?;
                stream.write_all(&correct.body[..half]).await?;
                return stream.set_zero_linger();
            }
            Fault::ShortBody => {
                stream.write_all(&correct.head(&content_length)).await?;
                return stream.write_all(&correct.body[..half]).await;
            }
            Fault::LongBody => {
                correct.write(stream).await?;
                return stream.write_all(b"]]]] and more").await;
            }
            Fault::UnterminatedChunk => {
                let start = correct.head("transfer-encoding: chunked");
                stream.write_all(&start).await?;
                let size = format!("{:x}\r\n", correct.body.len());
                stream.write_all(size.as_bytes()).await?;
                return stream.write_all(&correct.body).await;
            }
            Fault::GarbageStatusLine => {
                return stream
                    .write_all(b"220 mail.example ESMTP ready\r\n\r\n")
                    .await;
            }
            Fault::Huge { declared } => return send_huge_body(stream, *declared).await,
            Fault::GzipBomb => return send_gzip_bomb(stream).await,
            _ => {}
        }
        self.replacement(head, correct).write(stream).await
    }
}

/// Sends nothing until the client closes the connection.
async fn wait_until_client_closes(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 64];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// Sends the body at one byte per second.
async fn send_slowly(stream: &mut TcpStream, correct: &Response, framing: &str) -> io::Result<()> {
    stream.write_all(&correct.head(framing)).await?;
    for byte in &correct.body {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Sends 200 MB of JSON.
async fn send_huge_body(stream: &mut TcpStream, declared: bool) -> io::Result<()> {
    const PIECES: usize = 3_200;
    let piece: Vec<u8> =
        br#"{"id":"x","status":"running"},"#.iter().copied().cycle().take(64 << 10).collect();
    let response = Response::json(200, Vec::new());
    let framing = if declared {
        format!("content-length: {}", PIECES * piece.len())
    } else {
        "transfer-encoding: chunked".to_owned()
    };
    stream.write_all(&response.head(&framing)).await?;
    for _ in 0..PIECES {
        if !declared {
            let size = format!("{:x}\r\n", piece.len());
            stream.write_all(size.as_bytes()).await?;
        }
        stream.write_all(&piece).await?;
        if !declared {
            stream.write_all(b"\r\n").await?;
        }
    }
    if !declared {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// Sends one gzip stream of 1 GB: a compressed megabyte, repeated. The block ends on a byte boundary
/// and refers to nothing before it, so it can follow itself.
async fn send_gzip_bomb(stream: &mut TcpStream) -> io::Result<()> {
    use flate2::{Compress, Compression, FlushCompress};
    let zeros = vec![0; 1 << 20];
    let mut block = Vec::with_capacity(64 << 10);
    let packed = Compress::new(Compression::best(), false).compress_vec(
        &zeros,
        &mut block,
        FlushCompress::Full,
    );
    packed.map_err(io::Error::other)?;
    let mut response = Response::json(200, Vec::new());
    response.header("content-encoding", "gzip");
    let mut bytes = response.head("connection: close");
    bytes.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    stream.write_all(&bytes).await?;
    for _ in 0..1_024 {
        stream.write_all(&block).await?;
    }
    Ok(())
}
