//! Harbor's own viewer of the same directory.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use docksd_testkit::measure::{format_duration, median};

/// Headings of the viewer's columns.
pub(crate) const COLUMNS: &str = "`harbor view`: list | `harbor view`: page of 100";

struct Viewer {
    child: Child,
    port: u16,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Viewer {
    fn get(&self, path: &str) -> Option<usize> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        answer.starts_with(b"HTTP/1.1 200").then_some(answer.len())
    }
}

/// Measures the viewer on a directory; returns its columns.
pub(crate) fn measure(dir: &Path) -> String {
    let Some(harbor) = std::env::var_os("HARBOR_BIN") else {
        return "HARBOR_BIN is not set | ".to_owned();
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let child = Command::new(harbor)
        .arg("view")
        .arg(dir)
        .args(["--port", &port.to_string()])
        .env("HARBOR_TELEMETRY", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let viewer = Viewer { child, port };
    let start = Instant::now();
    while viewer.get("/api/health").is_none() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the viewer never answers"
        );
        std::thread::yield_now();
    }
    let timed = |path: &str| format_duration(median(5, || viewer.get(path).unwrap()));
    format!(
        "{} | {}",
        timed("/api/jobs"),
        timed("/api/jobs/job-000/trials?page_size=100")
    )
}
