//! Sends files of a run or a trial.
//!
//! Only files that are listed are sent: those that the object itself names, and those in the folder of the
//! trial or job.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use docks_artifacts::source::{OpenRequest, OpenResponse};
use docks_proto::error::ErrorCode;
use headers::{AcceptRanges, ContentLength, ContentRange, HeaderMapExt};
use http_body_util::BodyExt;

use super::artifact_file::{self, ArtifactFile};
use super::artifact_urls::{ARTIFACTS, ArtifactUrls};
use super::error_response::coded_error;
use super::local_api::LocalApi;
use super::preconditions::is_not_modified;
use super::range::{RequestedRange, requested_range};
use super::share::{ArtifactFiles, OpenShare};
use crate::api::{OwnerFolder, owner_folder};
use crate::registry::MirroredRemote;
use docksd_harbor::is_listed;

/// A request path that names a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ArtifactPath<'a> {
    /// Path of the object that owns the file.
    owner: &'a str,
    /// Path of the file below the jobs directory, percent-encoded.
    below: &'a str,
    /// The whole path.
    whole: &'a str,
}

impl<'a> ArtifactPath<'a> {
    /// Parses a request path; `None` if it does not name a file.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        // After the empty segment: tenants, the tenant, harbor, runs, the run, …
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let before = match segments[..] {
            [_, _, "harbor", "runs", _, ARTIFACTS, _, ..] => 5,
            [_, _, "harbor", "runs", _, "trials", _, ARTIFACTS, _, ..] => 7,
            _ => return None,
        };
        let length: usize = segments[..before].iter().map(|s| s.len() + 1).sum();
        Some(Self {
            owner: &path[..length],
            below: &path[length + 1 + ARTIFACTS.len() + 1..],
            whole: path,
        })
    }

    /// Returns what follows `…/harbor/runs/`.
    fn below_runs(&self) -> &'a str {
        // After the empty segment: tenants, the tenant, harbor, runs.
        self.whole.splitn(6, '/').nth(5).unwrap_or_default()
    }
}

/// Sends an artifact of a share, or a part of it.
pub(super) async fn respond(
    api: &LocalApi,
    share: &OpenShare,
    path: ArtifactPath<'_>,
    headers: &HeaderMap,
) -> Response {
    let Some(below) = artifact_file::path_below(path.below) else {
        return not_found();
    };
    let Ok(owner) = path.owner.parse::<Uri>() else {
        return not_found();
    };
    let none = HeaderMap::new();
    let object = api.call(share, Method::GET, &owner, &none).await;
    if object.status() != StatusCode::OK {
        return object;
    }
    let Ok(text) = object.into_body().collect().await else {
        return not_found();
    };
    let text = text.to_bytes();
    let names = |uri: &str| contains_value(&text, format!("\"{uri}\"").as_bytes());
    match &share.files {
        ArtifactFiles::Directories(dirs) => {
            for dir in dirs {
                if names(&ArtifactUrls::file_uri_below(dir, &below))
                    || is_in_its_folder(api, share, &owner, &text, dir, &below).await
                {
                    return local_response(dir.clone(), below, headers).await;
                }
            }
            not_found()
        }
        ArtifactFiles::Remote(remote) => match share.urls.remote_uri(path.below_runs()) {
            Some(uri) if names(&uri) => remote_response(api, remote, &uri).await,
            _ => not_found(),
        },
    }
}

/// Sends what the mirrored remote serves at an address, with the credentials of its profile.
async fn remote_response(api: &LocalApi, remote: &MirroredRemote, uri: &str) -> Response {
    let sources = api.artifact_sources(remote);
    let request = OpenRequest {
        uri,
        resume: None,
        unless: None,
    };
    match sources.open(request).await {
        Ok(OpenResponse::Opened(opened)) => {
            let mut response = Response::new(Body::from_stream(opened.body));
            let head = response.headers_mut();
            mark_as_binary(head);
            if let Some(size_bytes) = opened.size_bytes {
                head.typed_insert(ContentLength(size_bytes));
            }
            response
        }
        Ok(OpenResponse::Unchanged) => not_found(),
        Err(error) => {
            let error = docks_proto::error::error_chain(&error);
            tracing::warn!(error, "could not fetch an artifact of a shared profile");
            let message = "The remote of this hub did not send the artifact.";
            let hint = "Try again later; the log of the hub has the reason.";
            let code = ErrorCode::RemoteUnreachable;
            coded_error(StatusCode::BAD_GATEWAY, code, message, hint)
        }
    }
}

async fn local_response(dir: PathBuf, below: PathBuf, headers: &HeaderMap) -> Response {
    let opening = tokio::task::spawn_blocking(move || artifact_file::open_below(&dir, &below));
    match opening.await {
        Ok(Ok(file)) => file_response(file, headers),
        // It existed when the object was read. A retry, for example, deletes a trial's folder.
        Ok(Err(error)) => {
            tracing::debug!(%error, "could not open an artifact");
            not_found()
        }
        Err(_) => not_found(),
    }
}

/// Whether a path is that of a file in the folder of a trial or a job, whose object is `text`.
async fn is_in_its_folder(
    api: &LocalApi,
    share: &OpenShare,
    owner: &Uri,
    text: &[u8],
    jobs: &Path,
    below: &Path,
) -> bool {
    let text = String::from_utf8_lossy(text);
    let folder = match owner.path().rsplit_once("/trials/") {
        None => owner_folder(&text, None),
        Some((run, _)) => {
            let Ok(run) = run.parse::<Uri>() else {
                return false;
            };
            let none = HeaderMap::new();
            let run = api.call(share, Method::GET, &run, &none).await;
            let is_run = run.status() == StatusCode::OK;
            let run = run.into_body().collect().await;
            let run = run.ok().filter(|_| is_run).map(|run| run.to_bytes());
            run.and_then(|run| owner_folder(&String::from_utf8_lossy(&run), Some(&text)))
        }
    };
    let Some(OwnerFolder { owner, path }) = folder else {
        return false;
    };
    let (dirs, file) = ([jobs.to_owned()], jobs.join(below));
    let looking = tokio::task::spawn_blocking(move || is_listed(&dirs, &path, owner, &file));
    looking.await.unwrap_or(false)
}

/// Whether an object has a quoted text as a whole value.
fn contains_value(object: &[u8], quoted: &[u8]) -> bool {
    object
        .windows(quoted.len())
        .enumerate()
        .any(|(at, window)| window == quoted && (at == 0 || object[at - 1] != b'\\'))
}

fn file_response(file: ArtifactFile, headers: &HeaderMap) -> Response {
    let (size_bytes, etag) = (file.size_bytes, file.etag.clone());
    let mut response = Response::new(Body::empty());
    let head = response.headers_mut();
    head.typed_insert(etag.clone());
    head.typed_insert(AcceptRanges::bytes());
    if is_not_modified(headers, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let (first, count) = match requested_range(headers, size_bytes, &etag) {
        RequestedRange::Whole => (0, size_bytes),
        RequestedRange::Bytes { first, last } => {
            let range = ContentRange::bytes(first..=last, size_bytes);
            head.typed_insert(range.expect("the range is within the file"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (first, last - first + 1)
        }
        RequestedRange::Unsatisfiable => {
            head.typed_insert(ContentRange::unsatisfied_bytes(size_bytes));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return response;
        }
    };
    let head = response.headers_mut();
    mark_as_binary(head);
    head.typed_insert(ContentLength(count));
    *response.body_mut() = Body::from_stream(file.stream(first, count));
    response
}

/// A browser must not interpret what an agent wrote.
fn mark_as_binary(head: &mut HeaderMap) {
    let binary = HeaderValue::from_static("application/octet-stream");
    head.insert(header::CONTENT_TYPE, binary);
    let nosniff = HeaderValue::from_static("nosniff");
    head.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
}

fn not_found() -> Response {
    let message = "No such artifact.";
    let hint = "The URL of an artifact is in the run or trial that it belongs to.";
    coded_error(StatusCode::NOT_FOUND, ErrorCode::NotFound, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_file_contains_its_owner() {
        let path = |owner: &'static str, below, whole| {
            Some(ArtifactPath {
                owner,
                below,
                whole,
            })
        };
        let run = "/tenants/local/harbor/runs/r%2F1";
        let trial = "/tenants/local/harbor/runs/r/trials/artifacts";
        let of_run = format!("{run}/artifacts/j/a");
        assert_eq!(ArtifactPath::parse(&of_run), path(run, "j/a", &of_run));
        let of_trial = format!("{trial}/artifacts/j/../a");
        assert_eq!(
            ArtifactPath::parse(&of_trial),
            path(trial, "j/../a", &of_trial)
        );
        for other in [run, trial, "/tenants/local/runs/r/artifacts/j", "/"] {
            assert_eq!(ArtifactPath::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_uri_inside_a_message_is_not_a_value() {
        let quoted = b"\"file:///j/a\"";
        assert!(contains_value(br#"{"u":"file:///j/a"}"#, quoted));
        assert!(!contains_value(
            br#"{"u":"no \"file:///j/a\" there"}"#,
            quoted
        ));
        assert!(!contains_value(br#"{"u":"file:///j/ab"}"#, quoted));
    }
}
