//! The routes of the fake server.

use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{params, params_from_iter};
use serde_json::{Map, Value, json};

use super::data::{FakeAttempt, ServerData};
use crate::fake_remote::http1::{RequestHead, Response};

/// Rows of one statement, of which the real server returns no more.
const MAX_ROWS: usize = 10_000;

pub(super) fn answer(data: &mut ServerData, head: &RequestHead, body: &[u8]) -> Response {
    if let Some(status) = data.refuses_with {
        return problem(status, "refused");
    }
    let path: Vec<&str> = head.path().split('/').skip(1).collect();
    if path == ["openapi.json"] {
        let document = json!({"info": {"title": "Harbor API", "version": data.version}});
        return Response::json(200, document.to_string());
    }
    let key = data.key.as_ref().map(|key| format!("Bearer {key}"));
    if key.is_some() && head.header("authorization") != key.as_deref() {
        return problem(401, "A valid bearer token is required.");
    }
    match (head.method.as_str(), path.as_slice()) {
        ("POST", ["query"]) => query(data, body),
        ("GET", ["rollouts"]) => running(data, head),
        ("GET", ["rollouts", id]) => rollout(data, id),
        ("POST", ["rollouts", id, "retry"]) => retry(data, id),
        ("POST", ["jobs", id, command]) => job_command(data, id, command),
        ("GET", ["download"]) => download(data, head),
        _ => problem(404, "Not Found"),
    }
}

fn problem(status: u16, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status, "detail": detail});
    let mut response = Response::new(status);
    response.header("content-type", "application/problem+json");
    response.body = body.to_string().into_bytes();
    response
}

fn query(data: &ServerData, body: &[u8]) -> Response {
    let statements: Vec<Value> = serde_json::from_slice(body).unwrap();
    let results: Vec<Value> = statements
        .iter()
        .map(|statement| match rows(data, statement) {
            Ok(rows) if rows.len() > MAX_ROWS => json!({"error_v2": {"message": "too many rows"}}),
            Ok(rows) => json!({"rows": rows}),
            Err(error) => json!({"error_v2": {"message": error.to_string()}}),
        })
        .collect();
    Response::json(200, json!({"results": results}).to_string())
}

fn rows(data: &ServerData, statement: &Value) -> rusqlite::Result<Vec<Value>> {
    let parts = statement.as_array().unwrap();
    let parameters = parts[1..].iter().map(|value| match value {
        Value::String(text) => SqlValue::Text(text.clone()),
        Value::Number(number) => SqlValue::Integer(number.as_i64().unwrap_or_default()),
        _ => SqlValue::Null,
    });
    let mut statement = data.tables.prepare(parts[0].as_str().unwrap_or_default())?;
    let names: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut rows = statement.query(params_from_iter(parameters))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut object = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = match row.get_ref(at)? {
                ValueRef::Integer(number) => json!(number),
                ValueRef::Real(number) => json!(number),
                ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                _ => Value::Null,
            };
            object.insert(name.clone(), value);
        }
        found.push(Value::Object(object));
    }
    Ok(found)
}

/// Lists the attempts of a job that run; the phase is newer than the tables.
fn running(data: &ServerData, head: &RequestHead) -> Response {
    let job = head.query("job_ids").unwrap_or_default();
    let statement = json!([
        "SELECT id, state FROM rollout WHERE job_id = ? AND state IN ('running', 'cancelling') ORDER BY id",
        job
    ]);
    let mut items = rows(data, &statement).unwrap();
    for item in &mut items {
        let id = item["id"].as_str().unwrap_or_default().to_owned();
        item["phase"] = json!(data.phases.get(&id));
        item["error_type"] = Value::Null;
        let none = || json!({"n_input_tokens": null, "n_output_tokens": null});
        item["usage"] = data.usages.get(&id).cloned().unwrap_or_else(none);
    }
    Response::json(
        200,
        json!({"items": items, "next_page_token": ""}).to_string(),
    )
}

fn rollout(data: &ServerData, id: &str) -> Response {
    let columns = "id, job_id, name, state, retry_ids";
    let statement = json!([format!("SELECT {columns} FROM rollout WHERE id = ?"), id]);
    let found = rows(data, &statement).unwrap();
    let Some(row) = found.first() else {
        return problem(404, "Unknown rollout ID");
    };
    let mut rollout = row.clone();
    let retry_ids = row["retry_ids"].as_str().unwrap_or_default();
    rollout["retry_ids"] = serde_json::from_str(retry_ids).unwrap();
    let files = json!([
        "SELECT path, uri FROM rollout_artifact WHERE rollout_id = ?",
        id
    ]);
    let files = rows(data, &files).unwrap();
    let by_path = files.iter().map(|file| {
        (
            file["path"].as_str().unwrap_or_default().to_owned(),
            file["uri"].clone(),
        )
    });
    rollout["artifacts"] = Value::Object(by_path.collect());
    rollout["result"] = data.results.get(id).cloned().unwrap_or(Value::Null);
    Response::json(200, json!({"rollout": rollout}).to_string())
}

fn retry(data: &mut ServerData, id: &str) -> Response {
    let statement = json!([
        "SELECT job_id, retry_ids, task_name FROM rollout WHERE id = ?",
        id
    ]);
    let found = rows(data, &statement).unwrap();
    let Some(row) = found.first() else {
        return problem(404, "Unknown rollout ID");
    };
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let mut before: Vec<String> = serde_json::from_str(&text("retry_ids")).unwrap();
    before.reverse();
    let next = FakeAttempt {
        // As long as the first one, which is a UUID where that matters.
        id: format!(
            "{}r{}",
            &before[0][..before[0].len().saturating_sub(2)],
            before.len()
        ),
        before,
        state: "queued",
        task: text("task_name"),
        started: false,
        ..FakeAttempt::default()
    };
    data.attempt(&text("job_id"), &next);
    set_job_state(data, &text("job_id"), "queued");
    Response::json(200, json!({"rollout_id": next.id}).to_string())
}

fn job_command(data: &mut ServerData, id: &str, command: &str) -> Response {
    let known = rows(data, &json!(["SELECT name FROM job WHERE id = ?", id])).unwrap();
    if known.is_empty() {
        return problem(404, "Unknown job ID");
    }
    let (from, to, job) = match command {
        "cancel" => ("'queued', 'running', 'paused'", "cancelled", "cancelled"),
        "pause" => ("'queued'", "paused", "paused"),
        "resume" => ("'paused'", "queued", "queued"),
        _ => return problem(404, "Not Found"),
    };
    let sql = format!("UPDATE rollout SET state = ? WHERE job_id = ? AND state IN ({from})");
    let changed = data.tables.execute(&sql, params![to, id]).unwrap();
    if changed > 0 {
        set_job_state(data, id, job);
    }
    Response::json(200, json!({"job": {"id": id}}).to_string())
}

fn set_job_state(data: &mut ServerData, id: &str, state: &str) {
    let found = rows(data, &json!(["SELECT name FROM job WHERE id = ?", id])).unwrap();
    let name = found[0]["name"].as_str().unwrap_or_default().to_owned();
    data.job(id, &name, state);
    // The attempts changed at the same moment.
    let sql = "UPDATE rollout SET updated_at = (SELECT updated_at FROM job WHERE id = ?1) WHERE job_id = ?1";
    data.tables.execute(sql, [id]).unwrap();
}

/// Returns a file, or the part of it that is asked for.
fn download(data: &ServerData, head: &RequestHead) -> Response {
    let uri = head.query("uri").unwrap_or_default();
    let content = format!(
        "content of {}\n{}",
        uri.rsplit('/').next().unwrap_or_default(),
        "x".repeat(data.padding_bytes)
    );
    let from = head.header("range").and_then(|range| {
        let from = range.strip_prefix("bytes=")?.strip_suffix('-')?;
        from.parse::<usize>()
            .ok()
            .filter(|from| *from < content.len())
    });
    let mut response = Response::new(if from.is_some() { 206 } else { 200 });
    response.header("etag", "\"fake\"");
    response.header("accept-ranges", "bytes");
    if let Some(from) = from {
        let size = content.len();
        response.header(
            "content-range",
            &format!("bytes {from}-{}/{size}", size - 1),
        );
    }
    response.body = content.into_bytes().split_off(from.unwrap_or(0));
    response
}
