//! What a client asked and how long that took, for people who look for a fault.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::Method;

use super::{Reply, SendError};

/// Most exchanges that are kept until somebody takes them.
const MOST: usize = 10_000;

/// One request and what came back: neither headers nor bodies, hence no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Status and length of the decompressed body, or why there was no answer.
    pub came: Result<(u16, usize), String>,
    /// From the request's beginning to the answer's end.
    pub took: Duration,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method, self.path)?;
        match &self.came {
            Ok((status, bytes)) => write!(f, "{status}, {bytes} bytes")?,
            Err(problem) => f.write_str(problem)?,
        }
        write!(f, " in {:.1} ms", self.took.as_secs_f64() * 1_000.0)
    }
}

/// The exchanges of one client that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Mutex<Vec<Exchange>>);

impl Exchanges {
    /// Carries out one exchange and remembers it.
    pub(super) async fn remember(
        &self,
        method: Method,
        path: String,
        reply: impl Future<Output = Result<Reply, SendError>>,
    ) -> Result<Reply, SendError> {
        let began = Instant::now();
        let reply = reply.await;
        let came = match &reply {
            Ok(reply) => Ok((reply.status.as_u16(), reply.body.len())),
            Err(error) => Err(error.to_string()),
        };
        let mut kept = self.0.lock().expect("nothing panics while holding it");
        if kept.len() < MOST {
            kept.push(Exchange {
                method,
                path,
                came,
                took: began.elapsed(),
            });
        }
        reply
    }

    /// Hands over what was remembered, oldest first.
    pub(super) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.0.lock().expect("nothing panics while holding it"))
    }
}
