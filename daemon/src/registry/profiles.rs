//! The profiles, read again whenever their files change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use docks_proto::credentials::files::{self, FilesVersion};
use docks_proto::mirrors::{self, OwnedRemote, canonicalize};
use docks_proto::paths::Paths;
use docks_proto::settings::{
    ConfigFile, Environment, Flags, Profile, SettingsError, Target, TrustSettings, resolve,
};

/// The remote of a profile, and whether its token may travel unencrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedTarget {
    /// Name of the profile.
    pub profile: String,
    /// The remote.
    pub target: Target,
    /// Whether its token may travel unencrypted.
    pub insecure: bool,
}

/// One version of the settings files, and the profiles that were resolved from it.
struct Version {
    stamp: FilesVersion,
    file: Arc<ConfigFile>,
    resolved: HashMap<Option<String>, ResolvedTarget>,
}

/// Resolves profiles by name.
pub struct Profiles {
    paths: Paths,
    version: Mutex<Option<Version>>,
}

impl Profiles {
    /// Creates a resolver for the settings files at `paths`; reads nothing yet.
    #[must_use]
    pub fn new(paths: Paths) -> Self {
        Self {
            paths,
            version: Mutex::new(None),
        }
    }

    /// Returns the paths of all files.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Reads the files again if they have changed. Blocks, on three `stat` calls.
    pub fn refresh(&self) {
        if self.with_current(|_| Ok(())).is_err() {
            // The next request that needs them reports what is wrong.
            *self.version.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Returns the remote of a profile, by default of the default profile.
    ///
    /// Looks at the files first, so that a changed profile takes effect at once. Blocks on them, and on
    /// the path of a jobs directory, which may be on a disk that hangs.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] of reading or of the profile.
    pub fn resolve(&self, profile: Option<&str>) -> Result<ResolvedTarget, SettingsError> {
        self.refresh();
        if let Some(resolved) = self.resolved_before(profile) {
            return Ok(resolved);
        }
        let name = profile.map(str::to_owned);
        let file = self.with_current(|version| Ok(Arc::clone(&version.file)))?;
        // Not under the lock, which others take to answer at once.
        let resolved = resolve_profile(name.clone(), &file)?;
        self.with_current(|version| {
            if Arc::ptr_eq(&version.file, &file) {
                version.resolved.insert(name, resolved.clone());
            }
            Ok(())
        })?;
        Ok(resolved)
    }

    /// Returns the remote of a profile that was resolved since its files changed, as far as
    /// [`Profiles::refresh`] knows. Does not block.
    #[must_use]
    pub fn resolved_before(&self, profile: Option<&str>) -> Option<ResolvedTarget> {
        let name = profile.map(str::to_owned);
        let known = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref()?.resolved.get(&name).cloned()
    }

    /// Lists the names of the profiles of `target`, as far as [`Profiles::refresh`] knows. Does not
    /// block.
    #[must_use]
    pub fn names_of(&self, target: &Target) -> Vec<String> {
        let profiles = self.profiles_of(target).into_iter();
        profiles.map(|profile| profile.name).collect()
    }

    /// Returns the certificates that the first profile of `target` trusts that names any.
    #[must_use]
    pub fn trust_of(&self, target: &Target) -> TrustSettings {
        self.refresh();
        let mut trusts = self.profiles_of(target).into_iter().map(|it| it.trust);
        trusts
            .find(|trust| *trust != TrustSettings::default())
            .unwrap_or_default()
    }

    /// Returns whether a profile of `target` lets its token travel unencrypted.
    #[must_use]
    pub fn allow_insecure(&self, target: &Target) -> bool {
        self.profiles_of(target)
            .iter()
            .any(|profile| profile.insecure)
    }

    /// Returns a profile with all its keys, if it is valid.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<Profile> {
        resolve_keys(Some(name.to_owned()), &*self.current_file()?).ok()
    }

    /// Lists the valid profiles of `target`, with all their keys.
    fn profiles_of(&self, target: &Target) -> Vec<Profile> {
        let Some(file) = self.known_file() else {
            return Vec::new();
        };
        if let Target::DocksApi { .. } | Target::HarborServer { .. } = target {
            return mirrors::api_profiles_of(&file, target);
        }
        let profiles = file.profile_names().into_iter();
        profiles
            .filter_map(|name| {
                let profile = resolve_keys(Some(name.clone()), &file).ok()?;
                // The real path is known of a directory that was in use.
                let real = self.resolved_before(Some(&name));
                let is_same = real.map_or(profile.target == *target, |real| real.target == *target);
                is_same.then_some(profile)
            })
            .collect()
    }

    /// Returns whether what an earlier release kept of a remote goes to this owner.
    #[must_use]
    pub fn inherits(&self, id: &OwnedRemote) -> bool {
        let file = self.current_file();
        file.is_some_and(|file| mirrors::inherits(&file, id))
    }

    /// Lists the names of all profiles. Blocks.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.current_file()
            .map_or_else(Vec::new, |file| file.profile_names())
    }

    fn known_file(&self) -> Option<Arc<ConfigFile>> {
        let known = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&known.as_ref()?.file))
    }

    /// Returns the settings as they are now. Blocks.
    pub(super) fn current_file(&self) -> Option<Arc<ConfigFile>> {
        self.with_current(|version| Ok(Arc::clone(&version.file)))
            .ok()
    }

    fn with_current<T>(
        &self,
        read: impl FnOnce(&mut Version) -> Result<T, SettingsError>,
    ) -> Result<T, SettingsError> {
        let stamp = FilesVersion::current(&self.paths);
        let mut cached = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.as_ref().is_none_or(|version| version.stamp != stamp) {
            *cached = Some(Version {
                stamp,
                file: Arc::new(files::load(&self.paths)?),
                resolved: HashMap::new(),
            });
        }
        read(cached.as_mut().expect("the cache was filled above"))
    }
}

fn resolve_keys(profile: Option<String>, file: &ConfigFile) -> Result<Profile, SettingsError> {
    let flags = Flags {
        profile,
        ..Flags::default()
    };
    // The daemon's environment is that of the command that started it, and must not affect
    // the requests of others.
    resolve(&flags, &Environment::default(), file)
}

fn resolve_profile(
    profile: Option<String>,
    file: &ConfigFile,
) -> Result<ResolvedTarget, SettingsError> {
    let profile = resolve_keys(profile, file)?;
    Ok(ResolvedTarget {
        profile: profile.name,
        target: canonicalize(profile.target),
        insecure: profile.insecure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_takes_effect_at_once() {
        let home = tempfile::tempdir().unwrap();
        let places = Paths {
            home: home.path().to_owned(),
            socket: home.path().join("run/docksd.sock"),
        };
        let profiles = Profiles::new(places.clone());
        assert!(profiles.resolve(None).is_err());
        let write = |tenant: &str| {
            let text = format!("[default]\ntenant_id = \"{tenant}\"\n");
            std::fs::write(places.config_file(), text).unwrap();
        };
        write("first");
        assert_eq!(profiles.resolve(None).unwrap().target.tenant(), "first");
        write("the-second");
        assert_eq!(
            profiles.resolve(None).unwrap().target.tenant(),
            "the-second"
        );
        let target = profiles.resolve(Some("default")).unwrap().target;
        assert_eq!(profiles.names_of(&target), ["default"]);
    }
}
