//! A Docks API on loopback that replies from a function and records its requests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Status and body for a request line such as `GET /tenants/ten/runs?limit=20`.
type Answer = dyn Fn(&str) -> (u16, String) + Send + Sync;

/// The remote; it ends with the test's process.
pub(crate) struct Remote {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    token: Arc<Mutex<String>>,
}

impl Remote {
    /// Starts listening.
    pub(crate) fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let answer: Arc<Answer> = Arc::new(answer);
        let token = Arc::new(Mutex::new("canary-token".to_owned()));
        let accepted = Arc::clone(&token);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                let accepted = Arc::clone(&accepted);
                thread::spawn(move || serve(stream, &*answer, &seen, &accepted));
            }
        });
        Self {
            address,
            asked,
            token,
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
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: &Answer, seen: &Mutex<Vec<String>>, token: &Mutex<String>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(first)) = lines.next() {
        let asked = first.trim_end_matches(" HTTP/1.1").to_owned();
        let mut authorised = false;
        for line in lines.by_ref().map_while(Result::ok) {
            let given = line.to_ascii_lowercase();
            let given = given.strip_prefix("authorization: bearer ");
            authorised |= given.is_some_and(|given| given == *token.lock().unwrap());
            if line.is_empty() {
                break;
            }
        }
        seen.lock().unwrap().push(asked.clone());
        let (status, body) = if authorised {
            answer(&asked)
        } else {
            (401, r#"{"detail":"no token"}"#.to_owned())
        };
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
