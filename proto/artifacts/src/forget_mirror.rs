//! Forgets one mirror: its files and the artifacts of its owner.

use std::io;
use std::path::Path;

use docks_proto::mirrors::{self, ForgetReport, MirrorFile, MirrorId, Owner, ProfileRemote};

use crate::cache::{ArtifactsOf, Cache};

/// Deletes everything of one mirror that is on disk. Nobody may have the mirror open. Blocks.
///
/// `profiles` are all of the settings: an earlier release kept one mirror per remote, and what is left
/// of it goes with the profile that inherits it.
///
/// # Errors
///
/// When something cannot be deleted; the rest can be deleted by another call.
pub fn forget_mirror(
    cache_dir: &Path,
    cache: &Cache,
    profiles: &[ProfileRemote],
    mirror: MirrorId,
) -> io::Result<ForgetReport> {
    let found: Vec<MirrorFile> = mirrors::list(cache_dir, profiles)?
        .into_iter()
        .filter(|found| found.owner_id() == mirror)
        .collect();
    let of_profile = profiles
        .iter()
        .find(|profile| MirrorId::new(&profile.remote) == mirror);
    let remote = found.iter().find_map(|found| found.remote.as_ref());
    let remote = remote.or(of_profile.map(|profile| &profile.remote));
    let inherits = of_profile.is_some_and(|profile| profile.inherits);
    let owns_unowned = |remote: &&mirrors::OwnedRemote| inherits || remote.owner == Owner::User;
    let whose = ArtifactsOf {
        mirror,
        unowned_runs_of: remote
            .filter(owns_unowned)
            .map(|remote| remote.target.to_string()),
    };
    // The artifacts first: without the files, the mirror is no longer listed.
    let artifacts = cache.forget(&whose)?;
    let mut report = ForgetReport {
        artifacts: artifacts.artifacts,
        artifact_bytes: artifacts.size_bytes,
        ..ForgetReport::default()
    };
    for found in &found {
        let deleted = mirrors::delete(&found.database)?;
        report.mirror_files += deleted.files;
        report.mirror_bytes += deleted.size_bytes;
    }
    Ok(report)
}
