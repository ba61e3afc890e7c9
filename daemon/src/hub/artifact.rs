//! Files of a run or a trial, for those who have its object.
//!
//! Only what the object itself names is sent: the list of artifacts decides, not the path.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use docks_proto::error::ErrorCode;
use http_body_util::BodyExt;

use super::artifact_file::{self, Opened};
use super::artifact_urls::ARTIFACTS;
use super::encoded_response::is_known;
use super::handler::{Answerer, coded};
use super::range::{Part, part};

/// A file that a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// Path of the object that owns it.
    owner: &'a str,
    /// Path of the file below the jobs directory, percent-encoded.
    below: &'a str,
}

/// Reads a path; `None` when it is none of a file.
pub(super) fn asked(path: &str) -> Option<Asked<'_>> {
    // Behind the empty segment: tenants, the tenant, harbor, runs, the run, …
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let before = match segments[..] {
        [_, _, "harbor", "runs", _, ARTIFACTS, _, ..] => 5,
        [_, _, "harbor", "runs", _, "trials", _, ARTIFACTS, _, ..] => 7,
        _ => return None,
    };
    let length: usize = segments[..before].iter().map(|s| s.len() + 1).sum();
    Some(Asked {
        owner: &path[..length],
        below: &path[length + 1 + ARTIFACTS.len() + 1..],
    })
}

impl Answerer {
    /// Sends a file, or a part of it.
    pub(super) async fn artifact(&self, asked: Asked<'_>, headers: &HeaderMap) -> Response {
        let Some(below) = artifact_file::path_below(asked.below) else {
            return none();
        };
        let Ok(owner) = asked.owner.parse::<Uri>() else {
            return none();
        };
        let object = self.ask(Method::GET, &owner, &HeaderMap::new()).await;
        if object.status() != StatusCode::OK {
            return object;
        }
        let uri = format!("\"{}\"", self.addresses.own(&below));
        let text = object.into_body().collect().await;
        if !text.is_ok_and(|text| holds(&text.to_bytes(), uri.as_bytes())) {
            return none();
        }
        let root = self.hub().jobs.clone();
        let opening = tokio::task::spawn_blocking(move || artifact_file::open_below(&root, &below));
        match opening.await {
            Ok(Ok(opened)) => send(opened, headers),
            // It was there when the object was made: a retry deletes a trial's folder.
            Ok(Err(error)) => {
                tracing::debug!(%error, "an artifact cannot be opened");
                none()
            }
            Err(_) => none(),
        }
    }
}

/// Tells whether an object has a text as a value of its own.
fn holds(object: &[u8], quoted: &[u8]) -> bool {
    object
        .windows(quoted.len())
        .enumerate()
        .any(|(at, window)| window == quoted && (at == 0 || object[at - 1] != b'\\'))
}

fn send(opened: Opened, headers: &HeaderMap) -> Response {
    let (size_bytes, tag) = (opened.size_bytes, opened.tag.clone());
    let mut response = Response::new(Body::empty());
    let head = response.headers_mut();
    head.insert(header::ETAG, tag.clone());
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if is_known(headers, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let (first, count) = match part(headers, size_bytes, &tag) {
        Part::Whole => (0, size_bytes),
        Part::Bytes { first, last } => {
            let range = format!("bytes {first}-{last}/{size_bytes}");
            insert(&mut response, header::CONTENT_RANGE, &range);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (first, last - first + 1)
        }
        Part::Beyond => {
            let range = format!("bytes */{size_bytes}");
            insert(&mut response, header::CONTENT_RANGE, &range);
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return response;
        }
    };
    // What an agent wrote is data, whatever a browser would make of it.
    insert(
        &mut response,
        header::CONTENT_TYPE,
        "application/octet-stream",
    );
    insert(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(&mut response, header::CONTENT_LENGTH, &count.to_string());
    *response.body_mut() = Body::from_stream(opened.part(first, count));
    response
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("words and numbers are ASCII");
    response.headers_mut().insert(name, value);
}

fn none() -> Response {
    let why = "There is no such artifact.";
    let hint = "An artifact's address is in the run or trial that left it.";
    coded(StatusCode::NOT_FOUND, ErrorCode::NotFound, why, Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_file_is_in_its_path() {
        let of = |owner, below| Some(Asked { owner, below });
        let run = "/tenants/local/harbor/runs/r%2F1";
        let trial = "/tenants/local/harbor/runs/r/trials/artifacts";
        assert_eq!(asked(&format!("{run}/artifacts/j/a")), of(run, "j/a"));
        assert_eq!(
            asked(&format!("{trial}/artifacts/j/../a")),
            of(trial, "j/../a")
        );
        for none in [run, trial, "/tenants/local/runs/r/artifacts/j", "/"] {
            assert_eq!(asked(none), None, "{none}");
        }
    }

    #[test]
    fn a_text_inside_of_a_message_is_no_address() {
        let quoted = b"\"file:///j/a\"";
        assert!(holds(br#"{"u":"file:///j/a"}"#, quoted));
        assert!(!holds(br#"{"u":"no \"file:///j/a\" there"}"#, quoted));
        assert!(!holds(br#"{"u":"file:///j/ab"}"#, quoted));
    }
}
