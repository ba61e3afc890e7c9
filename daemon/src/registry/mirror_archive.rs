//! The mirror of a remote, for a remote that need not be asked again for what is mirrored.

use std::sync::OnceLock;

use async_trait::async_trait;
use docks_proto::client::body;
use docks_proto::object::RawObject;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docksd_harbor_server::Archive;
use docksd_mirror::{Listing, Mirror, MirrorError, Resource};
use docksd_remote::Validator;

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
    async fn runs(&self, kind: RunKind) -> Vec<RawObject> {
        match self.0.get() {
            Some(mirror) => objects(mirror.list_runs(kind, &whole_list()).await.map(Some)),
            None => Vec::new(),
        }
    }

    async fn trials(&self, run: &str) -> Vec<RawObject> {
        match self.0.get() {
            Some(mirror) => objects(mirror.list_trials(run, &whole_list()).await),
            None => Vec::new(),
        }
    }

    async fn trials_validator(&self, run: &str) -> Option<Validator> {
        let resource = Resource::Trials(run.to_owned());
        let confirmation = self.0.get()?.confirmation(&resource).await;
        confirmation.ok()??.validator
    }
}

fn whole_list() -> ListQuery {
    ListQuery {
        limit: 0,
        ..ListQuery::default()
    }
}

/// Reads the objects of a list; what cannot be read is asked of the remote again.
fn objects(listing: Result<Option<Listing>, MirrorError>) -> Vec<RawObject> {
    let Ok(Some(listing)) = listing else {
        return Vec::new();
    };
    body::parse_list(&listing.body).map_or_else(|_| Vec::new(), |list| list.objects)
}
