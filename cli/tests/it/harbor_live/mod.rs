//! The real Harbor, followed and stopped by the real `docks`.
//!
//! These need `HARBOR_BIN`, so they are ignored unless `.ci/run harbor-live` asks for them.

mod follow;
mod harbor;
mod logs;
mod stop;
mod viewer;
mod watch;
