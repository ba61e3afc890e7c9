//! `docks auth logout`: deletes the token of one profile, and only that.

use docks_proto::credentials::{KeyringError, files, keyring_user};
use docks_proto::settings;

use super::profile_files::ProfileFiles;
use crate::context::Context;
use crate::failure::{Failure, Kind, settings_failure};

/// Removes the profile's token from keyring, profile and, if it is this profile's, token file.
pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let profile = ProfileFiles::open(context)?;
    let name = profile.name.clone();
    let had_token = delete_token(context, &profile)?;
    let text = if had_token {
        format!("signed out: profile `{name}`")
    } else {
        format!("profile `{name}` had no token")
    };
    context.output.message(text);
    if profile.endpoint.environment.settings.token.is_some() {
        context
            .output
            .warn("DOCKS_TOKEN is set and still provides a token");
    }
    Ok(())
}

/// Deletes the token of the profile; returns whether there was one.
pub(super) fn delete_token(context: &Context, profile: &ProfileFiles) -> Result<bool, Failure> {
    let mut deleted = match profile
        .endpoint
        .keyring()
        .delete(&keyring_user(&profile.name))
    {
        Ok(deleted) => deleted,
        Err(KeyringError::Off(_)) => false,
        Err(problem) => {
            return Err(Failure::new(
                Kind::Failed,
                format!("the token may still be in the keyring: {problem}"),
            )
            .hint("DOCKS_USE_KEYRING=false disables the keyring"));
        }
    };
    if profile.uses_token_file(&profile.name) {
        deleted |= delete_token_file(context, profile)?;
    }
    // Written even if nothing changes: the daemon notices the write and reads the token again.
    if let Some(stored) = profile.stored()? {
        deleted |= stored.token.is_some();
        profile.set(&[("token", None)])?;
    } else {
        profile.edit_preferences(|_, text| Ok(text.to_owned()))?;
    }
    Ok(deleted)
}

fn delete_token_file(context: &Context, profile: &ProfileFiles) -> Result<bool, Failure> {
    let path = profile.endpoint.places.token_file();
    let names = profile.file.profile_names();
    let mut others = names.iter().filter(|name| **name != profile.name);
    if let Some(other) = others.find(|name| profile.uses_token_file(name)) {
        context.output.warn(format!(
            "{} is kept, because profile `{other}` also uses it",
            path.display()
        ));
        return Ok(false);
    }
    let removed = files::remove(&path).map_err(|e| settings_failure(&e))?;
    profile.edit_preferences(settings::forget_token_file)?;
    Ok(removed)
}
