//! A loopback HTTP server that misbehaves as configured.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

/// The response of a path.
#[derive(Clone)]
pub(crate) enum Answer {
    /// 200 with this body.
    Whole(Vec<u8>),
    /// 200 that announces more than it sends.
    Cut(Vec<u8>),
    /// 200, some bytes, then silence with an open connection.
    Stall(Vec<u8>),
    /// This status with a short text.
    Status(u16),
    /// 302 to this place.
    Redirect(String),
    /// 200 once this many requests have arrived.
    Together(Arc<Barrier>, Vec<u8>),
    /// First the one, afterwards the other.
    Then(Box<Answer>, Box<Answer>),
    /// 200 with this body, without entity tag or modification time.
    Nameless(Vec<u8>),
    /// An object with versions and ranges; each response ends after some bytes.
    Object(Object),
    /// 200 only with this value of `Authorization`, else 401.
    Secret(String, Vec<u8>),
}

/// An object of a store.
#[derive(Clone)]
pub(crate) struct Object {
    /// Content and version now; a test may change it.
    pub(crate) now: Arc<Mutex<(Vec<u8>, String)>>,
    /// After how many bytes of the body each response ends, by its number from 0.
    pub(crate) cut_after: Arc<dyn Fn(usize) -> usize + Send + Sync>,
    /// Whether conditions of requests are honoured.
    pub(crate) honours_conditions: bool,
    /// Bytes that were sent.
    pub(crate) sent: Arc<Mutex<usize>>,
    answers: Arc<Mutex<usize>>,
}

impl Object {
    /// Creates an object whose responses end where `cut_after` says.
    pub(crate) fn new(
        content: Vec<u8>,
        cut_after: impl Fn(usize) -> usize + Send + Sync + 'static,
    ) -> Self {
        Self {
            now: Arc::new(Mutex::new((content, "\"v1\"".to_owned()))),
            cut_after: Arc::new(cut_after),
            honours_conditions: true,
            sent: Arc::default(),
            answers: Arc::default(),
        }
    }

    async fn respond(&self, stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
        let (content, tag) = self.now.lock().unwrap().clone();
        let header = |name: &str| {
            let found = head.lines().filter_map(|line| line.split_once(": "));
            found
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
                .next()
        };
        let is_now = |condition: Option<String>| condition.is_none_or(|c| c == tag);
        if self.honours_conditions {
            if header("if-none-match").is_some_and(|known| known == tag) {
                let head = "HTTP/1.1 304 x\r\nConnection: close\r\n\r\n";
                return stream.write_all(head.as_bytes()).await;
            }
            if !is_now(header("if-match")) {
                let head = "HTTP/1.1 412 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                return stream.write_all(head.as_bytes()).await;
            }
        }
        let ranged = !self.honours_conditions || is_now(header("if-range"));
        let first = header("range")
            .filter(|_| ranged)
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .split('-')
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0_usize);
        let size = content.len();
        if first > 0 && first >= size {
            let head = format!(
                "HTTP/1.1 416 x\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
            return stream.write_all(head.as_bytes()).await;
        }
        let body = &content[first..];
        let last = size.saturating_sub(1);
        let range = format!("Content-Range: bytes {first}-{last}/{size}\r\n");
        let (status, range) = if first > 0 {
            (206, range)
        } else {
            (200, String::new())
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nETag: {tag}\r\n{range}\
             Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let number = {
            let mut answers = self.answers.lock().unwrap();
            *answers += 1;
            *answers - 1
        };
        let cut = body.len().min((self.cut_after)(number));
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body[..cut]).await?;
        *self.sent.lock().unwrap() += cut;
        stream.flush().await
    }
}

type Heads = Arc<Mutex<Vec<String>>>;

/// The server; it stops when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    heads: Heads,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answers: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: HashMap<String, Answer> = answers
            .iter()
            .map(|(path, answer)| ((*path).to_owned(), answer.clone()))
            .collect();
        let answers = Arc::new(Mutex::new(answers));
        let heads = Heads::default();
        let seen = Arc::clone(&heads);
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&seen)));
            }
        });
        Self {
            url,
            heads,
            connections,
            accepting,
        }
    }

    /// Returns the number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns the heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Mutex<HashMap<String, Answer>>>, heads: Heads) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    heads.lock().unwrap().push(head.clone());
    let answer = {
        let mut answers = answers.lock().unwrap();
        let without_query = path.split('?').next().unwrap_or(&path);
        let found = answers.get(&path).or_else(|| answers.get(without_query));
        let found = found.cloned().unwrap_or(Answer::Status(404));
        if let Answer::Then(first, next) = found {
            answers.insert(path, *next);
            *first
        } else {
            found
        }
    };
    // A client that disconnects is part of some tests.
    respond(&mut stream, answer, &head).await.ok();
    stream.shutdown().await.ok();
}

async fn respond(stream: &mut TcpStream, answer: Answer, head: &str) -> std::io::Result<()> {
    match answer {
        Answer::Whole(body) => send(stream, 200, "", body.len(), &body).await,
        Answer::Cut(body) => send(stream, 200, "", body.len() + 100, &body).await,
        Answer::Stall(body) => {
            send(stream, 200, "", body.len() + 100, &body).await?;
            std::future::pending().await
        }
        Answer::Status(status) => send(stream, status, "", 2, b"no").await,
        Answer::Redirect(to) => send(stream, 302, &format!("Location: {to}\r\n"), 0, b"").await,
        Answer::Together(barrier, body) => {
            barrier.wait().await;
            send(stream, 200, "", body.len(), &body).await
        }
        Answer::Nameless(body) => {
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await
        }
        Answer::Object(object) => object.respond(stream, head).await,
        Answer::Secret(expected, body) => {
            let line = format!("authorization: {expected}\r\n");
            if head.contains(&line) {
                send(stream, 200, "", body.len(), &body).await
            } else {
                send(stream, 401, "", 2, b"no").await
            }
        }
        Answer::Then(..) => send(stream, 500, "", 2, b"no").await,
    }
}

async fn send(
    stream: &mut TcpStream,
    status: u16,
    more: &str,
    length: usize,
    body: &[u8],
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nETag: \"1\"\r\n\
         Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}
