//! The real Harbor, followed and stopped by the real `docks`.
//!
//! These tests need `HARBOR_BIN`, so they are ignored unless `.ci/run harbor-live` runs them.

mod figures;
mod follow;
mod harbor;
mod logs;
mod rerun;
mod stop;
mod viewer;
mod watch;
