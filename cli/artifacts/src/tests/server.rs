//! A loopback HTTP server that misbehaves as told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

/// What a path answers.
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
    /// 200 once this many requests are here at the same time.
    Together(Arc<Barrier>, Vec<u8>),
    /// First this, afterwards that.
    Then(Box<Answer>, Box<Answer>),
    /// 200 only with this value of `Authorization`, else 401.
    Secret(String, Vec<u8>),
}

type Heads = Arc<Mutex<Vec<String>>>;

/// The server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    heads: Heads,
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
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&seen)));
            }
        });
        Self {
            url,
            heads,
            accepting,
        }
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
    // A peer that went away is the test's business, not the server's.
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
