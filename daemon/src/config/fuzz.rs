//! Fuzz target: `daemon.toml`. Its corpus is `tests/corpus/settings`.

use std::path::Path;

use docks_fuzz::fuzz;

use super::file::DaemonFile;

#[test]
fn fuzz_daemon_settings() {
    fuzz(
        env!("CARGO_MANIFEST_DIR"),
        "tests/corpus/settings",
        |input| {
            let text = String::from_utf8_lossy(input);
            if let Ok(file) = DaemonFile::parse(Path::new("daemon.toml"), &text) {
                drop(file.hub_options());
            }
        },
    );
}
