//! Status and code of each failure.

use super::*;
use docks_proto::client::SendError;
use docks_proto::error::RemoteErrorBody;
use docksd_remote::RemoteError;

fn status(status: u16) -> SyncError {
    SyncError::from(RemoteError::Status {
        status,
        body: Box::new(RemoteErrorBody::default()),
        retry_after: Some(Duration::from_secs(7)),
    })
}

fn status_and_code(error: ApiError) -> (u16, ErrorCode) {
    let (status, detail) = error.status_and_detail();
    assert!(detail.message.ends_with('.'), "{}", detail.message);
    (status.as_u16(), detail.code)
}

#[test]
fn each_failure_of_the_remote_has_its_own_code() {
    let timeout = || {
        SyncError::from(RemoteError::Send(SendError::Timeout {
            to: "https://a.example".into(),
            after_ms: 1,
        }))
    };
    for (error, expected) in [
        (status(401), (401, ErrorCode::Unauthorized)),
        (status(403), (403, ErrorCode::Forbidden)),
        (status(404), (404, ErrorCode::NotFound)),
        (status(409), (409, ErrorCode::Unsupported)),
        (status(422), (422, ErrorCode::InvalidRequest)),
        (status(429), (429, ErrorCode::RateLimited)),
        (status(500), (502, ErrorCode::RemoteBroken)),
        (timeout(), (504, ErrorCode::RemoteUnreachable)),
        (SyncError::Stopped, (503, ErrorCode::ShuttingDown)),
    ] {
        assert_eq!(status_and_code(ApiError::Sync(error)), expected);
    }
    assert_eq!(
        status_and_code(ApiError::FreshnessUnmet(timeout())),
        (504, ErrorCode::FreshnessUnmet)
    );
    assert_eq!(
        status_and_code(ApiError::FreshnessUnmet(status(429))),
        (429, ErrorCode::RateLimited)
    );
}

#[test]
fn the_time_to_wait_is_also_a_header() {
    let response = ApiError::Sync(status(429)).into_response();
    assert_eq!(response.headers()[header::RETRY_AFTER], "7");
}
