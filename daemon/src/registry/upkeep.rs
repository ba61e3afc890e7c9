//! What is done with open remotes without a request: mirrors are opened ahead, replaced when they are damaged
//! or lost, and closed and deleted when nobody uses them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use docks_proto::mirrors::{self, OwnedRemote};
use docksd_mirror::Mirror;

use super::mirrored_remote::{MirrorFile, MirroredRemote};
use super::profiles::{Profiles, ResolvedTarget};
use super::resolve::ResolvedRemote;
use super::selector::RemoteSelector;
use super::{Registry, identity_of, mirror_files};

/// Time between two looks for mirrors that nobody uses.
const CHECK_ABANDONED_EVERY: Duration = Duration::from_secs(600);

/// Time between two looks whether the files of open mirrors are still there.
const CHECK_FILES_EVERY: Duration = Duration::from_secs(3);

/// Time between two looks whether a damaged mirror was rebuilt.
const CHECK_REBUILT_EVERY: Duration = Duration::from_millis(20);
/// Longest wait of a request for a mirror that is rebuilt.
const LONGEST_REBUILD_WAIT: Duration = Duration::from_secs(15);

impl Registry {
    /// Rebuilds mirrors that turn out to be damaged, and mirrors their remotes again; never returns.
    pub async fn replace_damaged_mirrors(&self) {
        loop {
            self.damage.notified().await;
            for remote in self.open_remotes() {
                if *remote.mirror.damage().borrow() && remote.mirror.is_really_damaged().await {
                    self.rebuild_mirror(&remote).await;
                }
            }
            self.open_recent().await;
        }
    }

    /// Opens the mirrors again whose file was removed or replaced, as by who empties the cache directory or
    /// restores it; never returns.
    pub async fn replace_lost_mirrors(&self) {
        loop {
            tokio::time::sleep(CHECK_FILES_EVERY).await;
            let mut was_lost = false;
            for remote in self.open_remotes() {
                let (path, file) = (remote.database.clone(), remote.file);
                let checking = tokio::task::spawn_blocking(move || MirrorFile::of(&path) == file);
                if checking.await.unwrap_or(true) {
                    continue;
                }
                tracing::warn!(remote = remote.location(), database = %remote.database.display(),
                    "the file of the mirror was removed or replaced; it is opened again");
                remote.close().await;
                self.remove(&remote.id);
                was_lost = true;
            }
            if was_lost {
                self.open_recent().await;
            }
        }
    }

    /// Closes the mirrors of tokens that nobody uses, and deletes those that nobody has used for long;
    /// never returns.
    pub async fn close_abandoned_mirrors(&self) {
        loop {
            tokio::time::sleep(CHECK_ABANDONED_EVERY).await;
            let now = self.clock.monotonic();
            for remote in self.open_remotes() {
                if remote.is_abandoned(now) {
                    remote.close().await;
                    self.remove(&remote.id);
                }
            }
            let open = self.open_remotes();
            let open: Vec<PathBuf> = open.iter().map(|remote| remote.database.clone()).collect();
            let (directory, cache) = (self.paths().cache_dir(), self.artifact_cache());
            let deleting = move || mirror_files::delete_abandoned(&directory, &cache, &open);
            drop(tokio::task::spawn_blocking(deleting).await);
        }
    }

    /// Waits until no damaged mirror is open, for as long as a request may wait.
    pub async fn wait_until_rebuilt(&self) {
        let rebuilding = async {
            let is_damaged = |remote: &Arc<MirroredRemote>| *remote.mirror.damage().borrow();
            while self.open_remotes().iter().any(is_damaged) {
                tokio::time::sleep(CHECK_REBUILT_EVERY).await;
            }
        };
        // The request fails then, as it did before.
        drop(tokio::time::timeout(LONGEST_REBUILD_WAIT, rebuilding).await);
    }

    /// Closes a remote and replaces its mirror by what is sound of it; the next request opens that.
    async fn rebuild_mirror(&self, remote: &MirroredRemote) {
        remote.close().await;
        let (path, now) = (remote.database.clone(), self.clock.wall());
        let identity = identity_of(&remote.id);
        let rebuilding = tokio::task::spawn_blocking(move || Mirror::rebuild(&path, identity, now));
        let location = remote.location();
        match rebuilding.await {
            Ok(Ok(path)) => {
                tracing::error!(remote = location, aside = %path.display(),
                    "the mirror is damaged; what is sound was kept, and the remote is mirrored again");
                self.set_aside().insert(remote.id.clone(), path);
            }
            Ok(Err(error)) => {
                let error = docks_proto::error::error_chain(&error);
                tracing::error!(
                    remote = location,
                    error,
                    "could not rebuild a damaged mirror"
                );
            }
            Err(_) => return,
        }
        self.remove(&remote.id);
    }

    /// Opens the remotes that are likely to be requested: the default profile's, and those that
    /// were used recently.
    pub async fn open_recent(&self) {
        let default = self.resolve_profile(None).await;
        self.open_in_background(default.map(ResolvedRemote::of_profile))
            .await;
        let (cache, profiles) = (self.paths().cache_dir(), Arc::clone(&self.profiles));
        let settings = Arc::clone(&profiles);
        let naming = move || settings.names();
        let names = self.blocking_calls.run("the names of the profiles", naming);
        for name in names.await.unwrap_or_default() {
            // One after the other: the jobs directory of one profile may be on a disk that hangs.
            let Some(profile) = self.resolve_profile(Some(name)).await else {
                continue;
            };
            let (cache, profiles) = (cache.clone(), Arc::clone(&profiles));
            let checking = move || recently_used(&cache, &profiles, profile);
            let recent = tokio::task::spawn_blocking(checking).await;
            self.open_in_background(recent.ok().flatten()).await;
        }
        let finding = tokio::task::spawn_blocking(move || mirror_files::recently_used_jobs(&cache));
        for id in finding.await.unwrap_or_default() {
            let name = id.target.to_string();
            let resolving = move || ResolvedRemote {
                id: OwnedRemote {
                    target: mirrors::canonicalize(id.target),
                    owner: id.owner,
                },
                insecure: false,
                token: None,
            };
            let resolved = self.blocking_calls.run(&name, resolving).await;
            self.open_in_background(resolved.ok()).await;
        }
    }

    async fn resolve_profile(&self, name: Option<String>) -> Option<ResolvedTarget> {
        let selector = match &name {
            Some(name) => RemoteSelector::Profile(name.clone()),
            None => RemoteSelector::DefaultProfile,
        };
        let profiles = Arc::clone(&self.profiles);
        let resolving = move || profiles.resolve(name.as_deref());
        let name = selector.to_string();
        let resolved = self.blocking_calls.run(&name, resolving).await;
        resolved.ok()?.ok()
    }

    /// Opens a remote that nobody waits for.
    async fn open_in_background(&self, resolved: Option<ResolvedRemote>) {
        let Some(resolved) = resolved else { return };
        let location = resolved.id.target.to_string();
        if let Err(error) = self.open_resolved(resolved).await {
            let error = docks_proto::error::error_chain(&error);
            tracing::warn!(remote = location, error, "could not open {location}");
        }
    }
}

/// Returns the remote of a profile if it was used recently. Blocks.
fn recently_used(
    cache: &Path,
    profiles: &Profiles,
    profile: ResolvedTarget,
) -> Option<ResolvedRemote> {
    let resolved = ResolvedRemote::of_profile(profile);
    if profiles.inherits(&resolved.id) {
        mirror_files::take_over_shared_mirror(cache, &resolved.id);
    }
    mirror_files::used_recently(cache, &resolved.id).then_some(resolved)
}
