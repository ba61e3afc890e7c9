//! HTTP/1.1 written by hand, since much of what the fake remote sends is invalid HTTP.

use std::io;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest request head that is read, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A request's first line and headers.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// Method.
    pub method: String,
    /// Path with query, as received.
    pub target: String,
    headers: Vec<(String, String)>,
}

impl RequestHead {
    /// Returns the path without query.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(&self.target, |(path, _)| path)
    }

    /// Returns a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries(name).into_iter().next()
    }

    /// Returns every value of a query parameter, decoded.
    pub fn queries(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(n, _)| *n == name)
            .map(|(_, v)| percent_decode_str(v).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// Whether the client accepts compressed answers.
    pub fn accepts_gzip(&self) -> bool {
        self.header("accept-encoding")
            .is_some_and(|value| value.contains("gzip"))
    }
}

/// Reads a request and discards its body; `None` once the client sends no more.
pub async fn read_request(stream: &mut TcpStream) -> io::Result<Option<RequestHead>> {
    let read = read_whole_request(stream).await?;
    Ok(read.map(|(head, _)| head))
}

/// Reads a request with its body; `None` once the client sends no more.
pub async fn read_whole_request(
    stream: &mut TcpStream,
) -> io::Result<Option<(RequestHead, Vec<u8>)>> {
    let mut bytes = Vec::with_capacity(1_024);
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > MAX_HEAD_BYTES || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let head = RequestHead {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect(),
    };
    let length: usize = head
        .header("content-length")
        .and_then(|v| v.parse().ok())
        .unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    body.truncate(length);
    Ok(Some((head, body)))
}

/// A response before it is written.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers, without the one that frames the body.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// Creates a response without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Creates a JSON response.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::new(status);
        response.header("content-type", "application/json");
        response.body = body.into();
        response
    }

    /// Creates an HTML response.
    pub fn html(status: u16, body: &str) -> Self {
        let mut response = Self::new(status);
        response.header("content-type", "text/html");
        body.as_bytes().clone_into(&mut response.body);
        response
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Encodes the status line and headers; `framing` is the header that says where the body ends.
    pub fn head(&self, framing: &str) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Fake\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(framing);
        text.push_str("\r\n\r\n");
        text.into_bytes()
    }

    /// Writes the whole response correctly.
    pub async fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        // A 304 has no body, so a length would be that of the response it replaces.
        let framing = match self.status {
            304 => "vary: authorization".to_owned(),
            _ => format!("content-length: {}", self.body.len()),
        };
        let mut bytes = self.head(&framing);
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes).await?;
        stream.flush().await
    }
}
