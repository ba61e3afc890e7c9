//! The faults of a remote and of the network before it, at the level of TCP, HTTP and JSON.

mod json;
mod responses;
mod transport;

/// The `Retry-After` header of a 429 or 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// A number of seconds, or any other text.
    Text(&'static str),
    /// The date this many seconds from now.
    Date(i64),
}

/// A fault. One that alters a response leaves responses alone that it does not apply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Accepts the connection and sends nothing.
    Silence,
    /// Sends the headers, then nothing.
    StallAfterHeaders,
    /// Sends one byte per second.
    Drip,
    /// Resets the connection within the headers.
    ResetInHeaders,
    /// Resets the connection within the body.
    ResetInBody,
    /// Sends fewer bytes than `Content-Length` says, then closes.
    ShortBody,
    /// Sends more bytes than `Content-Length` says.
    LongBody,
    /// Sends chunks without the last one, then closes.
    UnterminatedChunk,
    /// Sends a first line that is not HTTP.
    GarbageStatusLine,
    /// 500 with FastAPI's text.
    ServerError,
    /// 502 with a proxy's page.
    BadGateway,
    /// 503 with `Retry-After`.
    Unavailable(RetryAfter),
    /// 429.
    TooMany(RetryAfter),
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 200 with the page of a captive portal.
    Portal,
    /// Truncated JSON, with the length of what is sent.
    BrokenJson,
    /// A list in place of an object, and an object in place of a list.
    Swapped,
    /// Every second field is null; in half of the objects the others are missing.
    NullFields,
    /// Unknown fields and an unknown status.
    UnknownFields,
    /// An empty list.
    Empty,
    /// A body of 200 MB.
    Huge {
        /// Whether `Content-Length` is sent; chunks otherwise.
        declared: bool,
    },
    /// 1 GB of zeros, compressed to about 1 MB.
    GzipBomb,
    /// Every object twice, with every key in it twice.
    Duplicates,
    /// 307 to another path of the same origin.
    RedirectSame,
    /// 307 to the given origin.
    RedirectCross(String),
    /// 304 to a request without a validator.
    NotModifiedUnasked,
    /// 304 with the tag of another response.
    NotModifiedOther,
    /// The same next cursor on every page.
    RepeatingCursor,
    /// A new run appears before each page.
    PageDrift,
    /// The remote's clock is ahead by this many seconds.
    ClockSkew(i64),
    /// Objects that had ended are running again.
    StatusBackwards,
    /// A string that contains invalid UTF-8.
    InvalidUtf8,
}

impl Fault {
    /// Returns every fault with its name, for table-driven tests.
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
            (
                "503 with Retry-After",
                Fault::Unavailable(RetryAfter::Text("1")),
            ),
            ("429 seconds", Fault::TooMany(RetryAfter::Text("1"))),
            ("429 date", Fault::TooMany(RetryAfter::Date(2))),
            ("429 bare", Fault::TooMany(RetryAfter::Absent)),
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
}
