//! The mirrors on disk, found without a daemon, and whose they are.

use docks_proto::credentials::find_token;
use docks_proto::mirrors::{
    self, Fingerprints, MirrorFile, MirrorId, OwnedRemote, Owner, ProfileRemote,
};
use docks_proto::paths::Paths;
use docks_proto::settings::{ConfigFile, Target};
use indicatif::HumanBytes;

use crate::ask::SelectedRemote;
use crate::failure::{Failure, Kind};

/// The remotes of all profiles, and the mirrors on disk.
pub(super) struct MirrorList {
    pub(super) profiles: Vec<ProfileRemote>,
    pub(super) mirrors: Vec<MirrorFile>,
}

impl MirrorList {
    /// Lists what is on disk now.
    pub(super) fn read(places: &Paths, file: &ConfigFile) -> Result<Self, Failure> {
        let profiles = mirrors::remotes_of_profiles(file, mirrors::canonicalize);
        let mirrors = mirrors::list(&places.cache_dir(), &profiles)
            .map_err(|error| Failure::chain(Kind::Failed, "could not list the mirrors", &error))?;
        Ok(Self { profiles, mirrors })
    }

    /// Returns the remote of a profile.
    pub(super) fn of_profile(&self, name: &str) -> Option<&ProfileRemote> {
        self.profiles.iter().find(|found| found.profile == name)
    }

    /// Returns the file of a mirror.
    pub(super) fn file(&self, mirror: MirrorId) -> Option<&MirrorFile> {
        self.mirrors.iter().find(|file| file.owner_id() == mirror)
    }

    /// Lists the mirrors that no profile has.
    pub(super) fn of_no_profile(&self) -> impl Iterator<Item = &MirrorFile> {
        self.mirrors.iter().filter(|file| {
            let mut profiles = self.profiles.iter();
            !profiles.any(|profile| MirrorId::new(&profile.remote) == file.owner_id())
        })
    }

    /// Describes whose a mirror is, for people.
    pub(super) fn describe(&self, mirror: MirrorId) -> String {
        let mut profiles = self.profiles.iter();
        let of_profile = profiles.find(|profile| MirrorId::new(&profile.remote) == mirror);
        match (of_profile, self.file(mirror)) {
            (Some(profile), _) => format!("profile {}", profile.profile),
            (None, Some(file)) => describe_owner(file),
            (None, None) => format!("mirror {}", mirror.handle()),
        }
    }
}

fn describe_owner(file: &MirrorFile) -> String {
    match file.remote.as_ref().map(|remote| &remote.owner) {
        Some(Owner::Profile(name)) => format!("the former profile {name}"),
        Some(Owner::Token(_)) => "a token that is no profile's".to_owned(),
        Some(Owner::User) => "the user of this machine".to_owned(),
        None => "an earlier release".to_owned(),
    }
}

/// Returns the remote of a command and who asks it, by the daemon's rules.
///
/// The daemon is not asked, since artifacts are also downloaded without one. Only a token from the
/// environment is compared with those of profiles, which may take the time of the keyring.
pub(super) fn owned_remote(remote: &SelectedRemote) -> Result<OwnedRemote, Failure> {
    let profile = &remote.profile;
    let owner = match &profile.target {
        Target::HarborJobs { .. } => Owner::User,
        _ if !profile.adhoc => Owner::Profile(profile.name.clone()),
        Target::HarborServer { .. } if profile.inline_token.is_none() => Owner::User,
        Target::DocksApi { .. } | Target::HarborServer { .. } => owner_of_token(remote)?,
    };
    Ok(OwnedRemote {
        target: profile.target.clone(),
        owner,
    })
}

fn owner_of_token(remote: &SelectedRemote) -> Result<Owner, Failure> {
    let token = remote.token()?.token;
    let places = &remote.endpoint.places;
    // Without the secret, what is cached for the token is not found again.
    let fingerprints = Fingerprints::open(&mirrors::secret_path(&places.cache_dir()))
        .unwrap_or_else(|_| Fingerprints::temporary());
    let profiles = mirrors::api_profiles_of(&remote.file, &remote.profile.target);
    let names = profiles.iter().map(|profile| profile.name.clone());
    let (keyring, token_file) = (remote.endpoint.keyring(), places.token_file());
    let token_of = |name: &str| {
        let profile = profiles.iter().find(|profile| profile.name == name)?;
        let found = find_token(profile, &remote.file, keyring.as_ref(), &token_file);
        found.ok().map(|found| found.token)
    };
    Ok(Owner::of_token(&token, names, token_of, &fingerprints))
}

/// Describes a mirror file in the confirmation of what deletes it.
pub(super) fn describe_file(file: &MirrorFile) -> String {
    format!("{}, {}", file.location(), HumanBytes(file.size_bytes))
}
