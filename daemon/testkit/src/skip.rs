//! Tests that cannot run on this machine say so, in one form that a script can count.

use std::fs::OpenOptions;
use std::io::Write;

/// Environment variable that names a file to which every skipped test appends its line.
pub const SKIPS_FILE: &str = "DOCKS_TEST_SKIPS";

/// Reports that a test does not run here: prints `SKIPPED: TEST: REASON` to stderr and appends
/// the same line to the file that `DOCKS_TEST_SKIPS` names, if it is set.
///
/// The caller returns right after, which the test harness counts as passed.
///
/// # Panics
///
/// When the file cannot be written, since the skip would otherwise not be counted.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED: {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os(SKIPS_FILE) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        // One write, so that lines of tests in several processes stay whole.
        file.write_all(line.as_bytes()).unwrap();
    }
}
