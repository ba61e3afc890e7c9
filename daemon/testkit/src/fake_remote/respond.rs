//! The right answer of the fake remote to a request.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::time::{Duration, SystemTime};

use docks_proto::routes::{Action, RunKind};
use flate2::{Compression, write::GzEncoder};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::behaviour::{Habits, Order, Wrap};
use super::data::{Item, World};
use super::http1::{Head, Response};

/// The tenant whose paths exist.
pub const TENANT: &str = "ten";

/// Answers one request; faults come later.
pub fn answer(world: &mut World, habits: &Habits, head: &Head) -> Response {
    let mut response = if unauthorized(habits, head) {
        detail(401, "Invalid token")
    } else {
        route(world, habits, head)
    };
    if response.status == 200 && head.method == "GET" && habits.etag {
        tag(&mut response, head);
    }
    if habits.gzip && !response.body.is_empty() && head.accepts_gzip() {
        response.body = gzip(&response.body);
        response.header("content-encoding", "gzip");
    }
    let now = SystemTime::now() + Duration::from_secs(habits.skew_s.max(0).unsigned_abs())
        - Duration::from_secs(habits.skew_s.min(0).unsigned_abs());
    response.header("date", &httpdate_of(now));
    response
}

fn unauthorized(habits: &Habits, head: &Head) -> bool {
    let expected = habits.token.as_ref().map(|token| format!("Bearer {token}"));
    expected.is_some() && head.header("authorization") != expected.as_deref()
}

fn route(world: &mut World, habits: &Habits, head: &Head) -> Response {
    let segments: Vec<String> = head
        .path()
        .split('/')
        .skip(1)
        .map(|s| percent_decode_str(s).decode_utf8_lossy().into_owned())
        .collect();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["tenants", TENANT, rest @ ..] = parts.as_slice() else {
        return detail(404, "Not Found");
    };
    match (head.method.as_str(), rest) {
        ("GET", ["runs"]) => list(&world.runs, habits, head),
        ("GET", ["harbor", "runs"]) => list(&world.evaluations, habits, head),
        ("GET", ["runs", id]) => object(world.find(RunKind::Run, id), "Run"),
        ("GET", ["harbor", "runs", id]) => object(world.find(RunKind::Evaluation, id), "Run"),
        ("GET", ["harbor", "runs", id, "trials"]) => match world.trials.get(*id) {
            Some(trials) => Response::json(200, wrapped(trials.iter(), habits, None, None)),
            None => detail(404, "Run not found"),
        },
        ("GET", ["harbor", "runs", id, "trials", trial]) => {
            let trials = world.trials.get(*id);
            object(
                trials.and_then(|all| all.iter().find(|item| item.id == *trial)),
                "Trial",
            )
        }
        ("POST", ["runs", id, "stop"]) => act(world, Action::Stop, id),
        ("POST", ["harbor", "runs", id, "start"]) => act(world, Action::Start, id),
        ("POST", ["harbor", "runs", id, "cancel"]) => act(world, Action::Cancel, id),
        _ => detail(404, "Not Found"),
    }
}

fn act(world: &mut World, action: Action, id: &str) -> Response {
    match world.act(action, id) {
        None => detail(404, "Run not found"),
        Some(Err(why)) => detail(409, &why),
        Some(Ok(text)) => Response::json(200, text),
    }
}

fn object(item: Option<&Item>, what: &str) -> Response {
    match item {
        Some(item) => Response::json(200, item.text.clone()),
        None => detail(404, &format!("{what} not found")),
    }
}

fn list(items: &[Item], habits: &Habits, head: &Head) -> Response {
    let asked: usize = match head.query("limit").map(|text| text.parse()) {
        None => habits.default_limit,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return out_of_range("Input should be a valid integer"),
    };
    let cap = habits.cap.unwrap_or(usize::MAX);
    if habits.refuses_above_cap && asked > cap {
        return out_of_range(&format!("Input should be less than or equal to {cap}"));
    }
    let limit = asked.min(cap);
    let number = |name| head.query(name).and_then(|text| text.parse::<usize>().ok());
    let start = match habits.cursor {
        true => number("cursor").unwrap_or(0),
        false if habits.offset => number("offset").unwrap_or(0),
        false => 0,
    };
    let statuses = if habits.status {
        head.queries("status")
    } else {
        Vec::new()
    };
    let matches =
        |item: &&Item| statuses.is_empty() || statuses.iter().any(|s| has_status(item, s));
    let count = if statuses.is_empty() {
        items.len()
    } else {
        items.iter().filter(matches).count()
    };
    let page = ordered(items, habits.order)
        .filter(matches)
        .skip(start)
        .take(limit);
    let next = start.saturating_add(limit);
    let cursor = (habits.cursor && next < count).then_some(next);
    let total = habits.total.then_some(count);
    Response::json(200, wrapped(page, habits, cursor, total))
}

fn ordered(items: &[Item], order: Order) -> Box<dyn Iterator<Item = &Item> + '_> {
    match order {
        Order::Newest => Box::new(items.iter().rev()),
        Order::Oldest => Box::new(items.iter()),
        Order::Shuffled => {
            let mut all: Vec<&Item> = items.iter().collect();
            all.sort_by_key(|item| hash(item.id.as_bytes()));
            Box::new(all.into_iter())
        }
    }
}

fn has_status(item: &Item, status: &str) -> bool {
    let object: Value = serde_json::from_str(&item.text).unwrap_or_default();
    object["status"].as_str() == Some(status)
}

fn wrapped<'a>(
    items: impl Iterator<Item = &'a Item>,
    habits: &Habits,
    cursor: Option<usize>,
    total: Option<usize>,
) -> String {
    let texts: Vec<&str> = items.map(|item| item.text.as_str()).collect();
    let array = format!("[{}]", texts.join(","));
    let key = match habits.wrap {
        Wrap::Array if !habits.cursor => return array,
        Wrap::Array | Wrap::Items => "items",
        Wrap::Data => "data",
    };
    let cursor = cursor.map_or("null".to_owned(), |at| format!("\"{at}\""));
    let total = total.map_or(String::new(), |n| format!(",\"total\":{n}"));
    format!("{{\"{key}\":{array},\"next_cursor\":{cursor}{total}}}")
}

fn tag(response: &mut Response, head: &Head) {
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

/// Makes FastAPI's error answer.
pub fn detail(status: u16, message: &str) -> Response {
    Response::json(status, json!({ "detail": message }).to_string())
}

fn out_of_range(message: &str) -> Response {
    let problem = json!([{"loc": ["query", "limit"], "msg": message, "type": "less_than_equal"}]);
    Response::json(422, json!({ "detail": problem }).to_string())
}

/// Compresses a body.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// Writes an HTTP date.
pub fn httpdate_of(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}
