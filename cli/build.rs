//! Asks the linker for a smaller `docks`, as far as it can.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// What is asked for. Identical functions are kept once, and the addresses that the loader
/// adjusts at every start become a bit map, a twentieth of their table.
const WANTED: [&str; 2] = ["-Wl,--icf=all", "-Wl,-z,pack-relative-relocs"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("TARGET") != env::var_os("HOST") {
        // What it makes cannot be tried here.
        return;
    }
    let Some(directory) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    for argument in WANTED {
        if works(argument, &directory) {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Tries an argument on a program that does nothing: not every linker knows it, and not every
/// loader knows what it makes.
fn works(argument: &str, directory: &Path) -> bool {
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
