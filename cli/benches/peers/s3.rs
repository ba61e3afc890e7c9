//! A loopback S3 with the small files of the benchmark, and Amazon's own client.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Keys for signing; the emulator does not check signatures.
pub(crate) const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "us-east-1"),
];

/// A running emulator, which is stopped on drop.
pub(crate) struct S3 {
    process: Child,
    address: String,
}

impl S3 {
    /// Starts the program that `MOTO_SERVER` names, if it is set.
    pub(crate) fn start() -> Option<Self> {
        let program = std::env::var_os("MOTO_SERVER")?;
        let free = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &free.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let s3 = Self {
            process,
            address: free.to_string(),
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&s3.address).is_err() {
            assert!(Instant::now() < deadline, "the emulator did not come up");
            thread::park_timeout(Duration::from_millis(50));
        }
        s3.put("/bench", b"");
        Some(s3)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates a bucket or an object.
    pub(crate) fn put(&self, path: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let signed = "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=none";
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {signed}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
    }

    /// Returns a command that copies the bucket with Amazon's client, if it is installed.
    pub(crate) fn aws(&self, to: &Path) -> Option<Command> {
        Command::new("aws").arg("--version").output().ok()?;
        let mut command = Command::new("aws");
        command
            .args(["s3", "cp", "--recursive", "--quiet", "s3://bench/"])
            .arg(to)
            .args(["--endpoint-url", &self.url()])
            .envs(KEYS);
        Some(command)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
