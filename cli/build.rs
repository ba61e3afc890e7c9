//! Passes linker arguments that make `docks` smaller, if the linker supports them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Merges identical functions, and stores the addresses that the loader adjusts at every start as
/// a bit map, which takes a twentieth of the space.
const LINKER_ARGUMENTS: [&str; 2] = ["-Wl,--icf=all", "-Wl,-z,pack-relative-relocs"];

/// Leaves out the tables by which a panic unwinds, a sixth of `docks`: a panic ends the command
/// (`src/panic.rs`). Cargo has one way to panic for all programs of a build, and the daemon, which
/// must survive a request that panics, unwinds.
const WITHOUT_UNWINDING: &str = "\
SECTIONS
{
  /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table .gcc_except_table.*) }
}
INSERT AFTER .text;
";

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
        pass_if_supported(&[argument], &directory);
    }
    // Programs for development keep the tables: debuggers and profilers read them.
    if env::var("PROFILE").as_deref() == Ok("release") {
        let script = directory.join("without-unwinding.ld");
        if fs::write(&script, WITHOUT_UNWINDING).is_ok() {
            let script = format!("-Wl,-T,{}", script.display());
            pass_if_supported(&["-Wl,--no-eh-frame-hdr", &script], &directory);
        }
    }
}

fn pass_if_supported(arguments: &[&str], directory: &Path) {
    if is_supported(arguments, directory) {
        for argument in arguments {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Tries arguments on an empty program: not every linker supports them, and not every loader
/// supports the result.
fn is_supported(arguments: &[&str], directory: &Path) -> bool {
    let source = directory.join("nothing.rs");
    let program = directory.join("nothing");
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut linking = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    linking
        .args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()))
        .args(arguments.iter().map(|it| format!("-Clink-arg={it}")))
        .arg("-o")
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
