//! Golden JSON per type that crosses the socket.
//!
//! Each file is what an earlier build wrote. A change that makes one of these
//! tests fail asks three things: can an old reader take the new data, can a
//! new reader take the old data, and does an old writer lose anything? When one
//! answer is no, [`docks_proto::PROTOCOL`] grows.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use docks_proto::error::ErrorBody;
use docks_proto::status::{DaemonStatus, SyncProgress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a kept file, and checks that writing it again keeps every field it has.
fn kept<T: Serialize + DeserializeOwned>(text: &str) -> T {
    let before: Value = serde_json::from_str(text).unwrap();
    let read: T = serde_json::from_str(text).unwrap();
    let after = serde_json::to_value(&read).unwrap();
    assert_contains(&after, &before, "$");
    read
}

fn assert_contains(after: &Value, before: &Value, at: &str) {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => {
            for (key, value) in before {
                let found = after
                    .get(key)
                    .unwrap_or_else(|| panic!("{at}.{key} was lost"));
                assert_contains(found, value, &format!("{at}.{key}"));
            }
        }
        (Value::Array(after), Value::Array(before)) => {
            assert_eq!(after.len(), before.len(), "{at}");
            for (i, (after, before)) in after.iter().zip(before).enumerate() {
                assert_contains(after, before, &format!("{at}[{i}]"));
            }
        }
        _ => assert_eq!(after, before, "{at}"),
    }
}

#[test]
fn an_error_of_an_older_daemon_is_still_read() {
    let body: ErrorBody = kept(include_str!("wire/error_v1.json"));
    assert_eq!(body.detail.candidates.len(), 2);
    let unknown = r#"{"detail":{"code":"from_the_future","message":"m"}}"#;
    let body: ErrorBody = serde_json::from_str(unknown).unwrap();
    assert_eq!(body.detail.code, docks_proto::error::ErrorCode::Unknown);
}

#[test]
fn the_status_of_an_older_daemon_is_still_read() {
    let status: DaemonStatus = kept(include_str!("wire/status_v1.json"));
    assert_eq!(status.remotes[0].rows.trials, 4_000);
    // Fields that came later have defaults, so a shorter, older text is read too.
    let short: DaemonStatus =
        serde_json::from_str(include_str!("wire/status_v1_short.json")).unwrap();
    assert!(short.remotes[0].last_sweep.is_none());
}

#[test]
fn progress_of_an_older_daemon_is_still_read() {
    let progress: SyncProgress = kept(include_str!("wire/progress_v1.json"));
    assert!(progress.finished);
}
