//! Recognizes Harbor by its program and arguments.
//!
//! Harbor is a Python package with the commands `harbor`, `hr` and `hb`. However it is started (a console script,
//! `python -m harbor`, `uv run`, `uvx`, `pipx`), what runs in the end is an interpreter with the script or the module as
//! its first argument, or a program of that name. Shells and launchers around it do not count: they only wait for it.

use std::ffi::OsStr;
use std::path::Path;

/// The names of the commands that the package installs, which is also the name of the package.
const COMMANDS: [&str; 3] = ["harbor", "hr", "hb"];
/// Interpreters of Python; a version may follow.
const INTERPRETERS: [&str; 3] = ["python", "pypy", "graalpy"];
/// Options of an interpreter that take the next argument as their value.
const WITH_VALUE: &[u8] = b"WX";

/// Whether a process runs Harbor, by its program (the target of `/proc/PID/exe`) and its arguments (with their zeroth).
pub(crate) fn is_harbor(program: &Path, arguments: &[String]) -> bool {
    // The program of a process that runs on after an upgrade is "… (deleted)".
    let name = program.file_name().and_then(OsStr::to_str);
    let name = name.map(|name| name.strip_suffix(" (deleted)").unwrap_or(name));
    let Some(name) = name else {
        return false;
    };
    name == "harbor"
        || is_interpreter(name) && interprets_harbor(arguments.get(1..).unwrap_or_default())
}

fn is_interpreter(name: &str) -> bool {
    INTERPRETERS.iter().any(|interpreter| {
        name.strip_prefix(interpreter).is_some_and(|rest| {
            rest.chars()
                .all(|c| c.is_ascii_digit() || ".-tdm".contains(c))
        })
    })
}

/// Whether the arguments of an interpreter name Harbor's script or module.
fn interprets_harbor(arguments: &[String]) -> bool {
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        if argument.starts_with("--") {
            // The only long option with a separate value; none of the others runs a script.
            if argument == "--check-hash-based-pycs" {
                arguments.next();
            }
            continue;
        }
        let Some(letters) = argument.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            // A lone dash is a script from the standard input.
            return is_script(Path::new(argument));
        };
        // Letters may be joined, as in `-um harbor`; what follows one with a value is its value.
        for (at, letter) in letters.bytes().enumerate() {
            let joined = letters.get(at + 1..).filter(|rest| !rest.is_empty());
            match letter {
                b'c' => return false,
                b'm' => return joined.or_else(|| arguments.next()).is_some_and(is_module),
                _ if WITH_VALUE.contains(&letter) => {
                    if joined.is_none() {
                        arguments.next();
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    false
}

fn is_module(name: &str) -> bool {
    name == "harbor" || name.starts_with("harbor.")
}

/// Whether a path is one of Harbor's scripts, or a file of its package that can be run.
fn is_script(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    // Nix installs a script as `.harbor-wrapped`, and archives of an application have an extension.
    let unwrapped = name
        .strip_prefix('.')
        .and_then(|rest| rest.strip_suffix("-wrapped"));
    let stem = ["py", "pyz", "pex"]
        .iter()
        .find_map(|extension| name.strip_suffix(extension)?.strip_suffix('.'));
    let named = unwrapped.or(stem).unwrap_or(name);
    COMMANDS.contains(&named)
        || ["harbor/__main__.py", "harbor/cli/main.py"]
            .iter()
            .any(|file| path.ends_with(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognized(program: &str, line: &str) -> bool {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        is_harbor(Path::new(program), &arguments)
    }

    #[test]
    fn every_way_to_start_harbor_is_recognized() {
        for (program, line) in [
            (
                "/usr/bin/python3.13",
                "/venv/bin/python /venv/bin/harbor run -p tasks",
            ),
            ("/usr/bin/python3.12", "python -m harbor run"),
            ("/usr/bin/python3.12", "python -m harbor.cli.main run"),
            ("/usr/bin/python3.13t", "python -um harbor run"),
            ("/usr/bin/python3.12", "python -X dev -Wignore -mharbor run"),
            ("/usr/bin/python3.12", "python3 -u -- /opt/hr run"),
            (
                "/usr/bin/python3.12",
                "python3 --check-hash-based-pycs never hb run",
            ),
            (
                "/usr/bin/python3.12 (deleted)",
                "python3 /root/.local/bin/harbor run",
            ),
            ("/usr/bin/pypy3.10", "pypy3 src/harbor/cli/main.py run"),
            (
                "/nix/store/x/bin/python3.12",
                "python3.12 /nix/store/y/bin/.harbor-wrapped run",
            ),
            ("/usr/bin/python3.12", "python harbor.pex run"),
            ("/opt/harbor", "harbor run"),
        ] {
            assert!(recognized(program, line), "{program}: {line}");
        }
    }

    #[test]
    fn other_programs_with_its_name_in_their_arguments_are_not() {
        for (program, line) in [
            ("/usr/bin/bash", "bash -c harbor run"),
            ("/usr/bin/bash", "harbor run"),
            ("/usr/bin/tee", "tee -a jobs/harbor/job.log"),
            ("/usr/bin/vim", "vim harbor"),
            ("/usr/bin/uv", "uv run harbor"),
            ("/usr/bin/python3.12", "python3 -c import harbor"),
            ("/usr/bin/python3.12", "python3 -m harbormaster"),
            ("/usr/bin/python3.12", "python3 -X harbor watch.py"),
            ("/usr/bin/python3.12", "python3 watch.py harbor"),
            ("/usr/bin/python3.12", "python3 - harbor"),
            ("/usr/bin/python3.12", "python3"),
            ("/usr/bin/pythonista", "pythonista harbor"),
        ] {
            assert!(!recognized(program, line), "{program}: {line}");
        }
    }
}
