//! A Docks API on loopback that replies from a function and records its requests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Status and body for a request line such as `GET /tenants/ten/runs?limit=20`, and its token.
type Answer = dyn Fn(&str, Option<&str>) -> (u16, String) + Send + Sync;

/// A request line and the token that came with it.
type Received = (String, Option<String>);

/// The remote; it ends with the test's process.
pub(crate) struct Remote {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Received>>>,
    token: Arc<Mutex<String>>,
}

/// Returns a number of a query, and `usual` if it has none of this name.
pub(crate) fn query_number(query: &str, name: &str, usual: usize) -> usize {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.map_or(usual, |(_, value)| value.parse().unwrap())
}

impl Remote {
    /// Starts listening; accepts one token.
    pub(crate) fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let token = Arc::new(Mutex::new("canary-token".to_owned()));
        let accepted = Arc::clone(&token);
        let answer = move |request: &str, token: Option<&str>| {
            if token == Some(&*accepted.lock().unwrap()) {
                answer(request)
            } else {
                (401, r#"{"detail":"no token"}"#.to_owned())
            }
        };
        Self {
            token,
            ..Self::start_for_tokens(answer)
        }
    }

    /// Starts listening, with one evaluation run, `r-1` named `n`, that has these trials: JSON objects with commas between.
    pub(crate) fn with_trials(trials: &'static str) -> Self {
        Self::start(move |asked| {
            let path = asked.split('?').next().unwrap();
            let run = r#"{"id":"r-1","name":"n","status":"completed","created_at":"2026-01-01T00:00:00Z"}"#;
            let list = |text: &str| (200, format!("[{text}]"));
            match path.trim_start_matches("GET /tenants/ten/") {
                "harbor/runs" if asked.contains("offset=0") || !asked.contains("offset=") => {
                    list(run)
                }
                "runs" | "harbor/runs" => list(""),
                "harbor/runs/r-1" => (200, run.to_owned()),
                "harbor/runs/r-1/trials" => list(trials),
                _ => (404, r#"{"detail":"not found"}"#.to_owned()),
            }
        })
    }

    /// Starts listening; what is answered depends on the token.
    pub(crate) fn start_for_tokens(
        answer: impl Fn(&str, Option<&str>) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &*answer, &seen));
            }
        });
        Self {
            address,
            asked,
            token: Arc::default(),
        }
    }

    /// Returns its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Accepts this token from now on, and no other.
    pub(crate) fn accept(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    /// Returns the request lines so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(request, _)| request.clone()).collect()
    }

    /// Returns the request lines since the last call, each with its token.
    pub(crate) fn take_requests(&self) -> Vec<Received> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, answer: &Answer, seen: &Mutex<Vec<Received>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(first)) = lines.next() {
        let asked = first.trim_end_matches(" HTTP/1.1").to_owned();
        let mut token = None;
        for line in lines.by_ref().map_while(Result::ok) {
            let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("authorization") {
                token = value.strip_prefix("Bearer ").map(str::to_owned);
            }
            if line.is_empty() {
                break;
            }
        }
        let (status, body) = answer(&asked, token.as_deref());
        seen.lock().unwrap().push((asked, token));
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream
            .write_all(format!("{head}{body}").as_bytes())
            .is_err()
        {
            return;
        }
    }
}
