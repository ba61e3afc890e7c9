//! A fake daemon: a socket that replies from a function.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// A reply of the fake daemon.
#[derive(Debug, Clone)]
pub(crate) enum FakeReply {
    /// Status, headers besides the protocol's, body.
    Answer(u16, Vec<(&'static str, &'static str)>, String),
    /// Close the connection without a reply.
    HangUp,
}

/// The fake daemon; it ends with the test's process.
pub(crate) struct FakeDaemon {
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeDaemon {
    /// Starts listening on `socket`; the function gets request line and headers, in lower case.
    pub(crate) fn start(
        socket: &Path,
        says: impl Fn(&str) -> FakeReply + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let says = Arc::new(says);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (says, seen) = (Arc::clone(&says), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &*says, &seen));
            }
        });
        Self { asked }
    }

    /// Returns the requests so far: request line and headers.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: UnixStream, says: &dyn Fn(&str) -> FakeReply, seen: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(first)) = lines.next() {
        let mut asked = first.trim_end_matches(" HTTP/1.1").to_owned();
        for line in lines.by_ref().map_while(Result::ok) {
            if line.is_empty() {
                break;
            }
            asked.push('\n');
            asked.push_str(&line.to_lowercase());
        }
        seen.lock().unwrap().push(asked.clone());
        let FakeReply::Answer(status, headers, body) = says(&asked) else {
            return;
        };
        let mut head = format!(
            "HTTP/1.1 {status} x\r\ndocks-protocol: {}\r\ndocks-version: 0.1.0\r\ncontent-length: {}\r\n",
            docks_proto::PROTOCOL,
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// Answer of `GET /v1/status`, as far as a client reads it.
pub(crate) fn status() -> FakeReply {
    let body = format!(
        r#"{{"schema_version":1,"pid":1,"version":"0.1.0","protocol":{},"sqlite_version":"3",
            "socket":"","log_dir":"","uptime_s":1,"idle_exit_s":null,"remotes":[],"schedules":[]}}"#,
        docks_proto::PROTOCOL
    );
    FakeReply::Answer(200, Vec::new(), body)
}
