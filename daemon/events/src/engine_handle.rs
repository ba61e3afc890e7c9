//! What the event feed needs from the sync engine.

use docks_proto::event::ConnectionState;
use docksd_mirror::Resource;

/// What the event feed needs from the sync engine.
pub trait EngineHandle: Send + Sync + 'static {
    /// Tells the engine that a resource is being watched, so that it polls the resource more often.
    fn mark_active(&self, resource: &Resource);
    /// Returns whether the remote can be reached.
    fn connection_state(&self) -> ConnectionState;
}
