//! The live view at a real terminal, driven by tmux; skipped, and said so, where there is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use crate::remote::Remote;
use crate::test_home::{PATIENCE, TestHome};
use crate::watch::FakeRun;

/// A terminal of its own, which ends with the test.
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    /// Opens one for a test; `None`, and the test is reported as skipped, without tmux.
    pub(crate) fn open(test: &str, home: &TestHome, columns: u16, lines: u16) -> Option<Self> {
        let found = Command::new("tmux").arg("-V").output();
        if found.is_err() {
            docksd_testkit::skip(test, "tmux is not installed");
            return None;
        }
        let socket = home.path("tmux.sock").display().to_string();
        let terminal = Self { socket };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let shell = "env PS1='$ ' sh";
        terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &lines, shell]);
        terminal.tmux(&["set-option", "-g", "window-size", "manual"]);
        // Input before the shell reads may be lost.
        terminal.shows("the shell asks", |s| s.iter().any(|line| line == "$"));
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-S", &self.socket, "-f", "/dev/null"])
            .args(arguments)
            .env("TERM", "xterm-256color")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    pub(crate) fn type_line(&self, line: &str) {
        self.keys(&["-l", line]);
        self.keys(&["Enter"]);
    }

    fn screen(&self) -> Vec<String> {
        let text = self.tmux(&["capture-pane", "-p"]);
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    /// Waits until the screen meets a condition, and returns it.
    pub(crate) fn shows(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "never: {what}: {screen:#?}");
            std::thread::yield_now();
        }
    }

    fn format(&self, format: &str) -> String {
        let text = self.tmux(&["display-message", "-p", format]);
        text.trim_end().to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The line that a shell needs to run a command in a home.
pub(crate) fn command(home: &TestHome, line: &str) -> String {
    let docks_home = home.path("docks");
    format!(
        "HOME={} DOCKS_HOME={} {} {line}; echo code $?",
        home.path("").display(),
        docks_home.display(),
        env!("CARGO_BIN_EXE_docks")
    )
}

#[test]
fn the_live_view_fits_the_terminal_and_leaves_it_as_it_was() {
    let night = FakeRun::new(8);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    home.run("runs trials night").expect_success();
    let Some(terminal) = Terminal::open(
        "watch_terminal::the_live_view_fits_the_terminal_and_leaves_it_as_it_was",
        &home,
        80,
        24,
    ) else {
        return;
    };
    terminal.type_line("echo before");
    terminal.shows("the shell answers", |s| {
        s.iter().any(|line| line == "before")
    });
    terminal.type_line(&command(&home, "runs watch night --exit-status"));
    let small = terminal.shows("the run is shown", |s| s[2].starts_with("night  running"));
    let header = "docks watch  1 run, 0 ended";
    assert_eq!(small[0], format!("{header:<66}q quit  ? help"));
    assert!(
        small[3].starts_with("  ░░░░░░░░░░░░░░░░░░░░░░░░ 0/8"),
        "{small:#?}"
    );
    assert_eq!(small[4], "  running 8");
    assert!(small[5].starts_with("  ▸ task-0"), "{small:#?}");
    assert_eq!(small.len(), 24);
    assert_eq!(terminal.format("#{alternate_on} #{cursor_flag}"), "1 0");

    terminal.tmux(&["resize-window", "-x", "200", "-y", "50"]);
    let wide = format!("{header:<186}q quit  ? help");
    let large = terminal.shows("it fits the larger terminal", |s| s[0] == wide);
    assert_eq!(large.len(), 50);
    assert!(!large.iter().any(|line| line == "before"));

    night.trial(0, "failed");
    night.trial(1, "passed");
    terminal.shows("the failure is shown", |s| {
        s.iter().any(|l| l.starts_with("  ✗ task-0"))
    });
    terminal.keys(&["?"]);
    terminal.shows("the keys are explained", |s| {
        s[1].starts_with("  q       stop")
    });
    terminal.keys(&["q"]);
    let after = terminal.shows("the shell is back", |s| s.iter().any(|l| l == "code 8"));
    assert!(after.iter().any(|line| line == "before"), "{after:#?}");
    assert!(
        after
            .iter()
            .any(|line| line == "night: running  2/8 trials, 1 passed"),
        "{after:#?}"
    );
    assert_eq!(terminal.format("#{alternate_on} #{cursor_flag}"), "0 1");

    terminal.type_line("clear");
    terminal.type_line(&command(&home, "runs watch night"));
    terminal.shows("it is watched again", |s| {
        s[2].starts_with("night  running")
    });
    terminal.keys(&["C-c"]);
    terminal.shows("Ctrl-C leaves the run alone", |s| {
        s.iter()
            .any(|l| l == "error: stopped watching; night is still active")
            && s.iter().any(|l| l == "code 130")
    });
    terminal.type_line("clear");
    terminal.type_line(&command(&home, "runs watch night"));
    terminal.shows("it is watched once more", |s| {
        s[2].starts_with("night  running")
    });
    terminal.keys(&["C-z"]);
    let stopped = terminal.shows("Ctrl-Z gives the shell its screen back", |s| {
        s.iter().any(|l| l.contains("code 1")) && s.iter().any(|l| l.contains("Stopped"))
    });
    assert!(
        !stopped.iter().any(|l| l.starts_with("docks watch")),
        "{stopped:#?}"
    );
    assert_eq!(terminal.format("#{alternate_on} #{cursor_flag}"), "0 1");
    night.trial(2, "passed");
    terminal.type_line("fg");
    terminal.shows(
        "the view is drawn anew, with what happened meanwhile",
        |s| s[0].starts_with("docks watch") && s[3].contains(" 3/8"),
    );
    assert_eq!(terminal.format("#{alternate_on} #{cursor_flag}"), "1 0");
    terminal.keys(&["q"]);
    terminal.shows("the shell is back again", |s| {
        s.iter().any(|l| l.starts_with("night: running  3/8"))
    });
    terminal.type_line("stty -a");
    terminal.shows("keys are shown again", |s| {
        s.iter().any(|l| l.contains(" icanon "))
    });
}

#[test]
fn a_list_is_kept_current_until_it_is_left() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    home.run("runs eval-list").expect_success();
    let Some(terminal) = Terminal::open(
        "watch_terminal::a_list_is_kept_current_until_it_is_left",
        &home,
        80,
        24,
    ) else {
        return;
    };
    terminal.type_line(&command(&home, "runs eval-list --watch"));
    let row = |status: &'static str| {
        move |s: &[String]| s.len() == 24 && s[1].starts_with("n1") && s[1].contains(status)
    };
    terminal.shows("the run is listed", row(" running "));
    night.run("completed");
    let after = terminal.shows("its end is listed", row(" completed "));
    assert_eq!(after[23], "q quits");
    terminal.keys(&["C-z"]);
    terminal.shows("the shell has its screen back", |s| {
        s.iter().any(|l| l.contains("code 1"))
    });
    terminal.type_line("fg");
    terminal.shows("the table is drawn anew", row(" completed "));
    terminal.keys(&["q"]);
    terminal.shows("the shell is back", |s| {
        s.iter().any(|l| l.contains("code 1")) && s.last().is_some_and(|_| !s[0].starts_with("ID"))
    });
    assert_eq!(terminal.format("#{alternate_on} #{cursor_flag}"), "0 1");
}

/// Creates a home with two profiles, each of a remote with a run called `night`.
fn two_remotes(team: &Remote, lab: &Remote) -> TestHome {
    let home = TestHome::new();
    let profile = |name: &str, remote: &Remote| {
        let url = remote.url();
        format!("[{name}]\napi_url = \"{url}\"\ntenant_id = \"ten\"\ntoken = \"canary-token\"\n\n")
    };
    let path = home.path("docks/config.toml");
    let text = profile("team", team) + &profile("lab", lab);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    home
}

#[test]
fn several_remotes_are_watched_and_listed_at_80_columns() {
    let (of_team, of_lab) = (FakeRun::new(4), FakeRun::new(2));
    let (team, lab) = (of_team.start(), of_lab.start());
    let home = two_remotes(&team, &lab);
    for profile in ["team", "lab"] {
        home.run(&format!("-p {profile} runs trials night"))
            .expect_success();
    }
    let Some(terminal) = Terminal::open(
        "watch_terminal::several_remotes_are_watched_and_listed_at_80_columns",
        &home,
        80,
        24,
    ) else {
        return;
    };
    let fits = |s: &[String]| s.iter().all(|line| line.chars().count() <= 80);
    terminal.type_line(&command(
        &home,
        "-p team,lab runs watch team:night lab:night",
    ));
    let begins = |start: &'static str| move |line: &String| line.starts_with(start);
    let both = terminal.shows("both runs are shown", |s| {
        s.iter().any(begins("team:night  running")) && s.iter().any(begins("lab:night  running"))
    });
    assert!(
        both[0].starts_with("docks watch  2 runs, 0 ended"),
        "{both:#?}"
    );
    assert!(
        fits(&both) && both.iter().any(|line| line.contains(" 0/4")),
        "{both:#?}"
    );
    of_lab.trial(0, "failed");
    of_lab.trial(1, "passed");
    of_lab.run("completed");
    terminal.shows("the end in one of them is shown", |s| {
        s[0].starts_with("docks watch  2 runs, 1 ended")
            && s.iter().any(begins("lab:night  completed"))
            && s.iter().any(begins("team:night  running"))
    });
    terminal.keys(&["q"]);
    terminal.shows("the shell is back", |s| {
        s.iter().any(begins("lab:night: completed  2/2")) && s.iter().any(begins("code 0"))
    });
    terminal.type_line("clear");
    terminal.type_line(&command(&home, "-p team,lab runs eval-list --watch"));
    let row = |remote: &'static str, status: &'static str| {
        move |line: &String| line.ends_with(remote) && line.contains(status)
    };
    let listed = terminal.shows("both are listed", |s| {
        s.iter().any(row("  team", " running ")) && s.iter().any(row("  lab", " completed "))
    });
    assert!(
        listed[0].ends_with("REMOTE") && fits(&listed),
        "{listed:#?}"
    );
    of_team.run("completed");
    terminal.shows("the end in the other one is listed", |s| {
        s.iter().any(row("  team", " completed "))
    });
    terminal.keys(&["q"]);
    // The prompt may stand before it: it was printed before the list was left.
    terminal.shows("the shell is back again", |s| {
        s.iter().any(|line| line.ends_with("code 0"))
    });
    assert_eq!(terminal.format("#{alternate_on} #{cursor_flag}"), "0 1");
}
