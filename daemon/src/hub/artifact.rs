//! Sends files of a run or a trial.
//!
//! Only files that are listed are sent: those that the object itself names, and those of its list of files.

use std::io;
use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use docks_artifacts::source::{ForwardedResponse, SourceError};
use docks_proto::error::ErrorCode;
use docks_proto::file_list::FILES;
use docks_proto::path_encoding::decode_path;
use docks_proto::server_files::ServerFiles;
use headers::{AcceptRanges, ContentLength, ContentRange, ETag, HeaderMapExt};
use http_body_util::BodyExt;

use super::artifact_file::{self, ArtifactFile};
use super::artifact_urls::{ARTIFACTS, ArtifactUrls};
use super::error_response::coded_error;
use super::local_api::LocalApi;
use super::named_files::lists_uri;
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
    match &share.files {
        ArtifactFiles::Directories(dirs) => {
            for dir in dirs {
                let uri = ArtifactUrls::file_uri_below(dir, &below);
                let is_listed = std::str::from_utf8(&text).is_ok_and(|text| lists_uri(text, &uri));
                if is_listed || is_in_its_folder(api, share, &owner, &text, dir, &below).await {
                    let dir = dir.clone();
                    let open = move || artifact_file::open_below(&dir, &below);
                    return local_response(open, headers).await;
                }
            }
            not_found()
        }
        ArtifactFiles::Remote(remote) => {
            let uri_in = |text: &Bytes| {
                let text = std::str::from_utf8(text).ok()?;
                share.urls.remote_uri(text, path.below_runs(), &below)
            };
            let uri = match uri_in(&text) {
                Some(uri) => Some(uri),
                None => {
                    let list = list_of_files(api, share, path.owner).await;
                    list.and_then(|list| uri_in(&list))
                }
            };
            match uri {
                Some(uri) if uri.starts_with("file://") => {
                    local_response(move || open_of_server(&uri), headers).await
                }
                Some(uri) => remote_response(api, remote, &uri, headers).await,
                None => not_found(),
            }
        }
    }
}

/// Returns the list of the files of a run or a trial, as the daemon has it.
async fn list_of_files(api: &LocalApi, share: &OpenShare, owner: &str) -> Option<Bytes> {
    let list = format!("{owner}/{FILES}").parse::<Uri>().ok()?;
    let list = api.call(share, Method::GET, &list, &HeaderMap::new()).await;
    let is_list = list.status() == StatusCode::OK;
    let list = list.into_body().collect().await.ok()?;
    is_list.then(|| list.to_bytes())
}

/// Opens a file of a trial that runs, in the data directory of a `harbor serve` of this user. Blocks.
fn open_of_server(uri: &str) -> io::Result<ArtifactFile> {
    let path = decode_path(uri.trim_start_matches("file://"));
    let files = ServerFiles::of_file(&path)?;
    let below = path.strip_prefix(files.rollouts());
    let below = below.map_err(|_| io::ErrorKind::NotFound)?;
    artifact_file::open_below(files.rollouts(), below)
}

/// Sends what the mirrored remote serves at an address, with the credentials of its profile.
async fn remote_response(
    api: &LocalApi,
    remote: &MirroredRemote,
    uri: &str,
    headers: &HeaderMap,
) -> Response {
    let sources = api.artifact_sources(remote);
    match sources.http.forward(uri, headers).await {
        Ok(forwarded) => forwarded_response(forwarded, headers),
        Err(SourceError::Http(error)) if error.is_absent() => not_found(),
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

fn forwarded_response(forwarded: ForwardedResponse, headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = forwarded.status;
    *response.headers_mut() = forwarded.headers;
    let has_content = matches!(
        forwarded.status,
        StatusCode::OK | StatusCode::PARTIAL_CONTENT
    );
    let etag = response.headers().typed_get::<ETag>();
    // `harbor serve` ignores the condition.
    let is_known = etag.is_some_and(|etag| is_not_modified(headers, &etag));
    if has_content && !is_known {
        mark_as_binary(response.headers_mut());
        *response.body_mut() = Body::from_stream(forwarded.body);
        return response;
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if has_content {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_RANGE);
    }
    response
}

async fn local_response(
    open: impl FnOnce() -> io::Result<ArtifactFile> + Send + 'static,
    headers: &HeaderMap,
) -> Response {
    match tokio::task::spawn_blocking(open).await {
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
}
