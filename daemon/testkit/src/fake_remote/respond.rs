//! The correct response of the fake remote to a request.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::time::{Duration, SystemTime};

use docks_proto::routes::{Action, RunKind};
use flate2::{Compression, write::GzEncoder};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::behaviour::{Behaviour, ListEnvelope, ListOrder};
use super::data::{RemoteData, StoredObject};
use super::http1::{RequestHead, Response};

/// The only tenant.
pub const TENANT: &str = "ten";

/// Returns the settings of a profile, as in `config.toml`, whose API is at this address.
#[must_use]
pub fn profile_settings(api_url: &str) -> String {
    format!("api_url = \"{api_url}\"\ntenant_id = \"{TENANT}\"\ntoken = \"t\"")
}

/// Returns the response to one request, before any fault changes it.
pub fn respond(data: &mut RemoteData, behaviour: &Behaviour, head: &RequestHead) -> Response {
    let mut response = if unauthorized(behaviour, head) {
        error_response(401, "Invalid token")
    } else {
        route(data, behaviour, head)
    };
    if response.status == 200 && head.method == "GET" && behaviour.etag {
        add_etag(&mut response, head);
    }
    if behaviour.gzip && !response.body.is_empty() && head.accepts_gzip() {
        response.body = gzip(&response.body);
        response.header("content-encoding", behaviour.gzip_name);
    }
    let now = SystemTime::now() + Duration::from_secs(behaviour.skew_s.max(0).unsigned_abs())
        - Duration::from_secs(behaviour.skew_s.min(0).unsigned_abs());
    response.header("date", &http_date(now));
    response
}

fn unauthorized(behaviour: &Behaviour, head: &RequestHead) -> bool {
    let expected = behaviour
        .token
        .as_ref()
        .map(|token| format!("Bearer {token}"));
    expected.is_some() && head.header("authorization") != expected.as_deref()
}

fn route(data: &mut RemoteData, behaviour: &Behaviour, head: &RequestHead) -> Response {
    let segments: Vec<String> = head
        .path()
        .split('/')
        .skip(1)
        .map(|s| percent_decode_str(s).decode_utf8_lossy().into_owned())
        .collect();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let rest = match parts.as_slice() {
        ["tenants", TENANT, rest @ ..] => rest,
        ["files", .., name] if head.method == "GET" => return file(head.path(), name),
        _ => return error_response(404, "Not Found"),
    };
    match (head.method.as_str(), rest) {
        ("GET", ["runs"]) => list(&data.runs, behaviour, head),
        ("GET", ["harbor", "runs"]) => list(&data.evaluations, behaviour, head),
        ("GET", ["runs", id]) => object(data.find(RunKind::Run, id), "Run"),
        ("GET", ["harbor", "runs", id]) => object(data.find(RunKind::Evaluation, id), "Run"),
        ("GET", ["harbor", "runs", id, "trials"]) => match data.trials.get(*id) {
            Some(trials) => Response::json(200, wrapped(trials.iter(), behaviour, None, None)),
            None => error_response(404, "Run not found"),
        },
        ("GET", ["harbor", "runs", id, "trials", trial]) => {
            let trials = data.trials.get(*id);
            object(
                trials.and_then(|all| all.iter().find(|item| item.id == *trial)),
                "Trial",
            )
        }
        ("POST", ["runs", id, "stop"]) => act(data, Action::Stop, id),
        ("POST", ["harbor", "runs", id, "start"]) => act(data, Action::Start, id),
        ("POST", ["harbor", "runs", id, "cancel"]) => act(data, Action::Cancel, id),
        _ => error_response(404, "Not Found"),
    }
}

fn act(data: &mut RemoteData, action: Action, id: &str) -> Response {
    match data.apply_action(action, id) {
        None => error_response(404, "Run not found"),
        Some(Err(why)) => error_response(409, &why),
        Some(Ok(text)) => Response::json(200, text),
    }
}

/// Returns an artifact that says where it is: a trajectory, a diff, or a log.
fn file(path: &str, name: &str) -> Response {
    let (_, extension) = name.rsplit_once('.').unwrap_or_default();
    let text = match extension {
        "json" => json!({
            "schema_version": "ATIF-v1.4", "session_id": path, "agent": {"name": "scripted", "version": "1"},
            "steps": [{"step_id": 1, "source": "agent", "message": path}],
        })
        .to_string(),
        "patch" => {
            format!("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-before\n+{path}\n")
        }
        _ => format!("{path}\n"),
    };
    Response::json(200, text)
}

fn object(item: Option<&StoredObject>, what: &str) -> Response {
    match item {
        Some(item) => Response::json(200, item.text.clone()),
        None => error_response(404, &format!("{what} not found")),
    }
}

fn list(items: &[StoredObject], behaviour: &Behaviour, head: &RequestHead) -> Response {
    let requested: usize = match head.query("limit").map(|text| text.parse()) {
        None => behaviour.default_limit,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return invalid_limit("Input should be a valid integer"),
    };
    let cap = behaviour.cap.unwrap_or(usize::MAX);
    if behaviour.refuses_above_cap && requested > cap {
        return invalid_limit(&format!("Input should be less than or equal to {cap}"));
    }
    let limit = requested.min(cap);
    let number = |name| head.query(name).and_then(|text| text.parse::<usize>().ok());
    let start = match behaviour.cursor {
        true => number("cursor").unwrap_or(0),
        false if behaviour.offset => number("offset").unwrap_or(0),
        false => 0,
    };
    let statuses = if behaviour.status {
        head.queries("status")
    } else {
        Vec::new()
    };
    let matches =
        |item: &&StoredObject| statuses.is_empty() || statuses.iter().any(|s| has_status(item, s));
    let count = if statuses.is_empty() {
        items.len()
    } else {
        items.iter().filter(matches).count()
    };
    let page = ordered(items, behaviour.order)
        .filter(matches)
        .skip(start)
        .take(limit);
    let next = start.saturating_add(limit);
    let cursor = (behaviour.cursor && next < count).then_some(next);
    let total = behaviour.total.then_some(count);
    Response::json(200, wrapped(page, behaviour, cursor, total))
}

fn ordered(
    items: &[StoredObject],
    order: ListOrder,
) -> Box<dyn Iterator<Item = &StoredObject> + '_> {
    match order {
        ListOrder::Newest => Box::new(items.iter().rev()),
        ListOrder::Oldest => Box::new(items.iter()),
        ListOrder::Shuffled => {
            let mut all: Vec<&StoredObject> = items.iter().collect();
            all.sort_by_key(|item| hash(item.id.as_bytes()));
            Box::new(all.into_iter())
        }
    }
}

fn has_status(item: &StoredObject, status: &str) -> bool {
    let object: Value = serde_json::from_str(&item.text).unwrap_or_default();
    object["status"].as_str() == Some(status)
}

fn wrapped<'a>(
    items: impl Iterator<Item = &'a StoredObject>,
    behaviour: &Behaviour,
    cursor: Option<usize>,
    total: Option<usize>,
) -> String {
    let texts: Vec<&str> = items.map(|item| item.text.as_str()).collect();
    let array = format!("[{}]", texts.join(","));
    let key = match behaviour.envelope {
        ListEnvelope::Array if !behaviour.cursor => return array,
        ListEnvelope::Array | ListEnvelope::Items => "items",
        ListEnvelope::Data => "data",
    };
    let cursor = cursor.map_or("null".to_owned(), |at| format!("\"{at}\""));
    let total = total.map_or(String::new(), |n| format!(",\"total\":{n}"));
    format!("{{\"{key}\":{array},\"next_cursor\":{cursor}{total}}}")
}

fn add_etag(response: &mut Response, head: &RequestHead) {
    let etag = format!("\"{:016x}\"", hash(&response.body));
    if head.header("if-none-match") == Some(&etag) {
        *response = Response::new(304);
    }
    response.header("etag", &etag);
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Returns an error response as FastAPI writes it.
pub fn error_response(status: u16, message: &str) -> Response {
    Response::json(status, json!({ "detail": message }).to_string())
}

fn invalid_limit(message: &str) -> Response {
    let problem = json!([{"loc": ["query", "limit"], "msg": message, "type": "less_than_equal"}]);
    Response::json(422, json!({ "detail": problem }).to_string())
}

/// Compresses a body.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(body)
        .expect("writing to a vector does not fail");
    encoder.finish().expect("writing to a vector does not fail")
}

/// Formats an HTTP date.
pub fn http_date(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}
