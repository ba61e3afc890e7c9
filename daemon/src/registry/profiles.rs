//! The profiles, read again whenever their files change.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use docks_proto::credentials::files::{self, FilesVersion};
use docks_proto::paths::Paths;
use docks_proto::settings::{
    ConfigFile, Environment, Flags, Profile, SettingsError, Target, resolve,
};

/// What a profile's name stands for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The remote.
    pub target: Target,
    /// Whether its token may travel unencrypted.
    pub insecure: bool,
}

/// One version of the settings files and what was resolved from it.
struct Version {
    stamp: FilesVersion,
    file: Arc<ConfigFile>,
    known: HashMap<Option<String>, Resolved>,
}

/// Resolves profiles by name.
pub struct Settings {
    places: Paths,
    version: Mutex<Option<Version>>,
}

impl Settings {
    /// Takes the places; nothing is read yet.
    #[must_use]
    pub fn new(places: Paths) -> Self {
        Self {
            places,
            version: Mutex::new(None),
        }
    }

    /// Returns the places.
    #[must_use]
    pub fn places(&self) -> &Paths {
        &self.places
    }

    /// Returns what a profile, or the default one, stands for.
    ///
    /// Looks at the files' times at each call, so that a changed profile counts at once; that is
    /// three `stat` calls.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] of reading or of the profile.
    pub fn resolve(&self, profile: Option<&str>) -> Result<Resolved, SettingsError> {
        let name = profile.map(str::to_owned);
        self.with(|version| {
            if let Some(known) = version.known.get(&name) {
                return Ok(known.clone());
            }
            let resolved = look_up(name.clone(), &version.file)?;
            version.known.insert(name, resolved.clone());
            Ok(resolved)
        })
    }

    /// Lists the profiles that stand for `target`.
    #[must_use]
    pub fn profiles_of(&self, target: &Target) -> Vec<String> {
        self.all()
            .into_iter()
            .filter(|(_, resolved)| resolved.target == *target)
            .map(|(name, _)| name)
            .collect()
    }

    /// Returns the certificates that a profile of `target` names.
    #[must_use]
    pub fn ca_file_of(&self, target: &Target) -> Option<PathBuf> {
        self.profile_of(target)?.ca_file
    }

    /// Returns a profile that stands for `target`, with all its keys.
    #[must_use]
    pub fn profile_of(&self, target: &Target) -> Option<Profile> {
        self.first(|profile| (canonical(profile.target.clone()) == *target).then_some(profile))
    }

    /// Returns what is picked of the first profile that has it; one that makes no sense has nothing.
    fn first<T>(&self, pick: impl Fn(Profile) -> Option<T>) -> Option<T> {
        let file = self.with(|version| Ok(Arc::clone(&version.file))).ok()?;
        file.profile_names().into_iter().find_map(|name| {
            let flags = Flags {
                profile: Some(name),
                ..Flags::default()
            };
            pick(resolve(&flags, &Environment::default(), &file).ok()?)
        })
    }

    /// Lists the profiles that stand for something; broken ones are left out.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Resolved)> {
        let Ok(file) = self.with(|version| Ok(Arc::clone(&version.file))) else {
            return Vec::new();
        };
        file.profile_names()
            .into_iter()
            .filter_map(|name| Some((name.clone(), look_up(Some(name), &file).ok()?)))
            .collect()
    }

    fn with<T>(
        &self,
        ask: impl FnOnce(&mut Version) -> Result<T, SettingsError>,
    ) -> Result<T, SettingsError> {
        let stamp = FilesVersion::current(&self.places);
        let mut kept = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|version| version.stamp != stamp) {
            *kept = Some(Version {
                stamp,
                file: Arc::new(files::load(&self.places)?),
                known: HashMap::new(),
            });
        }
        ask(kept.as_mut().expect("it was filled just now"))
    }
}

fn look_up(profile: Option<String>, file: &ConfigFile) -> Result<Resolved, SettingsError> {
    let flags = Flags {
        profile,
        ..Flags::default()
    };
    // Our environment is that of whoever started us, and decides nothing for those who ask.
    let profile = resolve(&flags, &Environment::default(), file)?;
    Ok(Resolved {
        target: canonical(profile.target),
        insecure: profile.insecure,
    })
}

/// Gives a jobs directory its one true path, so that two names of it share a mirror.
///
/// One that is not there now keeps the path it was given: its mirror can still be read.
#[must_use]
pub fn canonical(target: Target) -> Target {
    match target {
        Target::HarborJobs { dirs } => Target::harbor_jobs(dirs.into_iter().map(canonical_dir)),
        other @ Target::DocksApi { .. } => other,
    }
}

fn canonical_dir(dir: PathBuf) -> PathBuf {
    std::fs::canonicalize(&dir).unwrap_or(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_counts_at_once() {
        let home = tempfile::tempdir().unwrap();
        let places = Paths {
            home: home.path().to_owned(),
            socket: home.path().join("run/docksd.sock"),
        };
        let settings = Settings::new(places.clone());
        assert!(settings.resolve(None).is_err());
        let write = |tenant: &str| {
            let text = format!("[default]\ntenant_id = \"{tenant}\"\n");
            std::fs::write(places.config_file(), text).unwrap();
        };
        write("first");
        assert_eq!(settings.resolve(None).unwrap().target.tenant(), "first");
        write("the-second");
        assert_eq!(
            settings.resolve(None).unwrap().target.tenant(),
            "the-second"
        );
        let target = settings.resolve(Some("default")).unwrap().target;
        assert_eq!(settings.profiles_of(&target), ["default"]);
    }
}
