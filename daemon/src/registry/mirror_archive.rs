//! The mirror of a remote, for a remote that need not be asked again for what is mirrored.

use std::sync::OnceLock;

use async_trait::async_trait;
use docks_proto::object::{RawObject, parse_list};
use docks_proto::query::ListQuery;
use docksd_harbor_server::Archive;
use docksd_mirror::Mirror;

/// The mirror of a remote. The remote is created first, so the mirror is set later.
#[derive(Default)]
pub struct MirrorArchive(OnceLock<Mirror>);

impl MirrorArchive {
    /// Sets the mirror.
    pub(super) fn set(&self, mirror: Mirror) {
        // There is only one.
        drop(self.0.set(mirror));
    }
}

#[async_trait]
impl Archive for MirrorArchive {
    async fn trials(&self, run: &str) -> Vec<RawObject> {
        let Some(mirror) = self.0.get() else {
            return Vec::new();
        };
        let all = ListQuery {
            limit: 0,
            ..ListQuery::default()
        };
        // What cannot be read is asked of the remote again.
        let Ok(Some(listing)) = mirror.list_trials(run, &all).await else {
            return Vec::new();
        };
        parse_list(&listing.body).map_or_else(|_| Vec::new(), |list| list.objects)
    }
}
