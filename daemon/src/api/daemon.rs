//! The routes about the daemon itself: sign of life, status, sync, shutdown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use docks_proto::mirrors::MirrorId;
use docks_proto::status::{
    DaemonStatus, ProcessStatus, RemoteStatus, RowCounts, SyncFailure, SyncProgress,
};
use docks_proto::time::UnixMs;
use futures_util::future::join_all;
use futures_util::stream::unfold;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Service;
use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use crate::hooks::artifact_prefetch;
use crate::registry::MirroredRemote;
use crate::{limits, process};
use docksd_remote::ChangeDetection;

/// How long the status waits for the settings, and for the rows of a mirror.
const STATS_PATIENCE: Duration = Duration::from_secs(5);

/// Lines of progress that are buffered for a slow client.
const MAX_BUFFERED_LINES: usize = 16;

/// `GET /v1/ping`: takes no lock and touches no disk, so that it answers as long as the runtime does.
pub(super) async fn ping() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /v1/status`
pub(super) async fn status(State(service): State<Arc<Service>>) -> Json<DaemonStatus> {
    // A status without the latest settings is better than none.
    drop(timeout(STATS_PATIENCE, service.registry.refresh()).await);
    let open_remotes = service.registry.open_remotes();
    // Side by side, so that mirrors that do not answer cost no more than one of them.
    let statuses = open_remotes
        .iter()
        .map(|remote| remote_status(&service, remote));
    let remotes = join_all(statuses).await;
    let places = &service.config.paths;
    Json(DaemonStatus {
        schema_version: 1,
        pid: std::process::id(),
        version: docks_proto::VERSION.to_owned(),
        protocol: docks_proto::PROTOCOL,
        sqlite_version: docksd_mirror::sqlite_version().to_owned(),
        socket: places.socket.display().to_string(),
        log_dir: places.log_dir().display().to_string(),
        uptime_s: service
            .monotonic_time()
            .saturating_sub(service.started)
            .as_secs(),
        resident_bytes: resident_bytes(),
        idle_exit_s: service.config.idle_exit.after().map(|t| t.as_secs()),
        remotes,
        closed_mirrors: timeout(STATS_PATIENCE, service.registry.closed_mirrors())
            .await
            .unwrap_or_default(),
        schedules: service.schedule.status(&open_remotes).await,
        hub: service.hub_status.as_ref().map(|status| status()),
        process: process_status(&service),
    })
}

fn process_status(service: &Service) -> ProcessStatus {
    let program = std::env::current_exe().ok();
    ProcessStatus {
        program: program.map(|path| path.display().to_string()),
        nice: process::unusual_nice_level(),
        limits: limits::remaining_limits(),
        proxies: service.config.proxies.status(),
    }
}

async fn remote_status(service: &Service, remote: &MirroredRemote) -> RemoteStatus {
    let health = remote.sync.health();
    let stats = timeout(STATS_PATIENCE, remote.mirror.stats()).await;
    let text = |at: Option<UnixMs>| at.map(UnixMs::rfc3339);
    // Status must also report a mirror that cannot be read.
    let problem = match &stats {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(docks_proto::error::error_chain(error)),
        Err(_) => Some("the mirror does not answer; its disk may hang".to_owned()),
    };
    let unreadable = problem.map(|message| SyncFailure {
        at: service.wall_time().rfc3339(),
        message,
        consecutive: 1,
    });
    let stats = stats.ok().and_then(Result::ok).unwrap_or_default();
    let rebuilt = timeout(STATS_PATIENCE, remote.mirror.last_rebuild()).await;
    let rebuilt = rebuilt.ok().and_then(Result::ok).flatten();
    let prefetch = timeout(STATS_PATIENCE, artifact_prefetch::status(&remote.mirror)).await;
    let prefetch = prefetch.ok().and_then(Result::ok).flatten();
    let unused = remote.unused_for(service.monotonic_time());
    let last_used = service.wall_time().minus(unused);
    let (following, watched_folders, not_followed) = match health.change_detection {
        ChangeDetection::Polling => ("polling", None, None),
        ChangeDetection::Deltas => ("deltas", None, None),
        ChangeDetection::Events { folders } => ("events", Some(folders), None),
        ChangeDetection::Rescans { reason: why } => ("rescans", None, Some(why)),
    };
    RemoteStatus {
        profiles: service.registry.profile_names(remote),
        kind: remote.kind.to_owned(),
        location: remote.location(),
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
        notice: remote.notices.current(),
        capabilities: health.capabilities,
        database: remote.database.display().to_string(),
        database_bytes: stats.bytes,
        set_aside: remote
            .open_report
            .set_aside
            .as_ref()
            .map(|p| p.display().to_string()),
        rebuilt,
        prefetch,
        mirror: Some(MirrorId::new(&remote.id).handle()),
        owner: Some(remote.id.owner.kind().to_owned()),
        last_used: text(Some(last_used)),
    }
}

/// Reads the resident memory from `/proc`, where Linux counts it in pages.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// `POST /v1/sync`
pub(super) async fn sync(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let full = parameters.flag("full").map_err(bad_parameter)?;
    let remote = service.open_remote(&headers, None).await?;
    let (sender, receiver) = mpsc::channel(MAX_BUFFERED_LINES);
    // Continues when the client disconnects: the sync was requested to be done.
    tokio::spawn(catch_up(service, headers, remote, full, sender));
    let state = (receiver, false);
    let lines = unfold(state, |(mut receiver, finished)| async move {
        if finished {
            return None;
        }
        let progress = receiver.recv().await.unwrap_or_else(interrupted);
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

/// Catches up, and once more if the mirror turned out to be damaged: with the one that replaces it.
async fn catch_up(
    service: Arc<Service>,
    headers: HeaderMap,
    remote: Arc<MirroredRemote>,
    full: bool,
    lines: mpsc::Sender<SyncProgress>,
) {
    let (sender, mut receiver) = mpsc::channel(MAX_BUFFERED_LINES);
    let syncing = remote.clone();
    tokio::spawn(async move { syncing.sync.catch_up(full, sender).await });
    loop {
        let progress = receiver.recv().await.unwrap_or_else(interrupted);
        let has_failed = progress.finished && progress.error.is_some();
        if has_failed && *remote.mirror.damage().borrow() {
            break;
        }
        let finished = progress.finished;
        // Nobody may be reading any more.
        drop(lines.send(progress).await);
        if finished {
            return;
        }
    }
    service.registry.wait_until_rebuilt().await;
    if let Ok(remote) = service.open_remote(&headers, None).await {
        remote.sync.catch_up(full, lines).await;
    }
}

fn line(progress: &SyncProgress) -> Bytes {
    let mut line = serde_json::to_vec(progress).expect("it contains only text and numbers");
    line.push(b'\n');
    line.into()
}

/// The last line when the sync engine stopped before the work was done.
fn interrupted() -> SyncProgress {
    let (_, detail) = ApiError::Sync(docksd_sync::SyncError::Stopped).status_and_detail();
    SyncProgress {
        done: 0,
        left: 0,
        doing: "shutting down".to_owned(),
        finished: true,
        error: Some(detail),
        rows: RowCounts::default(),
    }
}

/// `POST /v1/shutdown`
pub(super) async fn shutdown(State(service): State<Arc<Service>>) -> StatusCode {
    service.shutdown.request("a client requested it");
    StatusCode::ACCEPTED
}
