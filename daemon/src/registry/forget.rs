//! The mirrors that are on disk, and forgetting one of them.

use docks_proto::mirrors::{self, ForgetReport, MirrorFile, MirrorId, ProfileRemote};
use docks_proto::status::ClosedMirror;
use docks_proto::time::UnixMs;

use super::Registry;
use super::error::RegistryError;

impl Registry {
    /// Lists the mirrors on disk that are not open.
    pub async fn closed_mirrors(&self) -> Vec<ClosedMirror> {
        let (cache_dir, profiles) = (self.paths().cache_dir(), self.profiles.clone());
        let listing = move || mirrors::list(&cache_dir, &remotes_of(&profiles));
        let listed = self.blocking_calls.run("the list of mirrors", listing);
        let found = match listed.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not list the mirrors");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        let open = self.open_remotes();
        let is_open =
            |mirror: &MirrorFile| open.iter().any(|open| open.database == mirror.database);
        let closed = found.iter().filter(|mirror| !is_open(mirror));
        closed.map(closed_mirror).collect()
    }

    /// Closes a mirror, and deletes it with what its owner has cached. The next request of the owner
    /// mirrors the remote again.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the daemon is shutting down, or something cannot be deleted.
    pub async fn forget_mirror(&self, mirror: MirrorId) -> Result<ForgetReport, RegistryError> {
        let opening = self.opening.write().await;
        if self.remotes().is_none() {
            return Err(RegistryError::Closed);
        }
        for remote in self.open_remotes() {
            if MirrorId::new(&remote.id) == mirror {
                // A request that comes now waits until everything is deleted.
                self.remove(&remote.id);
                remote.close().await;
                self.set_aside().remove(&remote.id);
            }
        }
        let (cache_dir, cache) = (self.paths().cache_dir(), self.artifact_cache());
        let profiles = self.profiles.clone();
        let deleting = tokio::task::spawn_blocking(move || {
            docks_artifacts::forget_mirror(&cache_dir, &cache, &remotes_of(&profiles), mirror)
        });
        let deleted = deleting.await.map_err(|_| RegistryError::Closed)?;
        drop(opening);
        let report = deleted.map_err(RegistryError::Forget)?;
        tracing::info!(%mirror, bytes = report.mirror_bytes, artifacts = report.artifacts,
            "forgot a mirror");
        Ok(report)
    }
}

/// Lists the remotes of all profiles, and looks at no jobs directory: a status must not wait for a disk
/// that hangs. The mirrors of jobs directories name their paths themselves.
fn remotes_of(profiles: &super::profiles::Profiles) -> Vec<ProfileRemote> {
    let file = profiles.current_file();
    file.map(|file| mirrors::remotes_of_profiles(&file, |target| target))
        .unwrap_or_default()
}

fn closed_mirror(mirror: &MirrorFile) -> ClosedMirror {
    ClosedMirror {
        mirror: mirror.owner_id().handle(),
        owner: mirror.owner_kind().to_owned(),
        profile: mirror.profile().map(str::to_owned),
        location: mirror.location(),
        database: mirror.database.display().to_string(),
        size_bytes: mirror.size_bytes,
        last_used: mirror.last_used.map(UnixMs::rfc3339),
    }
}
