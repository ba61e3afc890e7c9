//! The daemon's own routes: status, sync, shutdown.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use docks_proto::status::{DaemonStatus, RemoteStatus, RowCounts, SyncFailure, SyncProgress};
use docks_proto::time::UnixMs;
use futures_util::stream::unfold;
use tokio::sync::mpsc;

use super::Service;
use super::error::ApiError;
use super::extract;
use crate::registry::MirroredRemote;
use docksd_remote::ChangeDetection;

/// Lines of progress that may wait for a slow reader.
const LINES_WAITING: usize = 16;

/// `GET /v1/status`
pub(super) async fn status(State(service): State<Arc<Service>>) -> Json<DaemonStatus> {
    let sources = service.registry.open_remotes();
    let mut remotes = Vec::with_capacity(sources.len());
    for source in &sources {
        remotes.push(remote_status(&service, source).await);
    }
    let places = &service.config.places;
    Json(DaemonStatus {
        schema_version: 1,
        pid: std::process::id(),
        version: docks_proto::VERSION.to_owned(),
        protocol: docks_proto::PROTOCOL,
        sqlite_version: docksd_mirror::sqlite_version().to_owned(),
        socket: places.socket.display().to_string(),
        log_dir: places.log_dir().display().to_string(),
        uptime_s: service
            .monotonic()
            .saturating_sub(service.started)
            .as_secs(),
        resident_bytes: resident_bytes(),
        idle_exit_s: service.config.idle_exit.after().map(|t| t.as_secs()),
        remotes,
        schedules: service.schedule.status(&sources).await,
        hub: service.hub.as_ref().map(|counts| counts.status()),
    })
}

async fn remote_status(service: &Service, source: &MirroredRemote) -> RemoteStatus {
    let health = source.sync.health();
    let stats = source.mirror.stats().await;
    let text = |at: Option<UnixMs>| at.map(UnixMs::rfc3339);
    // A mirror that cannot even be counted is what status is asked for.
    let unreadable = stats.as_ref().err().map(|error| SyncFailure {
        at: service.wall().rfc3339(),
        message: docks_proto::error::error_chain(error),
        consecutive: 1,
    });
    let stats = stats.unwrap_or_default();
    let (following, watched_folders, not_followed) = match health.change_detection {
        ChangeDetection::Polling => ("polling", None, None),
        ChangeDetection::Events { folders } => ("events", Some(folders), None),
        ChangeDetection::Rescans { reason: why } => ("rescans", None, Some(why)),
    };
    RemoteStatus {
        profiles: service.registry.profile_names(&source.target),
        kind: source.kind.to_owned(),
        location: source.location(),
        rows: stats.rows,
        last_success: text(health.last_success),
        last_error: unreadable.or(health.last_error),
        next_due: text(health.next_due),
        next_step: health.next_step,
        circuit: health.circuit.to_owned(),
        backlog: health.backlog,
        requests_last_hour: health.requests_last_hour,
        not_modified_last_hour: health.not_modified_last_hour,
        budget_per_minute: health.budget_per_minute,
        budget_left: health.budget_left,
        last_sweep: text(health.last_sweep),
        following: Some(following.to_owned()),
        watched_folders,
        not_followed,
        capabilities: health.capabilities,
        database: source.database.display().to_string(),
        database_bytes: stats.bytes,
        set_aside: source
            .opened
            .set_aside
            .as_ref()
            .map(|p| p.display().to_string()),
    }
}

/// Reads the resident memory from where Linux shows it, in pages.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// `POST /v1/sync`
pub(super) async fn sync(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let full = extract::parameters(&uri)?
        .flag("full")
        .map_err(extract::bad_parameter)?;
    let source = service.source_for_sync(&headers).await?;
    let (sender, receiver) = mpsc::channel(LINES_WAITING);
    tokio::spawn(async move {
        // Goes on when the reader hangs up: whoever asked for a sync wants it done.
        source.sync.catch_up(full, sender).await;
    });
    let state = (receiver, false);
    let lines = unfold(state, |(mut receiver, finished)| async move {
        if finished {
            return None;
        }
        let progress = receiver.recv().await.unwrap_or_else(broken_off);
        let finished = progress.finished;
        Some((Ok::<_, Infallible>(line(&progress)), (receiver, finished)))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    Ok(response)
}

fn line(progress: &SyncProgress) -> Bytes {
    let mut line = serde_json::to_vec(progress).expect("progress holds only numbers and texts");
    line.push(b'\n');
    line.into()
}

/// The last line when the engine ended before the work did.
fn broken_off() -> SyncProgress {
    let (_, detail) = ApiError::Sync(docksd_sync::SyncError::Stopped).told();
    SyncProgress {
        done: 0,
        left: 0,
        doing: "ending".to_owned(),
        finished: true,
        error: Some(detail),
        rows: RowCounts::default(),
    }
}

/// `POST /v1/shutdown`
pub(super) async fn shutdown(State(service): State<Arc<Service>>) -> StatusCode {
    service.shutdown.request("a client asked for it");
    StatusCode::ACCEPTED
}

impl Service {
    /// Finds the remote of a sync, which has no tenant in its path: an address needs one.
    async fn source_for_sync(&self, headers: &HeaderMap) -> Result<Arc<MirroredRemote>, ApiError> {
        self.source(headers, None).await
    }
}
