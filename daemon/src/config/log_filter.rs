//! Checks the filter of the log, so that a misspelt level is an error and not a silent log.

use tracing::level_filters::LevelFilter;

/// Whether `text` is a valid filter of the log: levels and `module=level` pairs, comma-separated.
///
/// Stricter than the filter library, which takes any bare word for the name of a module.
pub(super) fn is_valid(text: &str) -> bool {
    text.split(',').all(|directive| {
        let module_level = directive.split_once('=');
        is_level(directive)
            || module_level.is_some_and(|(module, level)| is_module(module) && is_level(level))
    })
}

fn is_level(text: &str) -> bool {
    // An empty text would parse as a level.
    !text.trim().is_empty() && text.trim().parse::<LevelFilter>().is_ok()
}

fn is_module(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !text.trim().is_empty() && text.trim().chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_recognised() {
        for valid in ["info", "WARN", "off", "info,docksd::sync=debug"] {
            assert!(is_valid(valid), "{valid}");
        }
        for invalid in ["", "loud", "info,", "=", "docksd::sync=loud"] {
            assert!(!is_valid(invalid), "{invalid}");
        }
    }
}
