//! `docks` links neither a database nor a server, nor what only a helper needs.

use std::process::Command;

#[test]
fn docks_links_no_database_no_server_and_nothing_of_its_helpers() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            "docks",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains(&"docks-proto"), "{tree}");
    for heavy in [
        "rusqlite",
        "libsqlite3-sys",
        "axum",
        "docksd",
        "tokio-cron-scheduler",
        "object_store",
        "keyring",
        "notify-rust",
        "dbus",
        "docks-statistics",
        "statrs",
        "h2",
    ] {
        assert!(!names.contains(&heavy), "docks links {heavy}");
    }
}
