//! What becomes of a profile's mirror when the profile gets another token.
//!
//! A renewed token and another person's look alike to the remote's API, which does not tell whose a
//! token is. The mirror is therefore kept, and the user is told how to remove it.

use docks_proto::credentials::{self, find_token};
use docks_proto::mirrors::{MirrorId, OwnedRemote, Owner};
use docks_proto::secret::Token;
use docks_proto::settings::{self, Environment as Variables, Flags, Target};

use super::artifact_sources;
use super::cache_forget;
use super::mirror_list::MirrorList;
use super::profile_files::ProfileFiles;
use crate::context::Context;
use crate::failure::Failure;

/// A mirror that was filled with another token than the new one.
pub(super) struct KeptMirror {
    /// Whether both tokens say that they are the same person's; `None` if that is not known.
    same_person: Option<bool>,
}

/// Returns the mirror that a profile keeps at a login, if there is one and the token is a new one.
pub(super) fn of_login(
    files: &ProfileFiles,
    (api_url, tenant): (&str, &str),
    new: &Token,
) -> Result<Option<KeptMirror>, Failure> {
    let remote = OwnedRemote {
        target: Target::DocksApi {
            api_url: api_url.to_owned(),
            tenant: tenant.to_owned(),
        },
        owner: Owner::Profile(files.name.clone()),
    };
    let list = MirrorList::read(&files.endpoint.places, &files.file)?;
    if list.file(MirrorId::new(&remote)).is_none() {
        return Ok(None);
    }
    let present = present_token(files, &remote.target);
    let same_person = match &present {
        Some(present) if present == new => return Ok(None),
        Some(present) => credentials::is_same_person(present, new),
        None => None,
    };
    Ok((same_person != Some(true)).then_some(KeptMirror { same_person }))
}

/// Returns the token that the profile has for this remote now.
fn present_token(files: &ProfileFiles, target: &Target) -> Option<Token> {
    let flags = Flags {
        profile: Some(files.name.clone()),
        ..Flags::default()
    };
    let profile = settings::resolve(&flags, &Variables::default(), &files.file).ok()?;
    let keyring = files.endpoint.keyring();
    let token_file = files.endpoint.places.token_file();
    let found = find_token(&profile, &files.file, keyring.as_ref(), &token_file);
    let found = found.ok().filter(|_| profile.target == *target);
    found.map(|found| found.token)
}

impl KeptMirror {
    /// Says that the mirror is kept, and how to remove it.
    pub(super) fn tell(&self, context: &Context, profile: &str) {
        let how = format!("`docks cache forget {profile}` removes it");
        if self.same_person == Some(false) {
            context.output.warn(format!(
                "the new token is another person's, and profile `{profile}` still shows what the \
                 earlier one has mirrored; {how}"
            ));
        } else {
            context.output.note(format!(
                "the token is a new one, and the mirror of profile `{profile}` is kept; if the token \
                 is another person's, {how}"
            ));
        }
    }
}

/// Forgets the mirror of a profile that has just been saved.
pub(super) async fn forget(context: &Context, profile: &str) -> Result<(), Failure> {
    let files = ProfileFiles::open(context)?;
    let cache = artifact_sources::open_cache(&files.endpoint.places, context.now)?;
    let list = MirrorList::read(&files.endpoint.places, &files.file)?;
    let Some(found) = list.of_profile(profile) else {
        return Ok(());
    };
    let mirror = MirrorId::new(&found.remote);
    let report = cache_forget::forget(&files.endpoint, &files.file, &cache, mirror).await?;
    let whose = format!("profile {profile}");
    context
        .output
        .message(cache_forget::describe(&whose, report));
    Ok(())
}
