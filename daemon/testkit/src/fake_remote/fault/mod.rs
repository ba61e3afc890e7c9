//! Everything that can go wrong between a remote and us, as HTTP and JSON see it.

use std::io;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http1::{Head, Response};
use super::respond::{detail, httpdate_of};

/// Page of a portal that answers for everyone.
const PORTAL: &str = "<!doctype html><html><body>Please accept our terms</body></html>";

/// What `429` says about when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    Bare,
    /// Seconds, or any other text.
    Text(&'static str),
    /// An instant so many seconds from now.
    Date(i64),
}

/// One fault. Those that change an answer leave alone what they do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection stands, then nothing.
    Silence,
    /// Headers, then nothing.
    StallAfterHeaders,
    /// One byte per second.
    Drip,
    /// A reset before the headers end.
    ResetInHeaders,
    /// A reset in the body.
    ResetInBody,
    /// Fewer bytes than the length says, then the end.
    ShortBody,
    /// More bytes than the length says.
    LongBody,
    /// Chunks without the last one, then the end.
    UnterminatedChunk,
    /// A first line that is not HTTP.
    GarbageStatusLine,
    /// 500 with FastAPI's text.
    ServerError,
    /// 502 with a proxy's page.
    BadGateway,
    /// 503 with `Retry-After`.
    Unavailable(Wait),
    /// 429.
    TooMany(Wait),
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 200 with a portal's page.
    Portal,
    /// JSON that is cut in the middle, with the right length.
    BrokenJson,
    /// A list for an object and an object for a list.
    Swapped,
    /// Every second field null, the others in half of the objects missing.
    NullFields,
    /// Fields and a status that nobody knows.
    UnknownFields,
    /// A list with nothing in it.
    Empty,
    /// 200 MB with a length, or in chunks.
    Huge {
        /// Whether the length is said.
        declared: bool,
    },
    /// 1 GB of zeros, compressed to one.
    GzipBomb,
    /// Every object twice, and every key of it, too.
    Duplicates,
    /// 307 to another path of the same origin.
    RedirectSame,
    /// 307 to the given origin.
    RedirectCross(String),
    /// 304 although nothing was asked about.
    NotModifiedUnasked,
    /// 304 with another tag.
    NotModifiedOther,
    /// Always the same next cursor.
    RepeatingCursor,
    /// A new run appears before each page is cut.
    PageDrift,
    /// The remote's clock is so many seconds ahead.
    ClockSkew(i64),
    /// Ended objects are running again.
    StatusBackwards,
    /// Bytes that are not UTF-8 inside a string.
    InvalidUtf8,
}

impl Fault {
    /// Every fault by name, for tables of tests.
    pub fn all() -> Vec<(&'static str, Fault)> {
        vec![
            ("silence", Fault::Silence),
            ("stall after headers", Fault::StallAfterHeaders),
            ("one byte per second", Fault::Drip),
            ("reset in headers", Fault::ResetInHeaders),
            ("reset in body", Fault::ResetInBody),
            ("short body", Fault::ShortBody),
            ("long body", Fault::LongBody),
            ("unterminated chunk", Fault::UnterminatedChunk),
            ("garbage status line", Fault::GarbageStatusLine),
            ("500", Fault::ServerError),
            ("502 with HTML", Fault::BadGateway),
            ("503 with Retry-After", Fault::Unavailable(Wait::Text("1"))),
            ("429 seconds", Fault::TooMany(Wait::Text("1"))),
            ("429 date", Fault::TooMany(Wait::Date(2))),
            ("429 bare", Fault::TooMany(Wait::Bare)),
            ("401", Fault::Unauthorized),
            ("403", Fault::Forbidden),
            ("404", Fault::NotFound),
            ("captive portal", Fault::Portal),
            ("broken JSON", Fault::BrokenJson),
            ("list and object swapped", Fault::Swapped),
            ("null and missing fields", Fault::NullFields),
            ("unknown fields and status", Fault::UnknownFields),
            ("empty for a moment", Fault::Empty),
            ("200 MB", Fault::Huge { declared: true }),
            ("200 MB in chunks", Fault::Huge { declared: false }),
            ("gzip bomb", Fault::GzipBomb),
            ("duplicate ids and keys", Fault::Duplicates),
            ("redirect, same origin", Fault::RedirectSame),
            (
                "redirect, other origin",
                Fault::RedirectCross("http://127.0.0.1:9".to_owned()),
            ),
            ("304 unasked", Fault::NotModifiedUnasked),
            ("304 for another tag", Fault::NotModifiedOther),
            ("repeating cursor", Fault::RepeatingCursor),
            ("page drift", Fault::PageDrift),
            ("clock an hour ahead", Fault::ClockSkew(3_600)),
            ("clock an hour behind", Fault::ClockSkew(-3_600)),
            ("status going backwards", Fault::StatusBackwards),
            ("invalid UTF-8", Fault::InvalidUtf8),
        ]
    }

    /// Plays the fault instead of the right answer. The connection is closed afterwards.
    pub async fn play(
        &self,
        stream: &mut TcpStream,
        head: &Head,
        right: Response,
    ) -> io::Result<()> {
        let half = right.body.len() / 2;
        let sized = format!("content-length: {}", right.body.len());
        match self {
            Fault::Silence => return outlast(stream).await,
            Fault::StallAfterHeaders => {
                stream.write_all(&right.head(&sized)).await?;
                return outlast(stream).await;
            }
            Fault::Drip => return drip(stream, &right, &sized).await,
            Fault::ResetInHeaders => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty").await?;
                return stream.set_zero_linger();
            }
            Fault::ResetInBody => {
                stream.write_all(&right.head(&sized)).await?;
                stream.write_all(&right.body[..half]).await?;
                return stream.set_zero_linger();
            }
            Fault::ShortBody => {
                stream.write_all(&right.head(&sized)).await?;
                return stream.write_all(&right.body[..half]).await;
            }
            Fault::LongBody => {
                right.write(stream).await?;
                return stream.write_all(b"]]]] and more").await;
            }
            Fault::UnterminatedChunk => {
                let start = right.head("transfer-encoding: chunked");
                stream.write_all(&start).await?;
                let size = format!("{:x}\r\n", right.body.len());
                stream.write_all(size.as_bytes()).await?;
                return stream.write_all(&right.body).await;
            }
            Fault::GarbageStatusLine => {
                return stream
                    .write_all(b"220 mail.example ESMTP ready\r\n\r\n")
                    .await;
            }
            Fault::Huge { declared } => return huge(stream, *declared).await,
            Fault::GzipBomb => return bomb(stream).await,
            _ => {}
        }
        self.instead(head, right).write(stream).await
    }

    /// Returns the answer that is sent for faults which are whole answers.
    fn instead(&self, head: &Head, mut right: Response) -> Response {
        match self {
            Fault::ServerError => detail(500, "Internal Server Error"),
            Fault::BadGateway => Response::html(502, "<html><h1>502 Bad Gateway</h1></html>"),
            Fault::Unavailable(wait) => waiting(503, *wait),
            Fault::TooMany(wait) => waiting(429, *wait),
            Fault::Unauthorized => detail(401, "Token has expired"),
            Fault::Forbidden => detail(403, "No access to this tenant"),
            Fault::NotFound => detail(404, "Not found"),
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
                right.body.truncate(right.body.len().saturating_sub(2));
                right
            }
            Fault::InvalidUtf8 => with(right, |body| {
                let at = body.iter().position(|b| *b == b'-').unwrap_or(0);
                body[at] = 0xff;
            }),
            _ => with(right, |body| {
                if let Ok(mut value) = serde_json::from_slice(body) {
                    self.twist(&mut value);
                    *body = match self {
                        Fault::Duplicates => double_keys(&value).into_bytes(),
                        _ => value.to_string().into_bytes(),
                    };
                }
            }),
        }
    }

    fn twist(&self, value: &mut Value) {
        match self {
            Fault::Swapped => {
                *value = match objects(value).first() {
                    Some(first) if list_of(value).is_some() => first.clone(),
                    _ => json!([value.clone()]),
                }
            }
            Fault::Empty => {
                if let Some(list) = list_of(value) {
                    list.clear();
                }
            }
            Fault::Duplicates => {
                if let Some(list) = list_of(value) {
                    list.extend(list.clone());
                }
            }
            Fault::RepeatingCursor => {
                let items = objects(value);
                *value = json!({"items": items, "next_cursor": "again"});
            }
            _ => match list_of(value) {
                Some(list) => list
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, o)| self.bend(o, i)),
                None => self.bend(value, 0),
            },
        }
    }

    /// Changes one object.
    fn bend(&self, object: &mut Value, index: usize) {
        let Some(fields) = object.as_object_mut() else {
            return;
        };
        match self {
            Fault::NullFields => {
                let names: Vec<String> = fields.keys().filter(|n| *n != "id").cloned().collect();
                for name in names.iter().step_by(2) {
                    fields.insert(name.clone(), Value::Null);
                }
                for name in names.iter().skip(1).step_by(2).filter(|_| index % 2 == 1) {
                    fields.remove(name);
                }
            }
            Fault::UnknownFields => {
                fields.insert("status".to_owned(), json!("warming-up"));
                fields.insert("x_new".to_owned(), json!({"deep": [1, null, "\u{1b}[2J"]}));
            }
            Fault::StatusBackwards => {
                fields.insert("status".to_owned(), json!("running"));
            }
            _ => {}
        }
    }
}

fn with(mut response: Response, change: impl FnOnce(&mut Vec<u8>)) -> Response {
    if response.status == 200 && !response.body.is_empty() {
        change(&mut response.body);
        // The tag stood for the right body.
        response.headers.retain(|(name, _)| name != "etag");
    }
    response
}

fn list_of(value: &mut Value) -> Option<&mut Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        Value::Object(fields) => ["items", "data"]
            .into_iter()
            .find(|key| fields.get(*key).is_some_and(Value::is_array))
            .and_then(|key| fields.get_mut(key)?.as_array_mut()),
        _ => None,
    }
}

fn objects(value: &mut Value) -> Vec<Value> {
    list_of(value).map(|list| list.clone()).unwrap_or_default()
}

/// Writes objects with each key twice, the right value last.
fn double_keys(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let texts: Vec<String> = list.iter().map(double_keys).collect();
            format!("[{}]", texts.join(","))
        }
        Value::Object(fields) => {
            let first = fields.keys().map(|k| format!("{}:\"old\"", json!(k)));
            let second = fields.iter().map(|(k, v)| format!("{}:{v}", json!(k)));
            let texts: Vec<String> = first.chain(second).collect();
            format!("{{{}}}", texts.join(","))
        }
        other => other.to_string(),
    }
}

fn waiting(status: u16, wait: Wait) -> Response {
    let mut response = detail(status, "Slow down");
    let now = SystemTime::now();
    response.header("date", &httpdate_of(now));
    match wait {
        Wait::Bare => {}
        Wait::Text(text) => response.header("retry-after", text),
        Wait::Date(seconds) => {
            let by = Duration::from_secs(seconds.unsigned_abs());
            let then = if seconds < 0 { now - by } else { now + by };
            response.header("retry-after", &httpdate_of(then));
        }
    }
    response
}

fn redirect(to: &str) -> Response {
    let mut response = Response::new(307);
    response.header("location", to);
    response
}

/// Says nothing until the client gives up.
async fn outlast(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 64];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

async fn drip(stream: &mut TcpStream, right: &Response, sized: &str) -> io::Result<()> {
    stream.write_all(&right.head(sized)).await?;
    for byte in &right.body {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn huge(stream: &mut TcpStream, declared: bool) -> io::Result<()> {
    const PIECES: usize = 3_200;
    let piece: Vec<u8> =
        br#"{"id":"x","status":"running"},"#.iter().copied().cycle().take(64 << 10).collect();
    let response = Response::json(200, Vec::new());
    let framing = if declared {
        format!("content-length: {}", PIECES * piece.len())
    } else {
        "transfer-encoding: chunked".to_owned()
    };
    stream.write_all(&response.head(&framing)).await?;
    for _ in 0..PIECES {
        if !declared {
            let size = format!("{:x}\r\n", piece.len());
            stream.write_all(size.as_bytes()).await?;
        }
        stream.write_all(&piece).await?;
        if !declared {
            stream.write_all(b"\r\n").await?;
        }
    }
    if !declared {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// Sends one gzip stream of 1 GB: a compressed megabyte, repeated; a block that ends
/// on a byte and looks back at nothing before it can follow itself.
async fn bomb(stream: &mut TcpStream) -> io::Result<()> {
    use flate2::{Compress, Compression, FlushCompress};
    let zeros = vec![0; 1 << 20];
    let mut block = Vec::with_capacity(64 << 10);
    let packed = Compress::new(Compression::best(), false).compress_vec(
        &zeros,
        &mut block,
        FlushCompress::Full,
    );
    packed.map_err(io::Error::other)?;
    let mut response = Response::json(200, Vec::new());
    response.header("content-encoding", "gzip");
    let mut bytes = response.head("connection: close");
    bytes.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    stream.write_all(&bytes).await?;
    for _ in 0..1_024 {
        stream.write_all(&block).await?;
    }
    Ok(())
}
