//! Recordings of terminals, which a program has to play.

use std::borrow::Cow;

use docks_artifacts::sanitise::source_name;
use docks_artifacts::source::{display_uri, is_local};
use docks_proto::path_encoding::decode_path;

/// Whether an address or a path is that of an asciinema recording.
pub(super) fn is_recording(uri: &str) -> bool {
    let name = match uri.contains("://") {
        true => source_name(uri),
        false => Cow::Borrowed(uri),
    };
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("cast"))
}

/// Says how to play a recording: at its place, or once it is downloaded.
pub(super) fn how_to_play(uri: &str, run: &str, trial: Option<&str>) -> String {
    match local_path(uri) {
        Some(path) => {
            format!(
                "a recording of a terminal; `asciinema play {}` plays it",
                shell_word(&path)
            )
        }
        None => {
            let of_trial = trial.map_or_else(String::new, |id| format!(" --trial {id}"));
            format!(
                "a recording of a terminal; `docks runs artifacts {run}{of_trial} --type all --pattern '*.cast'` \
                 downloads it, and `asciinema play FILE` plays it"
            )
        }
    }
}

/// Returns where a file is on this machine.
fn local_path(uri: &str) -> Option<String> {
    let path = display_uri(uri);
    let path = path.strip_prefix("file://").filter(|_| is_local(uri))?;
    Some(decode_path(path).to_string_lossy().into_owned())
}

/// Quotes a word for a shell where it needs that.
pub(super) fn shell_word(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    match path.chars().all(is_plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_casts_are_recordings_and_paths_are_quoted() {
        for uri in ["file:///a/r.cast", "https://h/r.CAST?sig=x", "agent/r.cast"] {
            assert!(is_recording(uri), "{uri}");
        }
        for uri in ["file:///a/cast", "https://h/r.txt?x=.cast", "r.json"] {
            assert!(!is_recording(uri), "{uri}");
        }
        let hint = how_to_play("file:///a%20b/it%27s.cast", "r", None);
        assert!(
            hint.contains(r"asciinema play '/a b/it'\''s.cast'"),
            "{hint}"
        );
    }
}
