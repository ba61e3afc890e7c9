//! Edits the text of the settings files; comments and unknown keys are preserved.
//!
//! The Python client rewrites `config.toml` without escaping, and knows only one table per profile
//! with flat keys. So nothing is written there that it would break at its next login.

use std::path::Path;

use toml_edit::{Item, Table, value};

use super::SettingsError;
use super::file::{TokenFileOwner, parse_document};

/// Checks the name of a new profile, which must be valid as `[name]` without quotes.
///
/// # Errors
///
/// [`SettingsError::BadName`] for anything but 1 to 64 letters, digits, `-` and `_`.
pub fn check_profile_name(name: &str) -> Result<(), SettingsError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(SettingsError::BadName {
            name: name.to_owned(),
        })
    }
}

/// Returns the text of `config.toml` with keys of one profile set, or removed where `None`.
///
/// A missing profile is added at the end.
///
/// # Errors
///
/// [`SettingsError`] when the old text is invalid, or the Python client would break a name or value.
pub fn set_profile(
    path: &Path,
    text: &str,
    name: &str,
    changes: &[(&'static str, Option<&str>)],
) -> Result<String, SettingsError> {
    let mut document = parse_document(path, text)?;
    if !document.get(name).is_some_and(Item::is_table_like) {
        check_profile_name(name)?;
        document.insert(name, Item::Table(Table::new()));
    }
    let table = document
        .get_mut(name)
        .and_then(Item::as_table_like_mut)
        .expect("the table exists or was added just now");
    for (key, new) in changes {
        match new {
            Some(text) => {
                check_value(key, text)?;
                table.insert(key, value(*text));
            }
            None => {
                table.remove(key);
            }
        }
    }
    Ok(document.to_string())
}

/// Returns the text of `config.toml` without one profile.
///
/// # Errors
///
/// [`SettingsError`] when the old text is invalid or has no such profile.
pub fn remove_profile(path: &Path, text: &str, name: &str) -> Result<String, SettingsError> {
    let mut document = parse_document(path, text)?;
    if document.remove(name).is_none() {
        return Err(SettingsError::UnknownProfile {
            name: name.to_owned(),
            origin: super::Origin::File(path.to_owned()),
            known: document.iter().map(|(name, _)| name.to_owned()).collect(),
        });
    }
    Ok(document.to_string())
}

/// Returns the text of `docks.toml` with another default profile, or none.
///
/// # Errors
///
/// [`SettingsError::Broken`] when the old text is not valid TOML.
pub fn set_default_profile(
    path: &Path,
    text: &str,
    name: Option<&str>,
) -> Result<String, SettingsError> {
    let mut document = parse_document(path, text)?;
    match name {
        Some(name) => document.insert("default_profile", value(name)),
        None => document.remove("default_profile"),
    };
    Ok(document.to_string())
}

/// Returns the text of `docks.toml` with the owner of the token file recorded.
///
/// # Errors
///
/// [`SettingsError::Broken`] when the old text is not valid TOML.
pub fn record_token_file(
    path: &Path,
    text: &str,
    owner: &TokenFileOwner,
) -> Result<String, SettingsError> {
    let mut document = parse_document(path, text)?;
    let mut table = Table::new();
    table.insert("profile", value(&owner.profile));
    table.insert("fingerprint", value(&owner.fingerprint));
    document.insert("token_file", Item::Table(table));
    Ok(document.to_string())
}

/// Returns the text of `docks.toml` without the owner of the token file.
///
/// # Errors
///
/// [`SettingsError::Broken`] when the old text is not valid TOML.
pub fn forget_token_file(path: &Path, text: &str) -> Result<String, SettingsError> {
    let mut document = parse_document(path, text)?;
    document.remove("token_file");
    Ok(document.to_string())
}

fn check_value(key: &'static str, text: &str) -> Result<(), SettingsError> {
    let breaks = |c: char| c == '"' || c == '\\' || c.is_control();
    if text.chars().any(breaks) {
        return Err(SettingsError::BadValue { key });
    }
    Ok(())
}
