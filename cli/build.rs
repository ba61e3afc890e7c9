//! Passes linker arguments that make `docks` smaller, if the linker supports them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Merges identical functions, and stores the addresses that the loader adjusts at every start as
/// a bit map, which takes a twentieth of the space.
const LINKER_ARGUMENTS: [&str; 2] = ["-Wl,--icf=all", "-Wl,-z,pack-relative-relocs"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("TARGET") != env::var_os("HOST") {
        // The result cannot be run here.
        return;
    }
    let Some(directory) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    for argument in LINKER_ARGUMENTS {
        if is_supported(argument, &directory) {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Tries an argument on an empty program: not every linker supports it, and not every loader
/// supports its result.
fn is_supported(argument: &str, directory: &Path) -> bool {
    let source = directory.join("nothing.rs");
    let program = directory.join("nothing");
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut linking = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    linking
        .args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()))
        .args(["-C", &format!("link-arg={argument}"), "-o"])
        .arg(&program)
        .arg(&source);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        linking.arg("-C").arg({
            let mut text = std::ffi::OsString::from("linker=");
            text.push(linker);
            text
        });
    }
    succeeds(&mut linking) && succeeds(&mut Command::new(&program))
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
