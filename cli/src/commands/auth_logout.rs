//! `docks auth logout`: forgets the token of one profile, and only that.

use docks_proto::credentials::{KeyringError, files, keyring_user};
use docks_proto::settings;

use super::profile_files::Account;
use crate::context::Context;
use crate::failure::{Failure, Kind, settings_failure};

/// Removes the profile's token from keyring, profile and, if it is this profile's, token file.
pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let account = Account::open(context)?;
    let name = account.name.clone();
    let forgot = forget(context, &account)?;
    let text = if forgot {
        format!("signed out: profile `{name}`")
    } else {
        format!("profile `{name}` had no token")
    };
    context.output.message(text);
    if account.endpoint.environment.settings.token.is_some() {
        context.output.warn("DOCKS_TOKEN is set and still signs in");
    }
    Ok(())
}

/// Forgets the token of the account's profile, and tells whether there was one.
pub(super) fn forget(context: &Context, account: &Account) -> Result<bool, Failure> {
    let mut forgot = match account
        .endpoint
        .keyring()
        .delete(&keyring_user(&account.name))
    {
        Ok(there) => there,
        Err(KeyringError::Off(_)) => false,
        Err(problem) => {
            return Err(Failure::new(
                Kind::Failed,
                format!("the token may still be in the keyring: {problem}"),
            )
            .hint("DOCKS_USE_KEYRING=false leaves the keyring out"));
        }
    };
    if account.uses_token_file(&account.name) {
        forgot |= forget_token_file(context, account)?;
    }
    // Written even without a change: a daemon sees by it that it must look again.
    if let Some(stored) = account.stored()? {
        forgot |= stored.token.is_some();
        account.set(&[("token", None)])?;
    } else {
        account.edit_preferences(|_, text| Ok(text.to_owned()))?;
    }
    Ok(forgot)
}

fn forget_token_file(context: &Context, account: &Account) -> Result<bool, Failure> {
    let path = account.endpoint.places.token_file();
    let names = account.file.profile_names();
    let mut others = names.iter().filter(|name| **name != account.name);
    if let Some(other) = others.find(|name| account.uses_token_file(name)) {
        context.output.warn(format!(
            "{} stays, since profile `{other}` uses it too",
            path.display()
        ));
        return Ok(false);
    }
    let removed = files::remove(&path).map_err(|e| settings_failure(&e))?;
    account.edit_preferences(settings::forget_token_file)?;
    Ok(removed)
}
