//! Faults that are well-formed responses with the wrong content.

use std::time::{Duration, SystemTime};

use super::{Fault, RetryAfter, json};
use crate::fake_remote::http1::{RequestHead, Response};
use crate::fake_remote::respond::{error_response, http_date};

/// Page of a captive portal.
const PORTAL: &str = "<!doctype html><html><body>Please accept our terms</body></html>";

impl Fault {
    /// Returns the response that is sent in place of the `correct` one.
    pub(super) fn replacement(&self, head: &RequestHead, mut correct: Response) -> Response {
        match self {
            Fault::ServerError => error_response(500, "Internal Server Error"),
            Fault::BadGateway => Response::html(502, "<html><h1>502 Bad Gateway</h1></html>"),
            Fault::Unavailable(retry_after) => retry_later(503, *retry_after),
            Fault::TooMany(retry_after) => retry_later(429, *retry_after),
            Fault::Unauthorized => error_response(401, "Token has expired"),
            Fault::Forbidden => error_response(403, "No access to this tenant"),
            Fault::NotFound => error_response(404, "Not found"),
            Fault::Portal => Response::html(200, PORTAL),
            Fault::RedirectSame => redirect("/elsewhere"),
            Fault::RedirectCross(origin) => redirect(&format!("{origin}{}", head.target)),
            Fault::NotModifiedUnasked => Response::new(304),
            Fault::NotModifiedOther => {
                let mut other = Response::new(304);
                other.header("etag", "\"another\"");
                other
            }
            Fault::BrokenJson => {
                correct.body.truncate(correct.body.len().saturating_sub(2));
                correct
            }
            Fault::InvalidUtf8 => with_body(correct, |body| {
                let at = body.iter().position(|b| *b == b'-').unwrap_or(0);
                body[at] = 0xff;
            }),
            _ => with_body(correct, |body| {
                if let Ok(mut value) = serde_json::from_slice(body) {
                    self.alter_json(&mut value);
                    *body = match self {
                        Fault::Duplicates => json::double_keys(&value).into_bytes(),
                        _ => value.to_string().into_bytes(),
                    };
                }
            }),
        }
    }
}

/// Changes the body of a 200, and drops its tag, which belonged to the correct body.
fn with_body(mut response: Response, change: impl FnOnce(&mut Vec<u8>)) -> Response {
    if response.status == 200 && !response.body.is_empty() {
        change(&mut response.body);
        response.headers.retain(|(name, _)| name != "etag");
    }
    response
}

fn retry_later(status: u16, retry_after: RetryAfter) -> Response {
    let mut response = error_response(status, "Slow down");
    let now = SystemTime::now();
    response.header("date", &http_date(now));
    match retry_after {
        RetryAfter::Absent => {}
        RetryAfter::Text(text) => response.header("retry-after", text),
        RetryAfter::Date(seconds) => {
            let by = Duration::from_secs(seconds.unsigned_abs());
            let then = if seconds < 0 { now - by } else { now + by };
            response.header("retry-after", &http_date(then));
        }
    }
    response
}

fn redirect(location: &str) -> Response {
    let mut response = Response::new(307);
    response.header("location", location);
    response
}
