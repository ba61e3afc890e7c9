//! A record of a client's requests and how long they took, for `--verbose`.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::Method;

use super::{Reply, SendError};

/// Maximum number of exchanges that are kept until they are taken.
const MAX_KEPT: usize = 10_000;

/// One request and its outcome, without headers and bodies, and hence without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Status and length of the decompressed body, or why there was no response.
    pub outcome: Result<(u16, usize), String>,
    /// From the start of the request to the end of the response.
    pub duration: Duration,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method, self.path)?;
        match &self.outcome {
            Ok((status, bytes)) => write!(f, "{status}, {bytes} bytes")?,
            Err(problem) => f.write_str(problem)?,
        }
        write!(f, " in {:.1} ms", self.duration.as_secs_f64() * 1_000.0)
    }
}

/// The exchanges of one client that have not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Mutex<Vec<Exchange>>);

impl Exchanges {
    /// Awaits one exchange and records it.
    pub(super) async fn record(
        &self,
        method: Method,
        path: String,
        reply: impl Future<Output = Result<Reply, SendError>>,
    ) -> Result<Reply, SendError> {
        let started = Instant::now();
        let reply = reply.await;
        let outcome = match &reply {
            Ok(reply) => Ok((reply.status.as_u16(), reply.body.len())),
            Err(error) => Err(error.to_string()),
        };
        let mut kept = self
            .0
            .lock()
            .expect("no code panics while it holds the lock");
        if kept.len() < MAX_KEPT {
            kept.push(Exchange {
                method,
                path,
                outcome,
                duration: started.elapsed(),
            });
        }
        reply
    }

    /// Returns and forgets what was recorded, oldest first.
    pub(super) fn take(&self) -> Vec<Exchange> {
        std::mem::take(
            &mut *self
                .0
                .lock()
                .expect("no code panics while it holds the lock"),
        )
    }
}
