//! What the integration tests share.

pub mod fake_remote;
pub mod test_daemon;
pub mod tls_front;
