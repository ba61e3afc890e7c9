//! A panic ends the command.
//!
//! It does not unwind: a release build of `docks` has no tables for that (`build.rs`), and nobody
//! would catch it. What dropping would do and users would miss is done here: restoring the terminal.

use std::process::exit;

use crate::output::screen;

/// Exit code of a command that panicked, which is also Rust's own.
const EXIT_CODE: i32 = 101;

/// Lets every panic restore the terminal, print its message and end the process.
pub(crate) fn end_command_on_panic() {
    let print = std::panic::take_hook();
    #[expect(clippy::exit, reason = "what panics has nowhere to return to")]
    std::panic::set_hook(Box::new(move |panic| {
        screen::restore_after_panic();
        print(panic);
        exit(EXIT_CODE);
    }));
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::{EXIT_CODE, end_command_on_panic};
    use crate::output::screen::Screen;

    /// Tells the test that it is the process that panics.
    const CHILD: &str = "DOCKS_TEST_PANICS";

    #[test]
    fn a_panic_restores_the_terminal_and_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            end_command_on_panic();
            let _screen = Screen::open().unwrap();
            // On another thread, where an unwinding panic would end only the thread.
            std::thread::spawn(|| panic!("on purpose")).join().ok();
            return;
        }
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let terminal = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path.to_str().unwrap())
            .unwrap();
        let on_terminal = || Stdio::from(terminal.try_clone().unwrap());
        // The shell lives on to tell the modes: the terminal is hung up when its session ends.
        let command = "\"$0\" --exact \"$1\" --nocapture; echo \"exit $?\"; stty -a";
        let mut child = Command::new("setsid")
            .args(["--ctty", "--wait", "timeout", "--foreground", "60"])
            .args(["sh", "-c", command])
            .arg(std::env::current_exe().unwrap())
            .arg("panic::tests::a_panic_restores_the_terminal_and_ends_the_process")
            .env(CHILD, "1")
            .stdin(on_terminal())
            .stdout(on_terminal())
            .stderr(on_terminal())
            .spawn()
            .unwrap();
        drop(terminal);
        let mut shown = Vec::new();
        // Ends with an error when nobody has the terminal open any more.
        std::fs::File::from(master).read_to_end(&mut shown).ok();
        child.wait().unwrap();
        let shown = String::from_utf8_lossy(&shown);
        assert_eq!(shown.matches("\x1b[?1049h").count(), 1, "{shown:?}");
        let (_, after) = shown.split_once("\x1b[?1049l").expect(&shown);
        assert!(after.contains("on purpose"), "{shown:?}");
        assert!(
            after.contains(&format!("exit {EXIT_CODE}\r\n")),
            "{shown:?}"
        );
        for mode in [" icanon ", " echo "] {
            assert!(after.contains(mode), "{mode}: {shown:?}");
        }
    }
}
