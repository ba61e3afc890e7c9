//! The shared files of Amazon's own programs: `~/.aws/config` and `~/.aws/credentials`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::environment::StoreEnvironment;

/// One profile of `~/.aws/credentials` and `~/.aws/config`.
#[derive(Default)]
pub(super) struct SharedProfile(BTreeMap<String, String>);

impl SharedProfile {
    pub(super) fn read(environment: StoreEnvironment<'_>) -> Self {
        let profile = environment
            .setting(&["AWS_PROFILE"], "aws_profile")
            .unwrap_or_else(|| "default".to_owned());
        let file = |variable, name: &str| {
            let home = || Some(environment.variables.path("HOME")?.join(".aws").join(name));
            environment.variables.path(variable).or_else(home)
        };
        let text = |path: Option<PathBuf>| path.and_then(|path| (environment.file)(&path));
        let mut found = BTreeMap::new();
        if let Some(text) = text(file("AWS_CONFIG_FILE", "config")) {
            let section = match profile.as_str() {
                "default" => profile.clone(),
                _ => format!("profile {profile}"),
            };
            found.extend(read_section(&text, &section));
        }
        if let Some(text) = text(file("AWS_SHARED_CREDENTIALS_FILE", "credentials")) {
            found.extend(read_section(&text, &profile));
        }
        Self(found)
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).filter(|value| !value.is_empty()).cloned()
    }
}

/// Parses the `key = value` lines of one `[section]`; indented lines are nested settings.
fn read_section(text: &str, section: &str) -> Vec<(String, String)> {
    let mut in_section = false;
    let mut found = Vec::new();
    for line in text.lines() {
        let bare = line.trim();
        if let Some(name) = bare.strip_prefix('[').and_then(|s| s.split(']').next()) {
            in_section = name.split_whitespace().eq(section.split_whitespace());
        } else if in_section
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = bare.split_once('=')
        {
            found.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    found
}
